/* "paths" of a tenant: see tenant_read.h. */
#include "tenant_read.h"

#include "core/memory.h"
#include "route/owui_path.h"
#include "route/path.h"
#include "value.h"

#include <stdlib.h>

enum {
    PATHS_MAX = 64,
    ONLY_MAX = 32,
    PREFIX_MAX_BYTES = 128,
    SEGMENTS_MAX = 8, /* HAProxy's side cuts up to this many */
};

bool host_pattern_read(const struct node *node, char **name, bool *wildcard)
{
    struct slice text;
    char parsed[HOST_MAX_BYTES + 1];
    if (!node_text(node, &text))
        return false;
    if (host_pattern_parse(text, parsed, wildcard)) {
        *name = memory_copy_text(slice_of(parsed));
        return true;
    }
    char *hint = NULL;
    if (slice_has(text, '/'))
        hint = memory_format("a name without scheme and path: \"chat.example.com\"");
    else if (slice_has(text, ':'))
        hint = memory_format("a name without port: \"chat.example.com\"");
    else
        hint = memory_format("\"chat.example.com\", or \"*.example.com\" for one label in front");
    node_report(node, JSON_PART_VALUE, CODE_HOST_SYNTAX, hint, "\"%.*s\" is not a host",
                SLICE_PRINT(text));
    return false;
}

/* A path in normal form, without query; "" for none. */
static bool path_valid(struct slice text)
{
    char buffer[PATH_CHANGED_MAX_BYTES];
    struct slice normal;
    for (size_t i = 0; i < text.size; i++)
        if (byte_is_one_of(text.data[i], "?#;\"\\"))
            return false;
    return text.size > 0 && text.size <= PREFIX_MAX_BYTES && text.data[0] == '/' &&
           path_normalise(text, buffer, &normal) == REFUSAL_NONE && slice_equal(text, normal);
}

static bool report_path(const struct node *node, struct slice text, const char *problem)
{
    node_report(node, JSON_PART_VALUE, CODE_PATH_PREFIX,
                memory_format("for example \"/owui/\": no query, no \"..\", no double slash"),
                "\"%.*s\": %s", SLICE_PRINT(text), problem);
    return false;
}

static void read_host(const struct node *node, void *target)
{
    struct path_rule *path = target;
    if (host_pattern_read(node, &path->host, &path->wildcard))
        path->place = node_value_place(node);
}

static void read_prefix(const struct node *node, void *target)
{
    struct path_rule *path = target;
    struct slice text;
    if (!node_text(node, &text))
        return;
    struct slice prefix = text;
    if (slice_ends_with(prefix, SLICE("/")))
        prefix.size--;
    unsigned segments = path_segments(prefix);
    if (!path_valid(text)) {
        report_path(node, text, "not a path prefix");
    } else if (segments == 0) {
        report_path(node, text, "the whole host is not a prefix: it belongs in \"hosts\"");
    } else if (segments > SEGMENTS_MAX) {
        report_path(node, text, "a prefix has at most 8 segments");
    } else {
        path->prefix = memory_copy_text(prefix);
        path->segments = (uint8_t)segments;
    }
}

static void read_mode(const struct node *node, void *target)
{
    static const struct choice MODES[] = {{"redirect", PATH_REDIRECT},
                                          {"takeover", PATH_TAKEOVER},
                                          {"root-share", PATH_ROOT_SHARE},
                                          {"strip", PATH_STRIP},
                                          {"keep", PATH_KEEP}};
    struct path_rule *path = target;
    int mode;
    if (node_choice(node, MODES, COUNT_OF(MODES), &mode))
        path->mode = (enum path_mode)mode;
}

static char *check_only(const struct node *element, struct slice text)
{
    if (path_valid(text))
        return memory_copy_text(text);
    report_path(element, text, "not a path");
    return NULL;
}

static void read_only(const struct node *node, void *target)
{
    struct path_rule *path = target;
    struct texts texts = {0};
    if (node_texts(node, ONLY_MAX, check_only, &texts) && texts.count == 0)
        node_report(node, JSON_PART_VALUE, CODE_OUT_OF_RANGE, NULL,
                    "\"only\" must list one path at least");
    path->only = texts.items;
    path->only_count = texts.count;
}

/* What Open WebUI makes of the mode: its pages ask for /_app/ and /api/ at the root. */
static void warn_about_mode(const struct node *node, const struct path_rule *path)
{
    struct node mode;
    if ((path->mode != PATH_KEEP && path->mode != PATH_STRIP) || !node_member(node, "mode", &mode))
        return;
    if (path->mode == PATH_KEEP)
        node_report(&mode, JSON_PART_VALUE, CODE_PATH_KEEP,
                    memory_format("Open WebUI has no base path (open-webui#25971): it answers "
                                  "\"%s/api/config\" with its start page.\nUse \"redirect\", or "
                                  "\"strip\" with \"only\": [\"/api/\"] for API clients",
                                  path->prefix != NULL ? path->prefix : ""),
                    "path mode \"keep\" cannot work with Open WebUI as it is");
    else if (path->only_count == 0)
        node_report(&mode, JSON_PART_VALUE, CODE_PATH_STRIP,
                    memory_format("Open WebUI has no base path: pages will load /_app/ and /api/ "
                                  "from the root and fail (open-webui#25971).\nUse \"redirect\", "
                                  "or add \"only\": [\"/api/\"] for API clients"),
                    "path mode \"strip\" for a browser");
}

/* Open WebUI's own paths, each as a rule: so that a lookup finds them like any other. */
static void share_root(const struct node *node, struct tenant *tenant)
{
    static const char *const MEANINGLESS[] = {"prefix", "only"};
    struct path_rule rule = tenant->paths[--tenant->path_count];
    struct node member;
    for (size_t i = 0; i < COUNT_OF(MEANINGLESS); i++)
        if (node_member(node, MEANINGLESS[i], &member))
            node_report(
                &member, JSON_PART_KEY, CODE_MEANINGLESS_KEY, memory_format("remove it"),
                "\"%s\" has no meaning with path mode \"root-share\": it is Open WebUI's own "
                "paths that lead here",
                MEANINGLESS[i]);
    for (size_t i = 0; rule.host != NULL && owui_path_shared(i).size > 0; i++)
        tenant->paths[tenant->path_count++] = (struct path_rule){
            .host = memory_copy_text(slice_of(rule.host)),
            .wildcard = rule.wildcard,
            .prefix = memory_copy_text(owui_path_shared(i)),
            .segments = (uint8_t)path_segments(owui_path_shared(i)),
            .mode = PATH_ROOT_SHARE,
            .place = rule.place,
        };
    free(rule.host);
    free(rule.prefix);
    memory_free_texts(rule.only, rule.only_count);
}

static bool same_path(const struct path_rule *path, const struct path_rule *other)
{
    return path->host != NULL && path->prefix != NULL && other->host != NULL &&
           other->prefix != NULL && path->wildcard == other->wildcard &&
           strcmp(path->host, other->host) == 0 && strcmp(path->prefix, other->prefix) == 0;
}

/* The same host and path twice. What was read last begins at `first`: a shared root is many rules,
 * and the first of them that is there already is told. */
static void report_repeated(const struct node *node, const struct tenant *tenant, size_t first)
{
    for (size_t i = first; i < tenant->path_count; i++) {
        const struct path_rule *path = &tenant->paths[i];
        for (size_t j = 0; j < first; j++) {
            if (!same_path(path, &tenant->paths[j]))
                continue;
            node_report(node, JSON_PART_VALUE, CODE_LISTED_TWICE, NULL,
                        "path \"%s%s%s\" is there already", path->wildcard ? "*." : "", path->host,
                        path->prefix);
            return;
        }
    }
}

static void read_path(const struct node *node, struct tenant *tenant)
{
    static const struct option OPTIONS[] = {
        {"host", read_host},
        {"prefix", read_prefix},
        {"mode", read_mode},
        {"only", read_only},
    };
    static const char *const REQUIRED[] = {"host", "prefix"};
    struct node member;
    if (!node_is(node, JSON_TYPE_OBJECT))
        return;
    size_t first = tenant->path_count;
    struct path_rule *path = &tenant->paths[tenant->path_count++];
    *path = (struct path_rule){.mode = PATH_REDIRECT, .place = node_value_place(node)};
    options_read(node, OPTIONS, COUNT_OF(OPTIONS), path);
    bool shares = path->mode == PATH_ROOT_SHARE;
    for (size_t i = 0; i < COUNT_OF(REQUIRED); i++)
        if (!node_member(node, REQUIRED[i], &member) && !(shares && i > 0))
            node_report(node, JSON_PART_VALUE, CODE_MISSING_KEY, NULL, "a path needs a \"%s\"",
                        REQUIRED[i]);
    warn_about_mode(node, path);
    tenant->takes_over |= path->mode == PATH_TAKEOVER;
    if (shares)
        share_root(node, tenant);
    report_repeated(node, tenant, first);
}

void paths_read(const struct node *node, struct tenant *tenant)
{
    if (!node_is(node, JSON_TYPE_ARRAY) || !node_is_short(node, PATHS_MAX))
        return;
    size_t shared = 0;
    while (owui_path_shared(shared).size > 0)
        shared++;
    tenant->paths = memory_new(json_count(node->value) * shared * sizeof(*tenant->paths));
    for (struct node_iterator i = node_children_placed(node); node_next(&i);)
        read_path(&i.node, tenant);
}
