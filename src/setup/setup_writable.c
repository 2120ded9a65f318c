/* Whether the service's sandbox lets it write where it has to: see setup.h. It would otherwise be
 * found out by a service that does not start, when the HAProxy before has been stopped. */
#include "cli/terminal.h"
#include "core/file_path.h"
#include "core/memory.h"
#include "setup.h"
#include "setup_run.h"

#include <stdio.h>
#include <stdlib.h>

/* Without links, as far as it is there. For free(). */
static char *resolved(const char *path)
{
    char *there = memory_copy_text(slice_of(path));
    char *real = realpath(there, NULL);
    while (real == NULL && strlen(there) > 1) {
        char *folder = memory_copy_text(file_path_folder(there));
        free(there);
        there = folder;
        real = realpath(there, NULL);
    }
    char *whole = real != NULL ? memory_format("%s%s", real, path + strlen(there))
                               : memory_copy_text(slice_of(path));
    free(real);
    free(there);
    return whole;
}

static bool is_beneath(const char *path, struct slice folder)
{
    char *given = memory_copy_text(folder);
    char *real = resolved(given);
    size_t size = strcmp(real, "/") == 0 ? 0 : strlen(real);
    bool is_beneath = strncmp(path, real, size) == 0 && (path[size] == '/' || path[size] == '\0');
    free(real);
    free(given);
    return is_beneath;
}

/* One line of what the unit has, such as "ReadWritePaths=-/etc/haproxy -/srv/tenants". What is told
 * without a "/" is beneath `base`. */
static bool line_allows(struct slice line, const char *base, const char *path)
{
    bool allows = false;
    while (line.size > 0 && !allows) {
        struct slice word = slice_cut(&line, ' ');
        while (slice_starts_with(word, SLICE("-")) || slice_starts_with(word, SLICE("+")))
            word = slice_skip(word, 1);
        while (word.size > 0 && !allows) {
            struct slice part = slice_cut(&word, ':'); /* a bind's "SOURCE:DESTINATION" */
            char *whole = slice_starts_with(part, SLICE("/"))
                              ? memory_copy_text(part)
                              : memory_format("%s/%.*s", base, SLICE_PRINT(part));
            allows = part.size > 0 && is_beneath(path, slice_of(whole));
            free(whole);
        }
    }
    return allows;
}

static const struct {
    const char *name, *base;
} PROPERTIES[] = {
    {"ReadWritePaths=", ""},         {"BindPaths=", ""},
    {"StateDirectory=", "/var/lib"}, {"RuntimeDirectory=", "/run"},
    {"LogsDirectory=", "/var/log"},  {"CacheDirectory=", "/var/cache"},
};

static bool unit_allows(struct slice unit, const char *path)
{
    char *real = resolved(path);
    bool allows = false;
    while (unit.size > 0 && !allows) {
        struct slice line = slice_cut(&unit, '\n');
        for (size_t i = 0; i < COUNT_OF(PROPERTIES); i++) {
            struct slice name = slice_of(PROPERTIES[i].name);
            if (slice_starts_with(line, name))
                allows |= line_allows(slice_skip(line, name.size), PROPERTIES[i].base, real);
        }
    }
    free(real);
    return allows;
}

/* NULL for the folder: there is none. */
static bool may_write(struct slice unit, const char *key, const char *folder)
{
    if (folder == NULL || unit_allows(unit, folder))
        return true;
    terminal_complain("owui-spoa.service sees %s (\"%s\") read-only, and has to write there: "
                      "`systemctl edit owui-spoa`, and add under [Service] the line "
                      "ReadWritePaths=%s",
                      folder, key, folder);
    return false;
}

static bool may_write_beside(struct slice unit, const char *key, const char *file)
{
    char *folder = file != NULL ? memory_copy_text(file_path_folder(file)) : NULL;
    bool may = may_write(unit, key, folder);
    free(folder);
    return may;
}

/* The service has folders of its own in their places, which nobody else sees: they will do for what
 * nobody else reads. */
static bool is_private(struct slice unit, const char *path)
{
    char *real = resolved(path);
    bool is_private = slice_contains(unit, SLICE("PrivateTmp=")) &&
                      !slice_contains(unit, SLICE("PrivateTmp=no")) &&
                      (is_beneath(real, SLICE("/tmp")) || is_beneath(real, SLICE("/var/tmp")));
    free(real);
    return is_private;
}

/* Where HAProxy finds the agent. What the socket unit has opened need not be made. */
static bool may_listen(struct slice unit, const struct configuration *configuration)
{
    const char *const command[] = {"systemctl", "show", "-p", "Listen", "owui-spoa.socket", NULL};
    char *output = NULL;
    bool may = true, is_told = setup_run(command, &output) == 0 && output != NULL;
    for (size_t i = 0; i < configuration->listen_count; i++) {
        const char *address = configuration->listen[i];
        if (!slice_starts_with(slice_of(address), SLICE("unix:/")))
            continue;
        char *opened = memory_format("Listen=%s (", address + 5);
        if (!is_told || strstr(output, opened) == NULL)
            may &= may_write_beside(unit, "listen", address + 5);
        free(opened);
    }
    free(output);
    return may;
}

bool setup_service_may_write(const struct setup_plan *plan)
{
    const struct configuration *configuration = plan->whole.configuration;
    const struct hap_config *haproxy = &configuration->haproxy;
    const char *const command[] = {"systemctl",
                                   "show",
                                   "-p",
                                   "ProtectSystem",
                                   "-p",
                                   "PrivateTmp",
                                   "-p",
                                   "ReadWritePaths",
                                   "-p",
                                   "BindPaths",
                                   "-p",
                                   "StateDirectory",
                                   "-p",
                                   "RuntimeDirectory",
                                   "-p",
                                   "LogsDirectory",
                                   "-p",
                                   "CacheDirectory",
                                   "owui-spoa.service",
                                   NULL};
    char *output = NULL;
    bool is_strict = setup_run(command, &output) == 0 && output != NULL &&
                     strstr(output, "ProtectSystem=strict\n") != NULL;
    bool may = true;
    if (is_strict) {
        struct slice unit = slice_of(output);
        may &= may_write(unit, "haproxy.crt_dir", haproxy->crt_dir);
        may &= may_write(unit, "acme.state_dir", configuration->acme.state_dir);
        may &= may_write_beside(unit, "haproxy.fallback_map", haproxy->fallback_map);
        may &= may_write_beside(unit, "haproxy.decision_map", haproxy->decision_map);
        if (configuration->trace_file != NULL && !is_private(unit, configuration->trace_file))
            may &= may_write_beside(unit, "trace.file", configuration->trace_file);
        may &= may_write_beside(unit, "admin_socket", configuration->admin_socket);
        may &= may_listen(unit, configuration);
        if (haproxy->takeover) /* else there is no such key */
            may &= may_write_beside(unit, "cookie_key_file", configuration->cookie_key_file);
    }
    free(output);
    return may;
}
