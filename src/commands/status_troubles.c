/* What is wrong, and how it is mended: see status_troubles.h. */
#include "status_troubles.h"

#include "cli/ask.h"
#include "cli/terminal.h"
#include "cli/view.h"
#include "core/memory.h"

#include <stdio.h>
#include <stdlib.h>

enum { SHOWN_MAX = 5 }; /* of a kind: the others may well be wrong for the same reason */

static bool is_serving(const struct json *status)
{
    bool serving = true; /* /v1/reload does not tell: it is refused otherwise */
    return !json_read_bool(json_get(status, "serving"), &serving) || serving;
}

static size_t count_certificates(const struct json *status)
{
    size_t wrong = 0;
    for (struct json_member member = {0}; json_next(json_get(status, "certificates"), &member);) {
        int64_t count = 0;
        if (!slice_equal(member.key, SLICE("fine")) && json_read_integer(member.value, &count))
            wrong += (size_t)count;
    }
    return wrong;
}

size_t status_count_troubles(const struct json *status)
{
    const struct json *haproxys = json_get(status, "haproxys");
    size_t troubles = count_certificates(status) + !is_serving(status) +
                      json_count(json_get(status, "problems")) +
                      json_count(json_get(status, "notices"));
    const struct view_trouble *trouble;
    for (size_t i = 0; (trouble = view_trouble_at(i)) != NULL; i++)
        troubles += (size_t)ask_number(json_get(status, "tenants"), trouble->state);
    for (size_t i = 0; i < json_count(haproxys); i++)
        troubles += ask_number(json_at(haproxys, i), "pid") <= 0;
    return troubles;
}

static void print_more(size_t count, const char *command)
{
    if (count > SHOWN_MAX)
        printf("\nand %zu more: %s\n", count - SHOWN_MAX, command);
}

static void print_files(const struct json *status)
{
    const struct json *problems = json_get(status, "problems");
    for (size_t i = 0; i < json_count(problems); i++) {
        const struct json *one = json_at(problems, i);
        printf("\n%.*s does not count: what it said before does\n",
               SLICE_PRINT(json_get_text(one, "file")));
        view_problem(one);
    }
}

static void print_haproxys(const struct json *status)
{
    const struct json *haproxys = json_get(status, "haproxys");
    for (size_t i = 0; i < json_count(haproxys); i++) {
        const struct json *one = json_at(haproxys, i);
        if (ask_number(one, "pid") > 0)
            continue;
        printf("\nHAProxy at %.*s is not there\n", SLICE_PRINT(json_get_text(one, "socket")));
        view_line("", json_get_text(one, "problem"));
        view_hint(SLICE("systemctl status haproxy; \"runtime\" in the global file is to name the "
                        "\"stats socket\" of its configuration"));
    }
}

/* What the daemon has words for. */
static void print_notices(const struct json *status)
{
    const struct json *notices = json_get(status, "notices");
    for (size_t i = 0; i < json_count(notices); i++) {
        const struct json *one = json_at(notices, i);
        char *message = memory_copy_text(json_get_text(one, "message"));
        putchar('\n');
        terminal_wrap("", 0, message, terminal_columns());
        view_hint(json_get_text(one, "hint"));
        free(message);
    }
}

static void print_tenants(const char *socket, const struct json *status, const char *state,
                          const char *means)
{
    int64_t count = ask_number(json_get(status, "tenants"), state);
    int code;
    if (count <= 0)
        return;
    char *path = memory_format("/v1/tenants?state=%s&limit=%d", state, SHOWN_MAX);
    char *command = memory_format("owui-spoa tenants --state %s", state);
    struct json *answer = ask(socket, "GET", path, NULL, &code);
    const struct json *list = json_get(answer, "tenants");
    for (size_t i = 0; i < json_count(list); i++) {
        printf("\ntenant %.*s is %s: it %s\n", SLICE_PRINT(json_get_text(json_at(list, i), "name")),
               state, means);
        view_tenant_problems(json_at(list, i));
    }
    print_more((size_t)count, command);
    json_free(answer);
    free(command);
    free(path);
}

static void print_certificate(const struct json *certificate, int64_t now_s)
{
    char expiry[VIEW_EXPIRY_SIZE];
    view_expiry(certificate, now_s, expiry);
    printf("\ncertificate %.*s is not fine; its end: %s\n",
           SLICE_PRINT(json_get_text(certificate, "name")), expiry);
    char *next = view_next(certificate, now_s);
    view_certificate_problems(certificate, now_s);
    view_line("next", slice_of(next));
    free(next);
}

/* Those that end first come first. */
static void print_certificates(const char *socket, const struct json *status)
{
    size_t shown = 0;
    int code;
    if (count_certificates(status) == 0)
        return;
    struct json *answer = ask(socket, "GET", "/v1/certificates?sort=expiry", NULL, &code);
    const struct json *list = json_get(answer, "certificates");
    for (size_t i = 0; i < json_count(list) && shown < SHOWN_MAX; i++) {
        if (view_certificate_is_fine(json_at(list, i)))
            continue;
        print_certificate(json_at(list, i), ask_number(answer, "now"));
        shown++;
    }
    print_more(count_certificates(status), "owui-spoa certs --check");
    json_free(answer);
}

void status_print_troubles(const char *socket, const struct json *status)
{
    if (!is_serving(status))
        puts("\nit does not serve: it is starting or stopping");
    print_files(status);
    print_haproxys(status);
    print_notices(status);
    const struct view_trouble *trouble;
    for (size_t i = 0; (trouble = view_trouble_at(i)) != NULL; i++)
        print_tenants(socket, status, trouble->state, trouble->means);
    print_certificates(socket, status);
}
