/* `owui-spoa status` and `owui-spoa reload`. */
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/terminal.h"
#include "cli/view.h"
#include "core/memory.h"
#include "status_troubles.h"

#include <stdio.h>
#include <stdlib.h>

enum { LABEL_WIDTH = 13 };

static void print_uptime(int64_t uptime_s)
{
    enum { MINUTE = 60, HOUR = 60 * MINUTE, DAY = 24 * HOUR };
    if (uptime_s >= DAY)
        printf("%lldd %lldh", (long long)(uptime_s / DAY), (long long)(uptime_s % DAY / HOUR));
    else if (uptime_s >= HOUR)
        printf("%lldh %lldm", (long long)(uptime_s / HOUR), (long long)(uptime_s % HOUR / MINUTE));
    else if (uptime_s < MINUTE)
        printf("%llds", (long long)uptime_s);
    else
        printf("%lldm %llds", (long long)(uptime_s / MINUTE), (long long)(uptime_s % MINUTE));
}

/* "label   12 live, 1 broken": the members of an object that are not 0, in lines that fit. */
static void print_counts(const char *label, const struct json *counts)
{
    char *text = memory_copy_text(SLICE(""));
    for (struct json_member member = {0}; json_next(counts, &member);) {
        int64_t count = 0;
        if (!json_read_integer(member.value, &count) || count == 0)
            continue;
        char *longer = memory_format("%s%s%lld %.*s", text, text[0] != '\0' ? ", " : "",
                                     (long long)count, SLICE_PRINT(member.key));
        free(text);
        text = longer;
    }
    char *first = memory_format("%-*s", LABEL_WIDTH, label);
    terminal_wrap(first, LABEL_WIDTH, text[0] != '\0' ? text : "none", terminal_columns());
    free(first);
    free(text);
}

static void print_haproxys(const struct json *haproxys)
{
    for (size_t i = 0; i < json_count(haproxys); i++) {
        const struct json *one = json_at(haproxys, i);
        int64_t pid = ask_number(one, "pid");
        printf("%-*s%.*s: ", LABEL_WIDTH, i == 0 ? "haproxy" : "",
               SLICE_PRINT(json_get_text(one, "socket")));
        if (pid > 0)
            printf("pid %lld\n", (long long)pid);
        else
            puts("not there");
    }
}

static void print_status(const struct json *status)
{
    printf("%-*s%.*s\n", LABEL_WIDTH, "from", SLICE_PRINT(json_get_text(status, "configuration")));
    printf("%-*s%lld, hash %.*s\n", LABEL_WIDTH, "generation",
           (long long)ask_number(status, "generation"), SLICE_PRINT(json_get_text(status, "hash")));
    print_counts("tenants", json_get(status, "tenants"));
    size_t connections = (size_t)ask_number(status, "connections");
    printf("%-*s%lld, with %zu connection%s from HAProxy\n", LABEL_WIDTH, "loops",
           (long long)ask_number(status, "loops"), connections, plural_s(connections));
    print_counts("decisions", json_get(status, "decisions"));
    print_counts("bad requests", json_get(status, "refusals"));
    print_haproxys(json_get(status, "haproxys"));
    if (json_get(status, "certificates") != NULL)
        print_counts("certificates", json_get(status, "certificates"));
}

/* What somebody who was woken up reads first. */
static void print_verdict(const struct json *status, size_t troubles)
{
    bool colours = terminal_has_colours();
    printf("owui-spoa %.*s, pid %lld, up ", SLICE_PRINT(json_get_text(status, "version")),
           (long long)ask_number(status, "pid"));
    print_uptime(ask_number(status, "uptime_s"));
    printf(": %s", terminal_style(troubles == 0 ? TERMINAL_GREEN : TERMINAL_RED, colours));
    if (troubles == 0)
        printf("all is well");
    else
        printf("%zu thing%s to look at", troubles, plural_s(troubles));
    puts(terminal_style(TERMINAL_PLAIN, colours));
}

struct wish {
    const char *configuration;
    const char *socket;
    bool json;
};

static int show_status(const char *socket, bool as_json)
{
    int code;
    struct json *status = ask(socket, "GET", "/v1/status", NULL, &code);
    if (status == NULL)
        return code;
    size_t troubles = status_count_troubles(status);
    if (as_json) {
        ask_print_json(status);
    } else {
        print_verdict(status, troubles);
        status_print_troubles(socket, status);
        putchar('\n');
        print_status(status);
    }
    json_free(status);
    return troubles == 0 ? EXIT_GOOD : EXIT_BAD;
}

static int reload(const char *socket, bool as_json)
{
    int code;
    struct json *answer = ask(socket, "POST", "/v1/reload", NULL, &code);
    if (answer == NULL)
        return code;
    if (as_json) {
        ask_print_json(answer);
    } else {
        status_print_troubles(socket, answer);
        printf("%-*s%lld, hash %.*s\n", LABEL_WIDTH, "generation",
               (long long)ask_number(answer, "generation"),
               SLICE_PRINT(json_get_text(answer, "hash")));
        print_counts("tenants", json_get(answer, "tenants"));
    }
    code = status_count_troubles(answer) == 0 ? EXIT_GOOD : EXIT_BAD;
    json_free(answer);
    return code;
}

/* Both take the same options and no argument. */
static int perform(struct command_line *line, const struct command_usage *usage,
                   int (*act)(const char *socket, bool as_json))
{
    struct wish wish = {.configuration = DEFAULT_CONFIGURATION};
    const struct command_option options[] = {command_option_config(&wish.configuration),
                                             command_option_socket(&wish.socket),
                                             command_option_json(&wish.json),
                                             {0}};
    if (!command_line_read(line, usage, options))
        return line->code;
    char *socket = ask_socket(wish.socket, wish.configuration);
    int code = socket != NULL ? act(socket, wish.json) : EXIT_WRONG;
    free(socket);
    return code;
}

int status_command(struct command_line *line)
{
    static const struct command_usage USAGE = {
        .about = "Asks the running daemon over its admin socket, and tells first whether all is "
                 "well; if not, what is wrong and which line to change. Then version, generation, "
                 "tenants by state, connections, decisions by outcome, HAProxys, certificates.",
        .exit_codes =
            {"all is well",
             "a file or a tenant is wrong, a tenant has no address, a HAProxy is away or has not "
             "got its file as it should be, an issuer's keys cannot be had, a change waits for a "
             "restart, a thread stands still, connections are too many, or a certificate is not "
             "fine",
             "wrong usage, or nobody answers"},
        .examples = {"owui-spoa status", "owui-spoa status --json | jq .decisions"},
    };
    return perform(line, &USAGE, show_status);
}

int reload_command(struct command_line *line)
{
    static const struct command_usage USAGE = {
        .about = "Has the running daemon read every file again, as SIGHUP does, and tells what "
                 "came of it. Changed files are seen without it.",
        .exit_codes = {"all is right", "a file or a tenant is wrong, or has no address",
                       "wrong usage, or nobody answers"},
        .examples = {"owui-spoa reload"},
    };
    return perform(line, &USAGE, reload);
}
