/* `owui-spoa tenants`: what is in force, what is wrong, and changes. */
#include "ask.h"
#include "command.h"
#include "core/memory.h"
#include "tenants_change.h"

#include <stdio.h>
#include <stdlib.h>

struct wish {
    const char *configuration;
    const char *socket;
    const char *name;  /* NULL: all */
    const char *state; /* NULL: any */
    bool json;
};

static bool is_wrong(const struct json *tenant)
{
    struct slice state = ask_text(tenant, "state");
    return slice_equal(state, SLICE("kept")) || slice_equal(state, SLICE("broken")) ||
           slice_equal(state, SLICE("shadowed"));
}

static void print_problems(const struct json *tenant)
{
    const struct json *problems = json_get(tenant, "problems");
    for (size_t i = 0; i < json_count(problems); i++) {
        const struct json *one = json_at(problems, i);
        struct slice hint = ask_text(one, "hint");
        fputs("    ", stdout);
        if (json_get(one, "line") != NULL)
            printf("%.*s:%lld:%lld: ", SLICE_PRINT(ask_text(one, "file")),
                   (long long)ask_number(one, "line"), (long long)ask_number(one, "column"));
        printf("%.*s\n", SLICE_PRINT(ask_text(one, "message")));
        if (hint.size > 0)
            printf("        %.*s\n", SLICE_PRINT(hint));
    }
}

static void print_row(const struct json *tenant)
{
    struct slice first = SLICE("-");
    const struct json *hosts = json_get(tenant, "hosts");
    const struct json *ways = json_count(hosts) > 0 ? hosts : json_get(tenant, "paths");
    struct slice upstream = ask_text(tenant, "upstream");
    struct slice backend = ask_text(tenant, "backend");
    if (!json_read_text(json_at(ways, 0), &first))
        first = SLICE("-");
    printf("%-24.*s %-10.*s %-32.*s %s%.*s\n", SLICE_PRINT(ask_text(tenant, "name")),
           SLICE_PRINT(ask_text(tenant, "state")), SLICE_PRINT(first),
           backend.size > 0 ? "backend " : "", SLICE_PRINT(backend.size > 0 ? backend : upstream));
    print_problems(tenant);
}

/* One page; the name after which the next one begins is left in `after`, empty at the end. */
static int ask_page(const struct wish *wish, const char *socket, char **after, struct json *all,
                    bool *wrong)
{
    int code;
    char *path =
        memory_format("/v1/tenants?after=%s%s%s", *after, wish->state != NULL ? "&state=" : "",
                      wish->state != NULL ? wish->state : "");
    struct json *answer = ask(socket, "GET", path, NULL, &code);
    free(path);
    if (answer == NULL)
        return code;
    const struct json *list = json_get(answer, "tenants");
    for (size_t i = 0; i < json_count(list); i++) {
        *wrong = *wrong || is_wrong(json_at(list, i));
        if (wish->json)
            json_append(all, json_clone(json_at(list, i)));
        else
            print_row(json_at(list, i));
    }
    free(*after);
    *after = memory_copy_text(ask_text(answer, "after"));
    json_free(answer);
    return EXIT_GOOD;
}

static int show_all(const struct wish *wish, const char *socket)
{
    char *after = memory_copy_text(SLICE(""));
    struct json *root = json_new_object();
    struct json *all = json_new_array();
    bool wrong = false;
    int code;
    json_put(root, "tenants", all);
    if (!wish->json)
        printf("%-24s %-10s %-32s %s\n", "TENANT", "STATE", "FOR", "UPSTREAM");
    do
        code = ask_page(wish, socket, &after, all, &wrong);
    while (code == EXIT_GOOD && after[0] != '\0');
    if (code == EXIT_GOOD && wish->json)
        ask_print_json(root);
    json_free(root);
    free(after);
    return code == EXIT_GOOD && wrong ? EXIT_BAD : code;
}

static void print_list(const char *label, const struct json *list)
{
    struct slice text;
    for (size_t i = 0; i < json_count(list); i++)
        if (json_read_text(json_at(list, i), &text))
            printf("%-11s%.*s\n", i == 0 ? label : "", SLICE_PRINT(text));
}

static void print_replicas(const struct json *list)
{
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *item = json_at(list, i);
        bool draining = false;
        if (!json_read_bool(json_get(item, "draining"), &draining))
            draining = false;
        printf("%-11s%-10.*s %.*s%s\n", i == 0 ? "replicas" : "",
               SLICE_PRINT(ask_text(item, "state")), SLICE_PRINT(ask_text(item, "url")),
               draining ? ", draining" : "");
    }
}

static void print_line(const char *label, struct slice text)
{
    if (text.size > 0)
        printf("%-11s%.*s\n", label, SLICE_PRINT(text));
}

static void print_tenant(const struct json *tenant)
{
    const struct json *definition = json_get(tenant, "definition");
    print_line("tenant", ask_text(tenant, "name"));
    print_line("state", ask_text(tenant, "state"));
    printf("%-11s%.*s:%lld\n", "file", SLICE_PRINT(ask_text(tenant, "file")),
           (long long)ask_number(tenant, "line"));
    print_list("hosts", json_get(tenant, "hosts"));
    print_list("paths", json_get(tenant, "paths"));
    print_line("version", ask_text(tenant, "version"));
    print_line("upstream", ask_text(tenant, "upstream"));
    print_replicas(json_get(tenant, "replicas"));
    print_line("address", ask_text(tenant, "address"));
    print_line("backend", ask_text(tenant, "backend"));
    if (json_count(json_get(tenant, "problems")) > 0) {
        puts("problems");
        print_problems(tenant);
    }
    if (definition != NULL) {
        puts("\nin its file");
        ask_print_json(definition);
    }
}

static int show_one(const struct wish *wish, const char *socket)
{
    int code;
    char *path = memory_format("/v1/tenants/%s", wish->name);
    struct json *tenant = ask(socket, "GET", path, NULL, &code);
    free(path);
    if (tenant == NULL)
        return code;
    if (wish->json)
        ask_print_json(tenant);
    else
        print_tenant(tenant);
    code = is_wrong(tenant) ? EXIT_BAD : EXIT_GOOD;
    json_free(tenant);
    return code;
}

static int perform(const struct wish *wish)
{
    char *socket = ask_socket(wish->socket, wish->configuration);
    int code = socket == NULL       ? EXIT_WRONG
               : wish->name != NULL ? show_one(wish, socket)
                                    : show_all(wish, socket);
    free(socket);
    return code;
}

static const struct command_usage USAGE = {
    .forms = {"[NAME]", "add NAME JSONFILE|KEY=VALUE...", "set NAME JSONFILE|KEY=VALUE...",
              "remove NAME"},
    .about = "Asks the running daemon. A change is written to the tenant's file, of which all else "
             "stays as it is, and in force when the command ends; what would be wrong is refused. "
             "A VALUE is JSON, or a text; none removes the key.",
    .verbs = {{"add", "in a file of its own, or the one that --file names"},
              {"set", "some keys of it"},
              {"remove", "it is gone when the command ends"}},
    .terms_heading = "states",
    .terms = {{"live", "as its file says"},
              {"unresolved", "the same, but the upstream's name has no address yet"},
              {"parked", "as it was before, until the new upstream's name has an address"},
              {"kept", "as it last was right: what its file says now is wrong"},
              {"broken", "not served: what its file says is wrong, and was never right"},
              {"shadowed", "not served: another file has a tenant of this name"}},
    .exit_codes = {"all is well",
                   "a tenant is kept, broken or shadowed, or there is no such tenant",
                   "nobody answers"},
    .examples = {"owui-spoa tenants --state broken", "owui-spoa tenants chat --json",
                 "owui-spoa tenants add chat hosts='[\"chat.example.com\"]' \\\n"
                 "      upstream=http://10.0.0.1:3000",
                 "owui-spoa tenants set chat upstream=http://10.0.0.2:3000"},
    .max_words = SIZE_MAX,
};

int tenants_command(struct command_line *line)
{
    static const char *const STATES[] = {"live",   "unresolved", "parked", "kept",
                                         "broken", "shadowed",   NULL};
    struct wish wish = {.configuration = DEFAULT_CONFIGURATION};
    struct tenants_change change = {0};
    const struct command_option options[] = {
        {"state", 0, "STATE", "show those alone", STATES, .text = &wish.state},
        {"file", 0, "FILE.json", "add: to this file in tenants_dir", .text = &change.file},
        {"if-match", 0, "ETAG", "set, remove: unless somebody else has changed it",
         .text = &change.if_match},
        command_option_config(&wish.configuration),
        command_option_socket(&wish.socket),
        command_option_json(&wish.json),
        {0},
    };
    if (!command_line_read(line, &USAGE, options))
        return line->code;
    const char *verb = command_line_next_verb(line, &USAGE);
    if (verb != NULL) {
        change.configuration = wish.configuration;
        change.socket = wish.socket;
        change.json = wish.json;
        return tenants_change(&change, verb, line);
    }
    wish.name = command_line_next(line);
    if (line->count > 0)
        return command_line_misused(line, "unexpected argument \"%s\"", line->words[0]);
    if (wish.name != NULL && !ask_item_valid(wish.name))
        return command_line_misused(line, "\"%s\" is no name", wish.name);
    return perform(&wish);
}
