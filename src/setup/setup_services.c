/* Folders, HAProxy's own look at its files, and the two services: see setup.h. */
#include "cli/command_line.h"
#include "cli/person.h"
#include "cli/terminal.h"
#include "core/file.h"
#include "core/file_path.h"
#include "core/memory.h"
#include "doctor/haproxy_fault.h"
#include "setup.h"
#include "setup_run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *crt_dir(const struct setup_plan *plan)
{
    const char *folder = plan->whole.configuration->haproxy.crt_dir;
    return folder != NULL ? folder : "/etc/haproxy/certs";
}

/* HAProxy does not start where it cannot make its socket, which its own check does not see. What is
 * there is HAProxy's, or somebody else's, and need not be the service's to read. */
static enum error runtime_folder(const struct setup_plan *plan, struct error_text *why)
{
    const char *socket = hap_worker_socket(&plan->whole.configuration->haproxy);
    if (socket == NULL)
        return ERROR_OK;
    char *folder = memory_copy_text(file_path_folder(socket));
    enum error error = ERROR_OK;
    if (access(folder, F_OK) != 0)
        error = setup_folder(folder, 02775, "haproxy", "haproxy", why);
    free(folder);
    return error;
}

/* As packaging/systemd has them. */
enum error setup_folders(const struct setup_plan *plan, struct error_text *why)
{
    const char *state_dir = plan->whole.configuration->acme.state_dir;
    enum error error = setup_folder(crt_dir(plan), 02750, "owui-spoa", "haproxy", why);
    if (error == ERROR_OK && state_dir != NULL)
        error = setup_folder(state_dir, 0700, "owui-spoa", "owui-spoa", why);
    if (error == ERROR_OK)
        error = setup_folder(plan->whole.configuration->tenants_dir, 02770, NULL, "owui-spoa", why);
    if (error == ERROR_OK)
        error = runtime_folder(plan, why);
    for (size_t i = 0; i < plan->whole.configuration->listen_count && error == ERROR_OK; i++) {
        const char *address = plan->whole.configuration->listen[i];
        if (!slice_starts_with(slice_of(address), SLICE("unix:/")))
            continue;
        char *folder = memory_copy_text(file_path_folder(address + 5));
        error = setup_folder(folder, 02750, "owui-spoa", "haproxy", why);
        free(folder);
    }
    return error;
}

/* -- HAProxy's look ---------------------------------------------------------------------------- */

static bool write_draft(const char *path, const char *text)
{
    FILE *out = fopen(path, "we");
    if (out == NULL)
        return false;
    bool good = fputs(text, out) >= 0;
    return fclose(out) == 0 && good;
}

/* What a program said stays as it said it. */
static void tell_failure(const char *what, const char *output)
{
    size_t size = strlen(output);
    terminal_complain("%s:", what);
    fputs(output, stderr);
    if (size > 0 && output[size - 1] != '\n')
        fputc('\n', stderr);
}

/* What an old HAProxy says is that it does not know a word. */
static void tell_version(void)
{
    static const char VERSION[] = "version ";
    const char *const command[] = {"haproxy", "-v", NULL};
    char *output = NULL;
    const char *found =
        setup_run(command, &output) == 0 && output != NULL ? strstr(output, VERSION) : NULL;
    if (found != NULL) {
        struct slice version = slice_of(found + sizeof(VERSION) - 1);
        version = slice_head(version, strcspn(version.data, " -\n"));
        const struct haproxy_fault *fault = haproxy_fault_of(version);
        if (fault != NULL)
            terminal_complain("HAProxy %.*s %s: %s", SLICE_PRINT(version), fault->what, fault->fix);
    }
    free(output);
}

/* What HAProxy is to check: both files, and what is missing of the others that they name. */
struct drafts {
    char *haproxy, *spoe, *certificates, *fallback_map, *decision_map;
};

static struct drafts drafts_in(const char *folder)
{
    return (struct drafts){
        .haproxy = memory_format("%s/haproxy.cfg", folder),
        .spoe = memory_format("%s/owui.spoe.cfg", folder),
        .certificates = memory_format("%s/certs", folder),
        .fallback_map = memory_format("%s/fallback.map", folder),
        .decision_map = memory_format("%s/decisions.map", folder),
    };
}

static void drafts_remove(struct drafts *drafts)
{
    char *const files[] = {drafts->haproxy, drafts->spoe, drafts->fallback_map,
                           drafts->decision_map};
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        unlink(files[i]);
        free(files[i]);
    }
    rmdir(drafts->certificates);
    free(drafts->certificates);
}

static void stand_in(char **path, char *draft)
{
    if (*path != NULL && access(*path, F_OK) != 0 && write_draft(draft, ""))
        *path = draft;
}

/* As it will be, but for the places of the SPOE file and of what setup, or the service, is yet to
 * make. */
static struct hap_config config_of_drafts(const struct setup_plan *plan,
                                          const struct drafts *drafts)
{
    struct hap_config config = plan->whole.configuration->haproxy;
    struct stat status;
    char *placeholder = hap_placeholder_path(&config);
    config.placeholder = config.placeholder && access(placeholder, F_OK) == 0;
    free(placeholder);
    config.spoe_path = drafts->spoe;
    if ((stat(crt_dir(plan), &status) != 0 || !S_ISDIR(status.st_mode)) &&
        mkdir(drafts->certificates, 0700) == 0)
        config.crt_dir = drafts->certificates;
    stand_in(&config.fallback_map, drafts->fallback_map);
    stand_in(&config.decision_map, drafts->decision_map);
    return config;
}

static bool check_drafts(const struct setup_plan *plan, const char *folder)
{
    struct error_text why;
    struct drafts drafts = drafts_in(folder);
    const struct hap_config config = config_of_drafts(plan, &drafts);
    const char *previous = plan->files.items[plan->haproxy_file].previous;
    const char *const command[] = {"haproxy", "-c", "-f", drafts.haproxy, NULL};
    char *output = NULL;
    char *text =
        hap_config_write(&config, HAP_ANY, previous != NULL ? slice_of(previous) : SLICE(""), &why);
    bool good = text != NULL && write_draft(drafts.haproxy, text) &&
                write_draft(drafts.spoe, plan->files.items[plan->spoe_file].text);
    int status = good ? setup_run(command, &output) : -1;
    if (text == NULL)
        terminal_complain("%s", why.text);
    else if (!good)
        terminal_complain("what HAProxy is to check cannot be written to %s: %s", folder,
                          strerror(errno));
    else if (status == SETUP_NOT_FOUND)
        terminal_complain(
            "there is no haproxy on this machine: apt-get install haproxy, or dnf install haproxy");
    else if (status != 0) {
        tell_failure("HAProxy does not take its configuration", output != NULL ? output : "");
        tell_version();
    }
    drafts_remove(&drafts);
    free(output);
    free(text);
    return status == 0;
}

bool setup_haproxy_check(const struct setup_plan *plan)
{
    char folder[] = "/tmp/owui-setup.XXXXXX";
    if (mkdtemp(folder) == NULL) {
        perror("owui-spoa: mkdtemp");
        return false;
    }
    bool good = check_drafts(plan, folder);
    rmdir(folder);
    return good;
}

/* -- Services ---------------------------------------------------------------------------------- */

bool setup_has_systemd(void)
{
    struct stat status;
    return lstat("/run/systemd/system", &status) == 0 && S_ISDIR(status.st_mode);
}

/* By the command of its unit. Where a script or a variable stands, nobody can tell. */
static bool names_file(const char *command, const char *path)
{
    static const char *const OPTIONS[] = {" -c ", " --config ", " --config="};
    char *named = NULL;
    if (strstr(command, "owui-spoa run") == NULL || strchr(command, '$') != NULL)
        return true;
    for (size_t i = 0; i < COUNT_OF(OPTIONS) && named == NULL; i++) {
        const char *option = strstr(command, OPTIONS[i]);
        if (option != NULL) {
            option += strlen(OPTIONS[i]);
            named = memory_copy_text((struct slice){option, strcspn(option, " ")});
        }
    }
    bool names = file_is_same(named != NULL ? named : DEFAULT_CONFIGURATION, path);
    free(named);
    return names;
}

bool setup_service_reads(const char *path)
{
    const char *const command[] = {"systemctl",         "show", "-p", "ExecStart", "--value",
                                   "owui-spoa.service", NULL};
    char *output = NULL;
    bool reads = setup_run(command, &output) != 0 || output == NULL || names_file(output, path);
    if (!reads)
        terminal_complain("owui-spoa.service reads another file than %s: `systemctl cat owui-spoa` "
                          "tells which, and `systemctl edit owui-spoa` changes that",
                          path);
    free(output);
    return reads;
}

/* The folders in whose place its unit has others (ProtectHome=, PrivateTmp=); NULL: none of them.
 */
static const char *hidden_folder(const char *path)
{
    static const char *const HIDDEN[] = {"/root", "/home", "/run/user", "/tmp", "/var/tmp"};
    for (size_t i = 0; i < COUNT_OF(HIDDEN); i++) {
        size_t size = strlen(HIDDEN[i]);
        if (strncmp(path, HIDDEN[i], size) == 0 && path[size] == '/')
            return HIDDEN[i];
    }
    return NULL;
}

/* What keeps the service from reading it, for free(); NULL: nothing. */
static char *hindrance(const char *path)
{
    struct person service;
    struct stat status;
    const char *hidden = hidden_folder(path);
    if (hidden != NULL)
        return memory_format("its unit hides %s from it", hidden);
    if (!person_find(SETUP_SERVICE_USER, &service))
        return NULL;
    char *barred = person_barred(&service, path, 4, &status);
    char *told = barred == NULL
                     ? NULL
                     : memory_format("it runs as %s, which may not %s %s (mode %04o)", service.name,
                                     S_ISDIR(status.st_mode) ? "enter" : "read", barred,
                                     (unsigned)status.st_mode & 07777);
    free(barred);
    return told;
}

bool setup_service_may_read(const char *path)
{
    char *whole = realpath(path, NULL);
    char *told = whole != NULL ? hindrance(whole) : NULL;
    bool may = told == NULL;
    if (!may)
        terminal_complain("owui-spoa.service cannot read %s: %s; it can read a copy: install -m "
                          "0644 %s /etc/owui-spoa/",
                          whole, told, whole);
    free(told);
    free(whole);
    return may;
}

/* Runs a command, or only prints it. */
static bool perform(const char *const *command, bool dry_run)
{
    char *text = setup_command_text(command);
    char *output = NULL;
    printf("  %s\n", text);
    int status = dry_run ? 0 : setup_run(command, &output);
    if (status != 0) {
        char *what = memory_format("%s failed (%d)", text, status);
        tell_failure(what, output != NULL ? output : "");
        free(what);
    }
    free(output);
    free(text);
    return status == 0;
}

/* The last lines of a service's log, where a start that failed tells its reason. */
static void tell_log(const char *unit)
{
    const char *const command[] = {"journalctl", "--no-pager", "-q", "-n", "12", "-u", unit, NULL};
    char *output = NULL;
    if (setup_run(command, &output) == 0 && output != NULL)
        fputs(output, stderr);
    terminal_complain("%s does not start", unit);
    free(output);
}

static bool start(const char *how, const char *unit, bool dry_run)
{
    const char *const enable[] = {"systemctl", "enable", "--quiet", unit, NULL};
    const char *const begin[] = {"systemctl", how, unit, NULL};
    if (!perform(enable, dry_run))
        return false;
    if (perform(begin, dry_run))
        return true;
    tell_log(unit);
    return false;
}

/* What was served before is not served now. */
static void tell_way_back(const struct setup_plan *plan)
{
    const struct setup_file *const two[] = {&plan->files.items[plan->haproxy_file],
                                            &plan->files.items[plan->spoe_file]};
    if (two[0]->kept == NULL && two[1]->kept == NULL)
        return;
    terminal_complain("when that is mended, run the same command again; back to what was there:");
    for (size_t i = 0; i < COUNT_OF(two); i++)
        if (two[i]->kept != NULL)
            fprintf(stderr, "  cp -p %s %s\n", two[i]->kept, two[i]->path);
    fputs("  systemctl restart haproxy.service\n", stderr);
}

/* How to start both where no systemd runs: in a container, by another supervisor. */
static void tell_how(const struct setup_plan *plan)
{
    const struct hap_config *haproxy = &plan->whole.configuration->haproxy;
    printf("\nThere is no systemd here. Start, under your supervisor, as the user owui-spoa\n"
           "with the group %s:\n"
           "  owui-spoa run -c %s\n"
           "and, as root:\n"
           "  haproxy -W -f %s/haproxy.cfg\n"
           "Then run the same command again: it tells what works.\n",
           haproxy->group != NULL ? haproxy->group : "haproxy", plan->whole.configuration->path,
           plan->folder);
}

bool setup_services(const struct setup_plan *plan, const struct setup_wish *wish)
{
    const struct setup_file *files = plan->files.items;
    bool haproxy_changes = setup_file_changes(&files[plan->haproxy_file]) ||
                           setup_file_changes(&files[plan->spoe_file]);
    if (!setup_has_systemd()) {
        tell_how(plan);
        return true;
    }
    /* A global file that gets an "acme" section takes a start; other changes are seen by
     * themselves. */
    bool agent_changes = setup_file_changes(&files[plan->global_file]);
    bool agent_is_behind = agent_changes || setup_agent_is_behind(plan, !wish->dry_run);
    const char *agent = agent_is_behind ? "restart" : "start";
    const char *haproxy = haproxy_changes && !plan->haproxy_was_ours         ? "restart"
                          : haproxy_changes || setup_haproxy_is_behind(plan) ? "reload-or-restart"
                                                                             : "start";
    puts(wish->dry_run ? "\nwould be run:" : "\nstarting:");
    /* HAProxy first: the agent begins with an order, whose challenge comes in through HAProxy. */
    bool begun = start(haproxy, "haproxy.service", wish->dry_run) &&
                 start(agent, "owui-spoa.service", wish->dry_run);
    if (!begun)
        tell_way_back(plan);
    else
        setup_tell_other_files(plan);
    return begun;
}

void setup_reload_haproxy(void)
{
    const char *const command[] = {"systemctl", "reload", "haproxy.service", NULL};
    if (setup_has_systemd())
        (void)!perform(command, false); /* tells by itself */
}
