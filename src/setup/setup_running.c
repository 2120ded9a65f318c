/* What runs already, and whether it has read what is on the disk: a setup that was broken off, or
 * whose services did not start, is taken up where it ended. See setup.h. */
#include "admin/admin_client.h"
#include "cli/ask.h"
#include "core/clock.h"
#include "core/memory.h"
#include "hap/runtime.h"
#include "serving/notices.h"
#include "setup.h"
#include "sidecar/runtime_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define OUR_BACKEND "\nowui_agents\n"

enum { ANSWER_MS = 3000, NEVER = -1 };

/* NULL when it does not answer. */
static struct json *ask_agent(const struct setup_plan *plan)
{
    struct error_text why;
    unsigned status = 0;
    return admin_request(plan->whole.configuration->admin_socket, "GET", "/v1/status", NULL,
                         &status, &why);
}

/* One that was killed has left its socket. */
bool setup_agent_answers(const struct setup_plan *plan)
{
    struct json *answer = ask_agent(plan);
    json_free(answer);
    return answer != NULL;
}

bool setup_agent_is_behind(const struct setup_plan *plan)
{
    struct json *answer = ask_agent(plan);
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
