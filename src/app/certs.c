/* `owui-spoa certs`: the running daemon's certificates, shown and acted upon. */
#include "admin/admin_client.h"
#include "command.h"
#include "conf/configuration.h"
#include "conf/diagnostics.h"
#include "core/memory.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

enum { DAY_S = 86400, PATH_SIZE = 512 };

static struct slice text_of(const struct json *object, const char *key)
{
    struct slice text = {0};
    if (!json_read_text(json_get(object, key), &text))
        return SLICE("");
    return text;
}

static int64_t number_of(const struct json *object, const char *key)
{
    int64_t number = 0;
    return json_read_integer(json_get(object, key), &number) ? number : 0;
}

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
    int64_t left_s = number_of(certificate, "not_after") - now_s;
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
    struct slice detail = text_of(problem, "detail");
    struct slice type = text_of(problem, "type");
    printf("    %s: %.*s%s%.*s\n", about, SLICE_PRINT(type), type.size > 0 ? ": " : "",
           SLICE_PRINT(detail));
    struct slice url = text_of(problem, "url");
    if (url.size > 0)
        printf("    see %.*s\n", SLICE_PRINT(url));
}

static void print_row(const struct json *certificate, int64_t now_s)
{
    char expiry[24];
    char served[24];
    struct slice name = text_of(certificate, "name");
    struct slice first = {0};
    const struct json *hosts = json_get(certificate, "hosts");
    const struct json *left_out = json_get(certificate, "left_out");
    const struct json *haproxys = json_get(certificate, "haproxys");

    if (!json_read_text(json_at(hosts, 0), &first))
        first = SLICE("-");
    print_expiry(certificate, now_s, expiry, sizeof(expiry));
    print_served(certificate, served, sizeof(served));
    struct slice doing = text_of(certificate, "doing");
    struct slice next = doing.size > 0 ? doing : text_of(certificate, "next");
    printf("%-24.*s %-32.*s %-9s %-7s %.*s\n", SLICE_PRINT(name), SLICE_PRINT(first), expiry,
           served, SLICE_PRINT(next));
    if (json_count(hosts) > 1)
        printf("    and %zu more names\n", json_count(hosts) - 1);
    if (json_get(certificate, "problem") != NULL)
        print_problem(json_get(certificate, "problem"), "last problem");
    for (size_t i = 0; i < json_count(left_out); i++) {
        const struct json *host = json_at(left_out, i);
        char about[300];
        snprintf(about, sizeof(about), "left out %.*s", SLICE_PRINT(text_of(host, "host")));
        print_problem(json_get(host, "problem"), about);
    }
    struct slice served_wrong = text_of(certificate, "served_wrong");
    if (served_wrong.size > 0)
        printf("    served: %.*s\n", SLICE_PRINT(served_wrong));
    for (size_t i = 0; i < json_count(haproxys); i++) {
        struct slice problem = text_of(json_at(haproxys, i), "problem");
        if (problem.size > 0)
            printf("    HAProxy: %.*s\n", SLICE_PRINT(problem));
    }
}

static void print_json(const struct json *answer)
{
    char *text = json_print(answer, JSON_STYLE_INDENTED);
    fputs(text, stdout);
    free(text);
}

/* For monitoring: whether every certificate is there, not near its end, and served everywhere. */
static bool is_fine(const struct json *certificate)
{
    const struct json *haproxys = json_get(certificate, "haproxys");
    bool fine = json_get(certificate, "not_after") != NULL &&
                slice_equal(text_of(certificate, "alarm"), SLICE("fine")) &&
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
    int64_t now_s = number_of(answer, "now");
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
        struct slice reason = text_of(one, "reason");
        struct slice certificate = text_of(one, "certificate");
        printf("%-10s %-32.*s %.*s\n", what, SLICE_PRINT(text_of(one, "lineage")),
               SLICE_PRINT(reason.size > 0 ? reason : certificate));
    }
}

/* The daemon's answer; NULL when there is none or it is a refusal, which is then told, with the
 * exit code in `*code`. */
static struct json *ask(const char *socket, const char *method, const char *path,
                        const struct json *body, int *code)
{
    struct error_text why;
    unsigned status = 0;
    struct json *answer = admin_request(socket, method, path, body, &status, &why);
    *code = EXIT_GOOD;
    if (answer == NULL) {
        fprintf(stderr, "owui-spoa: %s\n", why.text);
        *code = EXIT_WRONG;
    } else if (status >= 400) {
        fprintf(stderr, "owui-spoa: %.*s\n", SLICE_PRINT(text_of(answer, "error")));
        *code = EXIT_BAD;
        json_free(answer);
        answer = NULL;
    }
    return answer;
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
        print_json(answer);
    } else {
        print_lineages(json_get(answer, "imported"), "imported");
        print_lineages(json_get(answer, "unchanged"), "unchanged");
        print_lineages(json_get(answer, "skipped"), "skipped");
    }
    json_free(answer);
    return code;
}

static int perform(const struct wish *wish, const char *socket)
{
    if (wish->action != NULL && strcmp(wish->action, "import") == 0)
        return import(wish, socket);
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
        print_json(answer);
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
    struct diagnostics diagnostics = {0};
    struct tenant_file tenants = {0};
    if (wish->socket != NULL)
        return perform(wish, wish->socket);
    struct configuration *configuration =
        configuration_load(wish->configuration, &tenants, &diagnostics);
    int code = EXIT_WRONG;
    if (configuration != NULL)
        code = perform(wish, configuration->admin_socket);
    else
        fprintf(stderr, "owui-spoa: %s cannot be read; `owui-spoa check` tells why\n",
                wish->configuration);
    configuration_free(configuration);
    tenant_file_fini(&tenants);
    diagnostics_fini(&diagnostics);
    return code;
}

static bool is_action(const char *text)
{
    static const char *const ACTIONS[] = {"renew", "revoke", "deploy", "rollback", "import"};
    for (size_t i = 0; i < COUNT_OF(ACTIONS); i++)
        if (strcmp(text, ACTIONS[i]) == 0)
            return true;
    return false;
}

int certs_command(int count, char **arguments)
{
    static const struct option OPTIONS[] = {
        {"config", required_argument, NULL, 'c'}, {"socket", required_argument, NULL, 's'},
        {"check", no_argument, NULL, 'k'},        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},         {0}};
    struct wish wish = {.configuration = DEFAULT_CONFIGURATION};
    int option;

    while ((option = getopt_long(count, arguments, "c:h", OPTIONS, NULL)) != -1) {
        switch (option) {
        case 'c': wish.configuration = optarg; break;
        case 's': wish.socket = optarg; break;
        case 'k': wish.check = true; break;
        case 'j': wish.json = true; break;
        case 'h': return command_help(arguments[0]);
        default: return command_misused(arguments[0], NULL);
        }
    }
    if (optind < count && is_action(arguments[optind])) {
        wish.action = arguments[optind++];
        if (optind == count)
            return command_misused(arguments[0],
                                   strcmp(wish.action, "import") == 0 ? "%s: from which folder?"
                                                                      : "%s: of which certificate?",
                                   wish.action);
    }
    if (optind < count)
        wish.name = arguments[optind++];
    if (optind < count)
        return command_misused(arguments[0], "unexpected argument \"%s\"", arguments[optind]);
    return perform_on_configured_socket(&wish);
}
