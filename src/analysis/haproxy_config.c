/* `owui-spoa haproxy-config`: HAProxy's side of the configuration, printed or written. */
#include "haproxy_config.h"

#include "acme/store.h"
#include "agent/answer.h"
#include "cli/command.h"
#include "cli/host_file.h"
#include "cli/terminal.h"
#include "conf/whole.h"
#include "core/file_path.h"
#include "core/memory.h"
#include "core/whole_file.h"
#include "serving/haproxy_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Of new files, whatever the umask: the service compares them with what they should be. */
enum { PUBLIC_MODE = 0644 };

struct wish {
    const char *path;       /* of the global file */
    const char *folder;     /* NULL: print */
    const char *thumbprint; /* NULL: of the account's key, if there is one; "none": none */
    enum hap_version version;
    bool spoe;
};

/* The haproxy.cfg that is there already, "" if none is. */
static MUST_CHECK enum error read_previous(const char *path, char **text, size_t *size,
                                           struct error_text *why)
{
    *size = 0;
    enum error error = whole_file_read(path, HAPROXY_FILE_MAX_BYTES, text, size, why);
    return error == ERROR_NOT_FOUND ? ERROR_OK : error;
}

/* The distribution's file, or an admin's own, is not ours to lose. */
static MUST_CHECK enum error keep_foreign(struct host_file *file, struct slice text,
                                          struct error_text *why)
{
    if (text.size == 0 || hap_config_is_ours(text))
        return ERROR_OK;
    enum error error = host_file_keep(file, "before", why);
    if (error == ERROR_EXISTS)
        error_set(why, error,
                  "%s was not written by this command, and %s.before is there already: move one of "
                  "them out of the way",
                  file->path, file->path);
    return error;
}

/* Both or, when one cannot be written, none: they go together. */
static MUST_CHECK enum error place(struct host_file *config, struct host_file *spoe,
                                   struct slice previous, struct error_text *why)
{
    enum error error = keep_foreign(config, previous, why);
    if (error == ERROR_OK)
        error = host_file_place(spoe, why);
    if (error == ERROR_OK)
        error = host_file_place(config, why);
    if (error != ERROR_OK) {
        host_file_take_back(config);
        host_file_take_back(spoe);
    } else if (config->kept != NULL) {
        terminal_complain("the %s that was there is now %s", config->path, config->kept);
    }
    return error;
}

static enum error write_files(const struct wish *wish, const struct hap_config *config,
                              struct error_text *why)
{
    char *config_path = memory_format("%s/haproxy.cfg", wish->folder);
    char *spoe_path = memory_format("%s/%s", wish->folder, file_path_name(hap_spoe_path(config)));
    char *previous = NULL;
    char *config_text = NULL;
    char *spoe_text = NULL;
    size_t previous_size = 0;
    struct host_file written = {0}, spoe = {0};

    enum error error = ERROR_OK;
    if (access(wish->folder, F_OK) != 0)
        error =
            error_set_errno(why, "--out %s: that is to be a folder that is there", wish->folder);
    else
        error = read_previous(config_path, &previous, &previous_size, why);
    if (error != ERROR_OK)
        goto out;
    error = hap_config_check_own_lines(slice_from(previous, previous_size), why);
    if (error != ERROR_OK)
        goto out;
    config_text = hap_config_write(config, wish->version, slice_from(previous, previous_size), why);
    if (config_text == NULL) {
        error = ERROR_INVALID;
        goto out;
    }
    spoe_text = hap_spoe_write(config, wish->version);
    error = host_file_write(&spoe, spoe_path, slice_of(spoe_text), PUBLIC_MODE, NULL, why);
    if (error == ERROR_OK)
        error =
            host_file_write(&written, config_path, slice_of(config_text), PUBLIC_MODE, NULL, why);
    if (error == ERROR_OK)
        error = place(&written, &spoe, slice_from(previous, previous_size), why);
    if (error == ERROR_OK)
        printf("%s\n%s\n", config_path, spoe_path);
out:
    host_file_fini(&written);
    host_file_fini(&spoe);
    free(previous);
    free(config_text);
    free(spoe_text);
    free(config_path);
    free(spoe_path);
    return error;
}

/* The SPOE file is no better than the haproxy.cfg that it goes with. */
static char *text_of(const struct hap_config *config, enum hap_version version, bool spoe,
                     struct error_text *why)
{
    char *text = hap_config_write(config, version, (struct slice){0}, why);
    if (text == NULL || !spoe)
        return text;
    free(text);
    return hap_spoe_write(config, version);
}

static enum error print_file(const struct wish *wish, const struct hap_config *config,
                             struct error_text *why)
{
    char *text = text_of(config, wish->version, wish->spoe, why);
    if (text == NULL)
        return ERROR_INVALID;
    fputs(text, stdout);
    free(text);
    return ERROR_OK;
}

/* With the thumbprint of the account's key, HAProxy answers challenges even when nobody else does.
 * The key comes to be with the daemon's first start, and is root's to read. */
static MUST_CHECK enum error find_thumbprint(struct configuration *configuration,
                                             struct error_text *why)
{
    const struct acme_settings *acme = &configuration->acme;
    char thumbprint[CRYPTO_THUMBPRINT_LENGTH + 1] = "";
    if (acme->directory == NULL || acme->directory[0] == '\0' || acme->state_dir == NULL)
        return ERROR_OK;
    enum error error = store_account_thumbprint(acme->state_dir, acme->directory, thumbprint, why);
    if (error == ERROR_OK)
        configuration->haproxy.thumbprint = memory_copy_text(slice_of(thumbprint));
    return error == ERROR_NOT_FOUND ? ERROR_OK : error;
}

static void set_thumbprint(const struct wish *wish, struct configuration *configuration)
{
    struct error_text why;
    if (wish->thumbprint == NULL && find_thumbprint(configuration, &why) != ERROR_OK)
        terminal_complain("written without an answer to challenges by HAProxy itself: %s",
                          why.text);
    else if (wish->thumbprint != NULL && strcmp(wish->thumbprint, "none") != 0)
        configuration->haproxy.thumbprint = memory_copy_text(slice_of(wish->thumbprint));
}

char *haproxy_config_text(const struct haproxy_config_wish *wish, struct diagnostics *diagnostics,
                          struct error_text *why)
{
    const struct whole_changes none = {.give_up = wish->give_up};
    struct whole whole;
    char *text = NULL;
    bool is_good =
        whole_load_changed(wish->path, &none, answer_prepare, &whole, diagnostics) || wish->force;
    *why = (struct error_text){.text = ""};
    if (is_good && whole.configuration != NULL &&
        find_thumbprint(whole.configuration, why) == ERROR_OK)
        text = text_of(&whole.configuration->haproxy, wish->version, wish->spoe, why);
    whole_fini(&whole);
    return text;
}

/* Headers that a broken tenant sets are missing from HAProxy's side, so its errors count too. */
static int write_or_print(const struct wish *wish)
{
    struct whole whole;
    struct diagnostics diagnostics = {0};
    struct error_text why;
    int code = EXIT_GOOD;

    if (!whole_load(wish->path, answer_prepare, &whole, &diagnostics))
        code = EXIT_BAD;
    for (size_t i = 0; i < diagnostics.count; i++) {
        char *text = diagnostic_print(&diagnostics.items[i]);
        if (diagnostics.items[i].severity == SEVERITY_ERROR)
            fputs(text, stderr);
        free(text);
    }
    if (whole.configuration == NULL) {
        code = EXIT_WRONG;
    } else {
        const struct hap_config *config = &whole.configuration->haproxy;
        set_thumbprint(wish, whole.configuration);
        enum error error =
            wish->folder != NULL ? write_files(wish, config, &why) : print_file(wish, config, &why);
        /* It may run on another machine, where the service makes it. */
        if (wish->folder != NULL && error == ERROR_OK &&
            haproxy_files_ensure(whole.configuration, &why) != ERROR_OK)
            terminal_complain("%s", why.text);
        if (error != ERROR_OK) {
            terminal_complain("%s", why.text);
            code = EXIT_WRONG;
        }
    }
    whole_fini(&whole);
    diagnostics_fini(&diagnostics);
    return code;
}

static const struct command_usage USAGE = {
    .about = "Prints the haproxy.cfg that goes with the configuration, or writes it and the SPOE "
             "file to a folder. Lines of your own between the marks of an earlier haproxy.cfg in "
             "that folder are kept; one that somebody else wrote becomes haproxy.cfg.before. "
             "HAProxy needs a reload afterwards, not the agent.",
    .exit_codes = {"written", "written, but tenants are wrong, whose headers it lacks",
                   "nothing was written"},
    .examples = {"owui-spoa haproxy-config --out /etc/haproxy && \\\n"
                 "      haproxy -c -f /etc/haproxy/haproxy.cfg",
                 "owui-spoa haproxy-config --for 3.4 | less"},
};

int haproxy_config_command(struct command_line *line)
{
    static const char *const VERSIONS[] = {"2.6", "3.0", "3.2", "3.4", NULL};
    struct wish wish = {.path = DEFAULT_CONFIGURATION, .version = HAP_ANY};
    const char *version = NULL;
    const struct command_option options[] = {
        {"for", 0, "VERSION", "2.6, 3.0, 3.2, 3.4; without it, one text for all from 2.6 on",
         VERSIONS, .text = &version},
        {"out", 0, "DIR", "write DIR/haproxy.cfg and DIR/owui.spoe.cfg instead of printing",
         .text = &wish.folder},
        {"spoe", 0, NULL, "print the SPOE file instead of haproxy.cfg", .flag = &wish.spoe},
        {"thumbprint", 0, "T",
         "of the ACME account's key, so that HAProxy answers challenges when the agent is down; "
         "without it, from the key in acme.state_dir, if there is one that can be read; \"none\": "
         "no such answer",
         .text = &wish.thumbprint},
        command_option_config(&wish.path),
        {0},
    };
    if (!command_line_read(line, &USAGE, options))
        return line->code;
    if (wish.spoe && wish.folder != NULL)
        return command_line_misused(line, "--out writes both files: it does not go with --spoe");
    if (version != NULL && !hap_version_parse(slice_of(version), &wish.version))
        return command_line_misused(line, "--for \"%s\" is no version of HAProxy", version);
    return write_or_print(&wish);
}
