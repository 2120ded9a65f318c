/* `owui-spoa tenants`: what is in force, what is wrong, and changes. */
#include "analysis/environment.h"
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/terminal.h"
#include "cli/view.h"
#include "core/ascii.h"
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

/* -- All of them ------------------------------------------------------------------------------- */

/* What has been shown, and how wide: columns are as wide as the first page needs,
 * but for the longest names. */
struct list {
    const char *socket;
    struct json *all; /* for programs; else NULL */
    size_t count, wrong;
    int name_width, way_width; /* 0: no head has been printed yet */
};

/* The first of its hosts or paths. */
static struct slice way_of(const struct json *tenant)
{
    struct slice first = SLICE("-");
    const struct json *hosts = json_get(tenant, "hosts");
    const struct json *ways = json_count(hosts) > 0 ? hosts : json_get(tenant, "paths");
    return json_read_text(json_at(ways, 0), &first) ? first : SLICE("-");
}

static void print_head(struct list *list, const struct json *page)
{
    enum { NAME_MIN = 8, NAME_MAX = 24, WAY_MIN = 12, WAY_MAX = 30 };
    size_t name = NAME_MIN, way = WAY_MIN;
    if (list->name_width > 0)
        return;
    for (size_t i = 0; i < json_count(page); i++) {
        size_t name_size = json_get_text(json_at(page, i), "name").size;
        size_t way_size = way_of(json_at(page, i)).size;
        if (name_size > name && name_size <= NAME_MAX)
            name = name_size;
        if (way_size > way && way_size <= WAY_MAX)
            way = way_size;
    }
    list->name_width = (int)name;
    list->way_width = (int)way;
    printf("%s%-*s %-10s %-*s %s\n", list->wrong > 0 ? "\n" : "", list->name_width, "TENANT",
           "STATE", list->way_width, "FOR", "UPSTREAM");
}

/* Why users of one that is in force meet a page. */
static const char *outage_of(const struct json *tenant)
{
    bool is = false;
    if (json_read_bool(json_get(tenant, "suspended"), &is) && is)
        return "suspended";
    if (json_read_bool(json_get(tenant, "maintenance"), &is) && is)
        return "in maintenance";
    return "";
}

/* The rest of a row that would be too wide stands below. */
static void print_row(const struct list *list, const struct json *tenant)
{
    enum { BELOW_INDENT = 4, STATE_WIDTH = 10 };
    struct slice name = json_get_text(tenant, "name");
    struct slice way = way_of(tenant);
    struct slice backend = json_get_text(tenant, "backend");
    struct slice upstream = backend.size > 0 ? backend : json_get_text(tenant, "upstream");
    const char *kind = backend.size > 0 ? "backend " : "";
    const char *outage = outage_of(tenant);
    const char *comma = *outage != '\0' ? ", " : "";
    size_t width = (size_t)list->name_width + STATE_WIDTH + (size_t)list->way_width + 3;
    bool fits =
        name.size <= (size_t)list->name_width && way.size <= (size_t)list->way_width &&
        width + strlen(kind) + upstream.size + strlen(comma) + strlen(outage) <= terminal_columns();
    printf("%-*.*s %-*.*s ", list->name_width, SLICE_PRINT(name), STATE_WIDTH,
           SLICE_PRINT(json_get_text(tenant, "state")));
    if (fits)
        printf("%-*.*s %s%.*s", list->way_width, SLICE_PRINT(way), kind, SLICE_PRINT(upstream));
    else
        printf("%.*s\n%*s%s%.*s", SLICE_PRINT(way), BELOW_INDENT, "", kind, SLICE_PRINT(upstream));
    printf("%s%s\n", comma, outage);
}

static void take_page(struct list *list, const struct json *page, bool only_right)
{
    for (size_t i = 0; i < json_count(page); i++) {
        const struct json *tenant = json_at(page, i);
        bool wrong = view_tenant_is_wrong(tenant);
        if (wrong && only_right)
            continue; /* it has been shown before all others */
        list->count++;
        list->wrong += wrong;
        if (list->all != NULL) {
            json_append(list->all, json_clone(tenant));
        } else if (wrong) {
            printf("%s%.*s is %.*s\n", list->count > 1 ? "\n" : "",
                   SLICE_PRINT(json_get_text(tenant, "name")),
                   SLICE_PRINT(json_get_text(tenant, "state")));
            view_tenant_problems(tenant);
        } else {
            print_head(list, page);
            print_row(list, tenant);
        }
    }
}

/* As a value in a query, for free(). The names of those that are broken may be anything. */
static char *encode(struct slice value)
{
    static const char HEX[] = "0123456789ABCDEF";
    char *text = memory_new(value.size * 3 + 1);
    size_t used = 0;
    for (size_t i = 0; i < value.size; i++) {
        uint8_t byte = (uint8_t)value.data[i];
        if (ascii_is_alphanumeric(value.data[i]) || byte_is_one_of(value.data[i], "-._")) {
            text[used++] = value.data[i];
            continue;
        }
        text[used++] = '%';
        text[used++] = HEX[byte >> 4];
        text[used++] = HEX[byte & 15];
    }
    return text;
}

/* Page by page. */
static int ask_pages(struct list *list, const char *state, bool only_right)
{
    char *after = memory_copy_text(SLICE(""));
    int code;
    do {
        char *path = memory_format("/v1/tenants?after=%s%s%s", after,
                                   state != NULL ? "&state=" : "", state != NULL ? state : "");
        struct json *answer = ask(list->socket, "GET", path, NULL, &code);
        const struct json *page = json_get(answer, "tenants");
        take_page(list, page, only_right);
        free(path);
        free(after);
        after = encode(json_get_text(answer, "after"));
        json_free(answer);
    } while (code == EXIT_GOOD && after[0] != '\0');
    free(after);
    return code;
}

/* For people, what is wrong comes first; programs get the order of names. */
static int show_all(const struct wish *wish, const char *socket)
{
    const struct view_trouble *trouble;
    struct list list = {.socket = socket};
    struct json *root = json_new_object();
    bool sorts = !wish->json && wish->state == NULL;
    int code = EXIT_GOOD;
    if (wish->json) {
        list.all = json_new_array();
        json_put(root, "tenants", list.all);
    }
    for (size_t i = 0; sorts && code == EXIT_GOOD && (trouble = view_trouble_at(i)) != NULL; i++)
        if (trouble->is_wrong)
            code = ask_pages(&list, trouble->state, false);
    if (code == EXIT_GOOD)
        code = ask_pages(&list, wish->state, sorts);
    if (code == EXIT_GOOD && wish->json)
        ask_print_json(root);
    else if (code == EXIT_GOOD)
        printf("%s%zu tenant%s, %zu wrong\n", list.count > 0 ? "\n" : "", list.count,
               plural_s(list.count), list.wrong);
    json_free(root);
    return code == EXIT_GOOD && list.wrong > 0 ? EXIT_BAD : code;
}

/* -- One of them ------------------------------------------------------------------------------- */

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
               SLICE_PRINT(json_get_text(item, "state")), SLICE_PRINT(json_get_text(item, "url")),
               draining ? ", draining" : "");
    }
}

static void print_line(const char *label, struct slice text)
{
    if (text.size > 0)
        printf("%-11s%.*s\n", label, SLICE_PRINT(text));
}

/* One that cannot be parsed has no line for the tenant. */
static void print_file(const struct json *tenant)
{
    int64_t line = ask_number(tenant, "line");
    printf("%-11s%.*s", "file", SLICE_PRINT(json_get_text(tenant, "file")));
    if (line > 0)
        printf(":%lld", (long long)line);
    putchar('\n');
}

static void print_tenant(const struct json *tenant)
{
    const struct json *definition = json_get(tenant, "definition");
    print_line("tenant", json_get_text(tenant, "name"));
    print_line("state", json_get_text(tenant, "state"));
    print_line("outage", slice_of(outage_of(tenant)));
    print_file(tenant);
    print_list("hosts", json_get(tenant, "hosts"));
    print_list("paths", json_get(tenant, "paths"));
    print_line("version", json_get_text(tenant, "version"));
    print_line("upstream", json_get_text(tenant, "upstream"));
    print_line("labels", json_get_text(json_get(tenant, "labels"), "file"));
    print_replicas(json_get(tenant, "replicas"));
    print_line("address", json_get_text(tenant, "address"));
    print_line("backend", json_get_text(tenant, "backend"));
    if (json_count(json_get(tenant, "problems")) > 0) {
        puts("problems");
        view_tenant_problems(tenant);
    }
    if (json_get(tenant, "environment") != NULL) {
        puts("\nfor Open WebUI's environment");
        environment_print(json_get(tenant, "environment"));
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
    code = view_tenant_is_wrong(tenant) ? EXIT_BAD : EXIT_GOOD;
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
              {"shadowed", "not served: another file has a tenant of this name"},
              {"contested", "as its file says, but for a host or path that another tenant has"}},
    .exit_codes = {"all is well",
                   "a tenant is kept, broken, shadowed or contested, or there is no such tenant",
                   "wrong usage, or nobody answers"},
    .examples = {"owui-spoa tenants --state broken", "owui-spoa tenants chat --json",
                 "owui-spoa tenants add chat hosts='[\"chat.example.com\"]' \\\n"
                 "      upstream=http://10.0.0.1:3000",
                 "owui-spoa tenants set chat upstream=http://10.0.0.2:3000"},
    .max_words = SIZE_MAX,
};

/* One that means nothing here was meant for something. */
static bool options_fit(struct command_line *line, const char *verb, const struct wish *wish,
                        const struct tenants_change *change)
{
    bool adds = verb != NULL && strcmp(verb, "add") == 0;
    bool lists = verb == NULL && line->count == 0;
    line->code = EXIT_GOOD;
    if (wish->state != NULL && !lists)
        line->code = command_line_misused(line, "--state is for the list of all tenants");
    else if (change->file != NULL && !adds)
        line->code = command_line_misused(line, "--file is for add: other tenants have their file");
    else if (change->if_match != NULL && (adds || verb == NULL))
        line->code = command_line_misused(line, "--if-match is for set and remove");
    return line->code == EXIT_GOOD;
}

int tenants_command(struct command_line *line)
{
    static const char *const STATES[] = {"live",   "unresolved", "parked",    "kept",
                                         "broken", "shadowed",   "contested", NULL};
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
    if (!options_fit(line, verb, &wish, &change))
        return line->code;
    if (verb != NULL) {
        change.configuration = wish.configuration;
        change.socket = wish.socket;
        change.json = wish.json;
        return tenants_change(&change, verb, line);
    }
    wish.name = command_line_next(line);
    if (!command_line_ends(line, &USAGE, wish.name))
        return line->code;
    if (wish.name != NULL && !ask_item_valid(wish.name))
        return command_line_misused(line, "\"%s\" is no name", wish.name);
    return perform(&wish);
}
