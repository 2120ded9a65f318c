/* `owui-spoa diff`: what a change does to behaviour.
 *
 * Text that differs may mean the same, and one letter may mean another upstream for a thousand
 * hosts. So both configurations are asked about every host and path of the tenants that are not the
 * same, and the answers are compared. */
#include "command.h"
#include "core/memory.h"
#include "verdict.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { SHOWN_MAX = 1000 };

struct comparison {
    struct whole before;
    struct whole after;
    bool everything; /* what holds for all tenants is not the same */
    char **urls;
    size_t url_count;
    size_t url_capacity;
    struct json *added, *removed, *changed; /* names of tenants */
    struct json *differences;
    size_t differ;
};

/* -- What is asked ----------------------------------------------------------------------------- */

static void add_url(struct comparison *comparison, bool wildcard, const char *host,
                    const char *path)
{
    static const char *const SCHEMES[] = {"https", "http"};
    for (size_t i = 0; i < COUNT_OF(SCHEMES); i++) {
        if (comparison->url_count == comparison->url_capacity) {
            comparison->url_capacity = comparison->url_capacity * 2 + 64;
            comparison->urls = memory_resize(comparison->urls, comparison->url_capacity,
                                             sizeof(*comparison->urls));
        }
        comparison->urls[comparison->url_count++] =
            memory_format("%s://%s%s%s", SCHEMES[i], wildcard ? VERDICT_LABEL "." : "", host, path);
    }
}

/* Each host with a page, the API and the socket; each path rule with what it takes and, where it
 * takes not all, something else. */
static void add_urls_of(struct comparison *comparison, const struct tenant *tenant)
{
    static const char *const PATHS[] = {"/", "/api/config", "/ws/socket.io/"};
    for (size_t i = 0; i < tenant->host_count; i++)
        for (size_t j = 0; j < COUNT_OF(PATHS); j++)
            add_url(comparison, tenant->hosts[i].wildcard, tenant->hosts[i].name, PATHS[j]);
    for (size_t i = 0; i < tenant->path_count; i++) {
        const struct path_rule *rule = &tenant->paths[i];
        for (size_t j = 0; j <= rule->only_count; j++) {
            char *path = memory_format("%s%s", rule->prefix,
                                       j < rule->only_count ? rule->only[j] : "/other");
            add_url(comparison, rule->wildcard, rule->host, path);
            free(path);
        }
    }
}

static void visit_before(void *context, const struct tenant *tenant)
{
    struct comparison *comparison = context;
    if (tenant->instance_of != NULL)
        return;
    const struct tenant *other =
        route_table_tenant(comparison->after.table, slice_of(tenant->name));
    bool same = other != NULL && other->content_hash == tenant->content_hash;
    if (other == NULL)
        json_append_text(comparison->removed, slice_of(tenant->name));
    else if (!same)
        json_append_text(comparison->changed, slice_of(tenant->name));
    if (!same || comparison->everything)
        add_urls_of(comparison, tenant);
}

static void visit_after(void *context, const struct tenant *tenant)
{
    struct comparison *comparison = context;
    if (tenant->instance_of != NULL)
        return;
    const struct tenant *other =
        route_table_tenant(comparison->before.table, slice_of(tenant->name));
    if (other == NULL)
        json_append_text(comparison->added, slice_of(tenant->name));
    if (other == NULL || other->content_hash != tenant->content_hash || comparison->everything)
        add_urls_of(comparison, tenant);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void find_urls(struct comparison *comparison)
{
    comparison->everything = comparison->before.configuration->content_hash !=
                             comparison->after.configuration->content_hash;
    route_table_each_tenant(comparison->before.table, visit_before, comparison);
    route_table_each_tenant(comparison->after.table, visit_after, comparison);
    if (comparison->everything)
        add_url(comparison, false, "nobody.invalid", "/");
    if (comparison->url_count == 0)
        return;
    qsort(comparison->urls, comparison->url_count, sizeof(*comparison->urls), compare_texts);
    size_t kept = 1;
    for (size_t i = 1; i < comparison->url_count; i++) {
        if (strcmp(comparison->urls[i], comparison->urls[kept - 1]) == 0)
            free(comparison->urls[i]);
        else
            comparison->urls[kept++] = comparison->urls[i];
    }
    comparison->url_count = kept;
}

/* -- The answers ------------------------------------------------------------------------------- */

static struct request request_of(const char *url)
{
    struct request request = {.headers_in_one = false};
    struct slice rest = slice_of(url);
    request.client.peer_tls = slice_starts_with(rest, SLICE("https://"));
    if (!ip_parse(SLICE("198.51.100.1"), &request.client.peer))
        assert(false);
    rest = slice_skip(rest, request.client.peer_tls ? 8 : 7);
    size_t host_size = strcspn(rest.data, "/");
    request.host = slice_head(rest, host_size);
    request.path = slice_skip(rest, host_size);
    if (request.client.peer_tls)
        request.sni = request.host;
    return request;
}

static void ask_both(struct comparison *comparison, const char *url)
{
    const struct request request = request_of(url);
    struct json *before = verdict_of(&comparison->before, &request);
    struct json *after = verdict_of(&comparison->after, &request);
    struct json *difference = verdict_compare(before, after);
    json_free(before);
    json_free(after);
    if (difference == NULL)
        return;
    comparison->differ++;
    if (comparison->differ > SHOWN_MAX) {
        json_free(difference);
        return;
    }
    struct json *one = json_new_object();
    json_put_text(one, "url", slice_of(url));
    json_put(one, "difference", difference);
    json_append(comparison->differences, one);
}

static void print_names(const char *label, const struct json *names)
{
    struct slice name;
    for (size_t i = 0; i < json_count(names); i++)
        if (json_read_text(json_at(names, i), &name))
            printf("%s %.*s\n", label, SLICE_PRINT(name));
}

static void print_text(const struct comparison *comparison)
{
    print_names("added   ", comparison->added);
    print_names("removed ", comparison->removed);
    print_names("changed ", comparison->changed);
    for (size_t i = 0; i < json_count(comparison->differences); i++) {
        const struct json *one = json_at(comparison->differences, i);
        struct slice url;
        if (json_read_text(json_get(one, "url"), &url))
            printf("\n%.*s\n", SLICE_PRINT(url));
        verdict_print_difference(json_get(one, "difference"));
    }
    printf("%s%zu of %zu decisions differ\n", comparison->differ > 0 ? "\n" : "",
           comparison->differ, comparison->url_count);
}

static void print_json(const struct comparison *comparison)
{
    struct json *root = json_new_object();
    json_put_integer(root, "decided", (int64_t)comparison->url_count);
    json_put_integer(root, "differ", (int64_t)comparison->differ);
    json_put(root, "added", json_clone(comparison->added));
    json_put(root, "removed", json_clone(comparison->removed));
    json_put(root, "changed", json_clone(comparison->changed));
    json_put(root, "differences", json_clone(comparison->differences));
    char *text = json_print(root, JSON_STYLE_INDENTED);
    fputs(text, stdout);
    free(text);
    json_free(root);
}

struct wish {
    const char *before; /* global files */
    const char *after;
    struct whole_changes changes;
    bool json;
};

static int compare(const struct wish *wish)
{
    static const struct whole_changes NONE;
    struct comparison comparison = {
        .added = json_new_array(),
        .removed = json_new_array(),
        .changed = json_new_array(),
        .differences = json_new_array(),
    };
    int code = EXIT_WRONG;
    bool usable = verdict_load(wish->before, &NONE, &comparison.before);
    if (verdict_load(wish->after, &wish->changes, &comparison.after) && usable) {
        find_urls(&comparison);
        for (size_t i = 0; i < comparison.url_count; i++)
            ask_both(&comparison, comparison.urls[i]);
        if (wish->json)
            print_json(&comparison);
        else
            print_text(&comparison);
        code = comparison.differ > 0 ? EXIT_BAD : EXIT_GOOD;
    }
    for (size_t i = 0; i < comparison.url_count; i++)
        free(comparison.urls[i]);
    free(comparison.urls);
    json_free(comparison.added);
    json_free(comparison.removed);
    json_free(comparison.changed);
    json_free(comparison.differences);
    whole_fini(&comparison.before);
    whole_fini(&comparison.after);
    return code;
}

/* A folder of tenants, or a file of them. */
static bool read_change(struct wish *wish, const char *path)
{
    struct stat about;
    if (stat(path, &about) != 0)
        return false;
    if (S_ISDIR(about.st_mode)) {
        wish->changes.tenants_dir = path;
        return true;
    }
    wish->changes.file = path;
    return S_ISREG(about.st_mode);
}

int diff_command(int count, char **arguments)
{
    static const struct option OPTIONS[] = {{"config", required_argument, NULL, 'c'},
                                            {"to-config", required_argument, NULL, 't'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct wish wish = {.before = DEFAULT_CONFIGURATION};
    int option;

    while ((option = getopt_long(count, arguments, "c:h", OPTIONS, NULL)) != -1) {
        switch (option) {
        case 'c': wish.before = optarg; break;
        case 't': wish.after = optarg; break;
        case 'j': wish.json = true; break;
        case 'h': return command_help(arguments[0]);
        default: return command_misused(arguments[0], NULL);
        }
    }
    if (optind + 1 < count || (optind == count && wish.after == NULL))
        return command_misused(arguments[0], "expected one file or folder of tenants");
    if (wish.after == NULL)
        wish.after = wish.before;
    if (optind < count && !read_change(&wish, arguments[optind]))
        return command_misused(arguments[0], "%s cannot be read", arguments[optind]);
    return compare(&wish);
}
