/* `owui-spoa certs`: the running daemon's certificates, shown and acted upon. */
#include "ask.h"
#include "command.h"
#include "core/time_text.h"

#include <stdio.h>
#include <stdlib.h>

enum { DAY_S = 86400, NAMES_SHOWN = 6, PATH_SIZE = 512 };

/* "1/2": how many HAProxys serve what is on disk. */
static void print_served(const struct json *certificate, char *text, size_t size)
{
    const struct json *haproxys = json_get(certificate, "haproxys");
    size_t served = 0;
    for (size_t i = 0; i < json_count(haproxys); i++) {
        bool yes = false;
        if (json_read_bool(json_get(json_at(haproxys, i), "served"), &yes) && yes)
            served++;
    }
    snprintf(text, size, "%zu/%zu", served, json_count(haproxys));
}

static void print_expiry(const struct json *certificate, int64_t now_s, char *text, size_t size)
{
    int64_t left_s = ask_number(certificate, "not_after") - now_s;
    if (json_get(certificate, "not_after") == NULL)
        snprintf(text, size, "none yet");
    else if (left_s <= 0)
        snprintf(text, size, "EXPIRED");
    else if (left_s < 2 * DAY_S)
        snprintf(text, size, "%lldh", (long long)(left_s / 3600));
    else
        snprintf(text, size, "%lldd", (long long)(left_s / DAY_S));
}

static void print_problem(const struct json *problem, const char *about)
{
    struct slice detail = ask_text(problem, "detail");
    struct slice type = ask_text(problem, "type");
    printf("    %s: %.*s%s%.*s\n", about, SLICE_PRINT(type), type.size > 0 ? ": " : "",
           SLICE_PRINT(detail));
    struct slice url = ask_text(problem, "url");
    if (url.size > 0)
        printf("    see %.*s\n", SLICE_PRINT(url));
}

/* The names behind the first. */
static void print_names(const struct json *hosts)
{
    size_t count = json_count(hosts);
    size_t shown = count > NAMES_SHOWN ? NAMES_SHOWN : count;
    for (size_t i = 1; i < shown; i++) {
        struct slice name = {0};
        if (json_read_text(json_at(hosts, i), &name))
            printf("%s%.*s", i == 1 ? "    and for " : ", ", SLICE_PRINT(name));
    }
    if (count > shown)
        printf(" and %zu more", count - shown);
    if (count > 1)
        putchar('\n');
}

/* Whose the certificate is that is on disk. */
static void print_origin(const struct json *certificate)
{
    char until[TIME_TEXT_SIZE];
    struct slice serial = ask_text(certificate, "serial");
    struct slice ca = ask_text(certificate, "ca");
    if (serial.size == 0)
        return;
    time_text_print(ask_number(certificate, "not_after"), until);
    printf("    %.*s, serial %.*s, until %s, from %.*s\n",
           SLICE_PRINT(ask_text(certificate, "issuer")), SLICE_PRINT(serial), until,
           SLICE_PRINT(ca.size > 0 ? ca : SLICE("a file")));
}

static void print_row(const struct json *certificate, int64_t now_s)
{
    char expiry[24];
    char served[24];
    struct slice name = ask_text(certificate, "name");
    struct slice first = {0};
    const struct json *hosts = json_get(certificate, "hosts");
    const struct json *left_out = json_get(certificate, "left_out");
    const struct json *haproxys = json_get(certificate, "haproxys");

    if (!json_read_text(json_at(hosts, 0), &first))
        first = SLICE("-");
    print_expiry(certificate, now_s, expiry, sizeof(expiry));
    print_served(certificate, served, sizeof(served));
    struct slice doing = ask_text(certificate, "doing");
    struct slice next = doing.size > 0 ? doing : ask_text(certificate, "next");
    printf("%-24.*s %-32.*s %-9s %-7s %.*s\n", SLICE_PRINT(name), SLICE_PRINT(first), expiry,
           served, SLICE_PRINT(next));
    print_names(hosts);
    print_origin(certificate);
    if (json_get(certificate, "problem") != NULL)
        print_problem(json_get(certificate, "problem"), "last problem");
    for (size_t i = 0; i < json_count(left_out); i++) {
        const struct json *host = json_at(left_out, i);
        char about[300];
        snprintf(about, sizeof(about), "left out %.*s", SLICE_PRINT(ask_text(host, "host")));
        print_problem(json_get(host, "problem"), about);
    }
    struct slice served_wrong = ask_text(certificate, "served_wrong");
    if (served_wrong.size > 0)
        printf("    served: %.*s\n", SLICE_PRINT(served_wrong));
    for (size_t i = 0; i < json_count(haproxys); i++) {
        struct slice problem = ask_text(json_at(haproxys, i), "problem");
        if (problem.size > 0)
            printf("    HAProxy: %.*s\n", SLICE_PRINT(problem));
    }
}

/* For monitoring: whether every certificate is there, not near its end, and served everywhere. */
static bool is_fine(const struct json *certificate)
{
    const struct json *haproxys = json_get(certificate, "haproxys");
    bool fine = json_get(certificate, "not_after") != NULL &&
                slice_equal(ask_text(certificate, "alarm"), SLICE("fine")) &&
                json_get(certificate, "served_wrong") == NULL;
    for (size_t i = 0; i < json_count(haproxys); i++) {
        bool served = false;
        fine = fine && json_read_bool(json_get(json_at(haproxys, i), "served"), &served) && served;
    }
    return fine;
}

static int show_list(const struct json *answer, bool check)
{
    const struct json *list = json_get(answer, "certificates");
    int64_t now_s = ask_number(answer, "now");
    size_t bad = 0;
    if (!check)
        printf("%-24s %-32s %-9s %-7s %s\n", "CERTIFICATE", "FOR", "EXPIRES", "SERVED", "NEXT");
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *certificate = json_at(list, i);
        bool fine = is_fine(certificate);
        bad += !fine;
        if (!check || !fine)
            print_row(certificate, now_s);
    }
    if (check)
        printf("%zu certificates, %zu not fine\n", json_count(list), bad);
    return check && bad > 0 ? EXIT_BAD : EXIT_GOOD;
}

struct wish {
    const char *configuration;
    const char *socket; /* NULL: the configuration's */
    const char *action; /* NULL: show */
    const char *name;   /* NULL: all */
    bool check;
    bool json;
};

static void print_lineages(const struct json *list, const char *what)
{
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *one = json_at(list, i);
        struct slice reason = ask_text(one, "reason");
        struct slice certificate = ask_text(one, "certificate");
        printf("%-10s %-32.*s %.*s\n", what, SLICE_PRINT(ask_text(one, "lineage")),
               SLICE_PRINT(reason.size > 0 ? reason : certificate));
    }
}

/* The daemon reads the folder, so that keys do not travel. */
static int import(const struct wish *wish, const char *socket)
{
    int code;
    char *folder = realpath(wish->name, NULL);
    struct json *body = json_new_object();
    json_put_text(body, "folder", slice_of(folder != NULL ? folder : wish->name));
    struct json *answer = ask(socket, "POST", "/v1/import", body, &code);
    json_free(body);
    free(folder);
    if (answer == NULL)
        return code;
    if (wish->json) {
        ask_print_json(answer);
    } else {
        print_lineages(json_get(answer, "imported"), "imported");
        print_lineages(json_get(answer, "unchanged"), "unchanged");
        print_lineages(json_get(answer, "skipped"), "skipped");
    }
    json_free(answer);
    return code;
}

static int roll_over(const char *socket)
{
    int code;
    struct json *answer = ask(socket, "POST", "/v1/account/rollover", NULL, &code);
    if (answer == NULL)
        return code;
    puts("The CA is asked to take a new key for the account; the log tells how it went.\n"
         "haproxy.cfg may hold the thumbprint of the key before: when it is done, write it again\n"
         "with `owui-spoa haproxy-config` and reload HAProxy.");
    json_free(answer);
    return code;
}

static bool is_rollover(const struct wish *wish)
{
    return wish->action != NULL && strcmp(wish->action, "rollover") == 0;
}

static int perform(const struct wish *wish, const char *socket)
{
    if (wish->action != NULL && strcmp(wish->action, "import") == 0)
        return import(wish, socket);
    if (is_rollover(wish))
        return roll_over(socket);
    char path[PATH_SIZE];
    int code;

    if (wish->name == NULL)
        snprintf(path, sizeof(path), "/v1/certificates");
    else
        snprintf(path, sizeof(path), "/v1/certificates/%s%s%s", wish->name,
                 wish->action != NULL ? "/" : "", wish->action != NULL ? wish->action : "");
    struct json *answer = ask(socket, wish->action != NULL ? "POST" : "GET", path, NULL, &code);
    if (answer == NULL)
        return code;
    if (wish->json || (wish->name != NULL && wish->action == NULL)) {
        ask_print_json(answer);
    } else if (wish->action != NULL) {
        printf("%s: %s is under way; `owui-spoa certs` tells how it goes\n", wish->name,
               wish->action);
    } else {
        code = show_list(answer, wish->check);
    }
    json_free(answer);
    return code;
}

static int perform_on_configured_socket(const struct wish *wish)
{
    char *socket = ask_socket(wish->socket, wish->configuration);
    int code = socket != NULL ? perform(wish, socket) : EXIT_WRONG;
    free(socket);
    return code;
}

static const struct command_usage USAGE = {
    .forms = {"[NAME]", "renew|revoke|deploy|rollback NAME", "import FOLDER", "rollover"},
    .about = "Asks the running daemon over its admin socket. NAME is a tenant, or a certificate's "
             "file.",
    .verbs = {{"renew", "order a new certificate now"},
              {"revoke", "tell the CA that it is not to be trusted any more, order another"},
              {"deploy", "bring what is on disk to every HAProxy again"},
              {"rollback", "put the certificate before this one back in service"},
              {"import", "take over certbot's certificates (/etc/letsencrypt): each goes to the "
                         "tenant that has its names; the daemon reads the folder"},
              {"rollover", "give the account at the CA a new key"}},
    .exit_codes = {"fine",
                   "with --check: a certificate is missing, near its end or not served; else: "
                   "refused",
                   "nobody answers"},
    .examples = {"owui-spoa certs", "owui-spoa certs renew chat",
                 "owui-spoa certs --check || mail -s certificates root"},
    .max_words = 2,
};

int certs_command(struct command_line *line)
{
    struct wish wish = {.configuration = DEFAULT_CONFIGURATION};
    const struct command_option options[] = {
        {"check", 0, NULL, "print only what is not fine; for monitoring", .flag = &wish.check},
        command_option_config(&wish.configuration),
        command_option_socket(&wish.socket),
        command_option_json(&wish.json),
        {0},
    };
    if (!command_line_read(line, &USAGE, options))
        return line->code;
    wish.action = command_line_next_verb(line, &USAGE);
    bool takes_name = !is_rollover(&wish);
    if (takes_name)
        wish.name = command_line_next(line);
    if (line->count > 0)
        return command_line_misused(line, "unexpected argument \"%s\"", line->words[0]);
    if (wish.action != NULL && takes_name && wish.name == NULL)
        return command_line_misused(line,
                                    strcmp(wish.action, "import") == 0
                                        ? "%s: from which folder?"
                                        : "%s: of which certificate?",
                                    wish.action);
    return perform_on_configured_socket(&wish);
}
