/* `owui-spoa certs`: the running daemon's certificates, shown and acted upon. */
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/terminal.h"
#include "cli/view.h"
#include "core/clock.h"
#include "core/memory.h"
#include "core/time_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAMES_SHOWN = 6, PATH_SIZE = 512 };

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

/* All names in a line or two, and by whom. */
static void print_names(const struct json *certificate)
{
    const struct json *hosts = json_get(certificate, "hosts");
    struct slice issuer = json_get_text(certificate, "issuer");
    size_t count = json_count(hosts);
    size_t shown = size_min(count, NAMES_SHOWN);
    char *names = memory_copy_text(SLICE(""));
    for (size_t i = 0; i < shown; i++) {
        struct slice name = SLICE("?");
        if (!json_read_text(json_at(hosts, i), &name))
            continue;
        char *longer =
            memory_format("%s%s%.*s", names, names[0] != '\0' ? ", " : "", SLICE_PRINT(name));
        free(names);
        names = longer;
    }
    char *whole = count > shown ? memory_format("%s and %zu more", names, count - shown)
                                : memory_copy_text(slice_of(names));
    char *text = memory_format("for %s%s%.*s", whole, issuer.size > 0 ? ", issued by " : "",
                               SLICE_PRINT(issuer));
    view_line("", slice_of(text));
    free(text);
    free(whole);
    free(names);
}

static void print_row(const struct json *certificate, int64_t now_s)
{
    enum { NEXT_INDENT = 43 };
    char expiry[VIEW_EXPIRY_SIZE];
    char served[24];
    view_expiry(certificate, now_s, expiry);
    print_served(certificate, served, sizeof(served));
    char *next = view_next(certificate, now_s);
    char *first = memory_format("%-24.*s  %-9s %-6s",
                                SLICE_PRINT(json_get_text(certificate, "name")), expiry, served);
    char *padded = memory_format("%-*s", NEXT_INDENT, first);
    terminal_wrap(padded, NEXT_INDENT, next, terminal_columns());
    print_names(certificate);
    view_certificate_problems(certificate, now_s);
    free(padded);
    free(first);
    free(next);
}

/* Of a list, or of the one that was asked for. */
static size_t count_bad(const struct json *answer)
{
    const struct json *list = json_get(answer, "certificates");
    size_t bad = list == NULL && !view_certificate_is_fine(answer);
    for (size_t i = 0; i < json_count(list); i++)
        bad += !view_certificate_is_fine(json_at(list, i));
    return bad;
}

/* What is wrong comes first. */
static void show_list(const struct json *answer, bool check)
{
    const struct json *list = json_get(answer, "certificates");
    int64_t now_s = ask_number(answer, "now");
    size_t bad = count_bad(answer);
    if (!check || bad > 0)
        printf("%-24s  %-9s %-6s %s\n", "CERTIFICATE", "EXPIRES", "SERVED", "NEXT");
    for (int fine = 0; fine <= !check; fine++)
        for (size_t i = 0; i < json_count(list); i++)
            if (view_certificate_is_fine(json_at(list, i)) == (fine != 0))
                print_row(json_at(list, i), now_s);
    if (check ? bad > 0 : json_count(list) == 0)
        printf("%zu certificate%s, %zu not fine\n", json_count(list), plural_s(json_count(list)),
               bad);
}

static void print_field(const char *label, struct slice text)
{
    if (text.size > 0)
        printf("%-12s%.*s\n", label, SLICE_PRINT(text));
}

static void print_time(const struct json *certificate, const char *label, const char *key)
{
    char time[TIME_TEXT_SIZE];
    if (json_get(certificate, key) != NULL)
        print_field(label, slice_of(time_text_print(ask_number(certificate, key), time)));
}

static void show_one(const struct json *certificate)
{
    const struct json *hosts = json_get(certificate, "hosts");
    struct slice ca = json_get_text(certificate, "ca");
    int64_t now_s = clock_wall_s();
    char *next = view_next(certificate, now_s);
    print_field("certificate", json_get_text(certificate, "name"));
    print_field("tenant", json_get_text(certificate, "tenant"));
    for (size_t i = 0; i < json_count(hosts); i++) {
        struct slice name;
        if (json_read_text(json_at(hosts, i), &name))
            print_field(i == 0 ? "for" : "", name);
    }
    print_time(certificate, "from", "not_before");
    print_time(certificate, "until", "not_after");
    print_time(certificate, "renewal", "renewal");
    print_field("issuer", json_get_text(certificate, "issuer"));
    print_field("serial", json_get_text(certificate, "serial"));
    print_field("key", json_get_text(certificate, "key"));
    print_field("CA", ca.size > 0 ? ca : SLICE("a file"));
    print_field("next", slice_of(next));
    char served[24];
    print_served(certificate, served, sizeof(served));
    printf("%-12s%s HAProxys\n", "served by", served);
    if (!view_certificate_is_fine(certificate) || json_get(certificate, "problem") != NULL)
        puts("problems");
    view_certificate_problems(certificate, now_s);
    free(next);
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
        struct slice reason = json_get_text(one, "reason");
        struct slice certificate = json_get_text(one, "certificate");
        printf("%-10s %-32.*s %.*s\n", what, SLICE_PRINT(json_get_text(one, "lineage")),
               SLICE_PRINT(reason.size > 0 ? reason : certificate));
    }
}

/* The daemon reads the folder, so that keys do not travel. */
static int import(const struct wish *wish, const char *socket)
{
    static const char *const FATES[] = {"imported", "unchanged", "skipped"};
    int code;
    assert(wish->name != NULL);
    char *folder = realpath(wish->name, NULL);
    /* One of /'s may be the daemon's to see alone. */
    if (folder == NULL && wish->name[0] != '/') {
        terminal_complain("cannot open %s: %s", wish->name, strerror(errno));
        return EXIT_BAD;
    }
    struct json *body = json_new_object();
    json_put_text(body, "folder", slice_of(folder != NULL ? folder : wish->name));
    struct json *answer = ask(socket, "POST", "/v1/import", body, &code);
    json_free(body);
    free(folder);
    if (answer == NULL)
        return code;
    size_t count = 0;
    for (size_t i = 0; i < COUNT_OF(FATES); i++)
        count += json_count(json_get(answer, FATES[i]));
    if (wish->json)
        ask_print_json(answer);
    else if (count == 0)
        printf("no certificate of certbot's is in %s\n", wish->name);
    for (size_t i = 0; !wish->json && i < COUNT_OF(FATES); i++)
        print_lineages(json_get(answer, FATES[i]), FATES[i]);
    json_free(answer);
    return code;
}

static int roll_over(const struct wish *wish, const char *socket)
{
    int code;
    struct json *answer = ask(socket, "POST", "/v1/account/rollover", NULL, &code);
    if (answer == NULL)
        return code;
    if (wish->json)
        ask_print_json(answer);
    else
        puts("The CA is asked to take a new key for the account; the log tells how it went.\n"
             "haproxy.cfg may hold the thumbprint of the key before. When it is done, write it\n"
             "again, to the folder where it is:\n"
             "  owui-spoa haproxy-config --out /etc/haproxy && systemctl reload haproxy");
    json_free(answer);
    return code;
}

static bool is_import(const struct wish *wish)
{
    return wish->action != NULL && strcmp(wish->action, "import") == 0;
}

static bool is_rollover(const struct wish *wish)
{
    return wish->action != NULL && strcmp(wish->action, "rollover") == 0;
}

static int perform(const struct wish *wish, const char *socket)
{
    if (is_import(wish))
        return import(wish, socket);
    if (is_rollover(wish))
        return roll_over(wish, socket);
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
    if (wish->json) {
        ask_print_json(answer);
    } else if (wish->action == NULL && wish->name != NULL) {
        if (!wish->check || count_bad(answer) > 0)
            show_one(answer);
    } else if (wish->action != NULL) {
        printf("%s: %s is under way; `owui-spoa certs` tells how it goes\n", wish->name,
               wish->action);
    } else {
        show_list(answer, wish->check);
    }
    if (wish->action == NULL && wish->check && count_bad(answer) > 0)
        code = EXIT_BAD;
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
    .verbs =
        {{"renew", "order a new certificate now"},
         {"revoke", "tell the CA that it is not to be trusted any more, order another"},
         {"deploy", "bring what is on disk to every HAProxy again"},
         {"rollback",
          "put the certificate before this one back in service, if it has not expired and is for "
          "some of the hosts; a renewal waits, a day at most"},
         {"import", "take over certbot's certificates (/etc/letsencrypt): each goes to the "
                    "tenant that has its names; the daemon has to be able to read the folder"},
         {"rollover", "give the account at the CA a new key"}},
    .exit_codes = {"fine",
                   "with --check: a certificate is missing, near its end, not served, not "
                   "trusted after its CA was left, or not for all of its hosts; else: "
                   "refused",
                   "wrong usage, or nobody answers"},
    .examples = {"owui-spoa certs", "owui-spoa certs renew chat",
                 "owui-spoa certs --check || owui-spoa certs | mail -s certificates root"},
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
    if (!command_line_ends(line, &USAGE, wish.action == NULL ? wish.name : NULL))
        return line->code;
    if (wish.action != NULL && takes_name && wish.name == NULL)
        return command_line_misused(
            line, is_import(&wish) ? "%s: from which folder?" : "%s: of which certificate?",
            wish.action);
    if (wish.name != NULL && !is_import(&wish) && !ask_item_valid(wish.name))
        return command_line_misused(line, "\"%s\" is no name", wish.name);
    if (wish.check && wish.action != NULL)
        return command_line_misused(line, "--check looks only: it does not go with %s",
                                    wish.action);
    return perform_on_configured_socket(&wish);
}
