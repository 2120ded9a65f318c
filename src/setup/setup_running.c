/* What runs already, and whether it has read what is on the disk: a setup that was broken off, or
 * whose services did not start, is taken up where it ended. See setup.h. */
#include "admin/admin_client.h"
#include "cli/ask.h"
#include "cli/terminal.h"
#include "core/clock.h"
#include "core/file.h"
#include "core/memory.h"
#include "hap/runtime.h"
#include "serving/notices.h"
#include "setup.h"
#include "setup_run.h"
#include "sidecar/runtime_client.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define OUR_BACKEND "\nowui_agents\n"

enum { ANSWER_MS = 3000, NEVER = -1, COMMAND_SIZE = 4096 };

/* NULL when it does not answer. */
static struct json *ask_agent(const struct setup_plan *plan, const char *method, const char *path)
{
    struct error_text why;
    unsigned status = 0;
    return admin_request(plan->whole.configuration->admin_socket, method, path, NULL, &status,
                         &why);
}

/* One that was killed has left its socket. */
bool setup_agent_answers(const struct setup_plan *plan)
{
    struct json *answer = ask_agent(plan, "GET", "/v1/status");
    json_free(answer);
    return answer != NULL;
}

/* What was written a moment ago is something that it may not have looked at by itself. */
bool setup_agent_is_behind(const struct setup_plan *plan, bool may_look)
{
    struct json *answer =
        may_look ? ask_agent(plan, "POST", "/v1/reload") : ask_agent(plan, "GET", "/v1/status");
    bool is_behind = notices_count(json_get(answer, "notices"), NOTICE_RESTART_NEEDED) > 0;
    json_free(answer);
    return is_behind;
}

struct question {
    struct main_loop *loop;
    int64_t started_s; /* when it has read its files; NEVER: nobody answers, or it has others */
};

static void on_info(void *context, enum error error, const char *reason, struct slice answer)
{
    struct question *question = context;
    char digits[24];
    (void)reason;
    snprintf(digits, sizeof(digits), "%.*s", SLICE_PRINT(runtime_value(answer, "Uptime_sec")));
    if (error == ERROR_OK && digits[0] != '\0' && slice_contains(answer, SLICE(OUR_BACKEND)))
        question->started_s = clock_wall_s() - strtoll(digits, NULL, 10);
    main_loop_stop(question->loop);
}

static int64_t haproxy_started_s(const char *runtime)
{
    struct question question = {.loop = main_loop_new(NULL), .started_s = NEVER};
    struct runtime_target target;
    if (question.loop != NULL &&
        runtime_target_parse(slice_of(runtime), &target, NULL) == ERROR_OK) {
        char *command = runtime_target_commands(&target, "show info", "show backend");
        if (runtime_exchange_new(question.loop, &target, slice_of(command), ANSWER_MS, NULL,
                                 on_info, &question) != NULL)
            main_loop_run(question.loop);
        runtime_target_fini(&target);
        free(command);
    }
    main_loop_free(question.loop);
    return question.started_s;
}

bool setup_haproxy_is_behind(const struct setup_plan *plan)
{
    const struct hap_config *haproxy = &plan->whole.configuration->haproxy;
    const size_t files[] = {plan->haproxy_file, plan->spoe_file};
    if (haproxy->runtime_count == 0)
        return false;
    int64_t started_s = haproxy_started_s(haproxy->runtime[0]);
    bool is_behind = started_s == NEVER;
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        struct stat status;
        is_behind |=
            stat(plan->files.items[files[i]].path, &status) == 0 && status.st_mtime > started_s + 1;
    }
    return is_behind;
}

/* -- What else HAProxy reads ------------------------------------------------------------------- */

/* The words of its command, each with a NUL after it; 0: it does not run. Its unit has variables,
 * for which files of the system have the values (CONFIG, EXTRAOPTS, CFGDIR). */
static size_t command_of_haproxy(char command[static COMMAND_SIZE])
{
    const char *const show[] = {"systemctl",       "show", "-p", "MainPID", "--value",
                                "haproxy.service", NULL};
    char *output = NULL;
    long pid = setup_run(show, &output) == 0 && output != NULL ? strtol(output, NULL, 10) : 0;
    char *path = memory_format("/proc/%ld/cmdline", pid);
    FILE *in = pid > 0 ? fopen(path, "re") : NULL;
    size_t size = in != NULL ? fread(command, 1, COMMAND_SIZE - 1, in) : 0;
    if (in != NULL)
        fclose(in);
    command[size] = '\0';
    free(path);
    free(output);
    return size;
}

/* Whether HAProxy finds something in it, if it is a folder. */
static bool has_something(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    bool has = folder == NULL;
    while (!has && (entry = readdir(folder)) != NULL)
        has = entry->d_name[0] != '.' && slice_ends_with(slice_of(entry->d_name), SLICE(".cfg"));
    if (folder != NULL)
        closedir(folder);
    return has;
}

static void tell_other_file(const char *other, const char *own)
{
    char *text =
        memory_format("haproxy.service reads %s as well: what is in there is served beside "
                      "%s, and may take its requests (systemctl cat haproxy)",
                      other, own);
    terminal_wrap("  LOOK   ", 9, text, terminal_columns());
    free(text);
}

void setup_tell_other_files(const struct setup_plan *plan)
{
    char command[COMMAND_SIZE];
    size_t size = command_of_haproxy(command);
    const char *own = plan->files.items[plan->haproxy_file].path;
    bool reads_own = false, names_file = false, follows = false;
    for (const char *word = command; word < command + size; word += strlen(word) + 1) {
        bool is_file = follows && word[0] == '/';
        bool is_own = is_file && (file_is_same(word, own) || file_is_same(word, plan->folder));
        if (is_file && !is_own && has_something(word))
            tell_other_file(word, own);
        names_file |= is_file;
        reads_own |= is_own;
        follows = strcmp(word, "-f") == 0;
    }
    if (names_file && !reads_own)
        terminal_complain("haproxy.service does not read %s: `systemctl cat haproxy` tells what it "
                          "reads; a variable in there may have its value from /etc/default/haproxy "
                          "or /etc/sysconfig/haproxy",
                          own);
}
