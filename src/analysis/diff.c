/* `owui-spoa diff`: what a change does to behaviour.
 *
 * Text that differs may mean the same, and one letter may mean another upstream for a thousand
 * hosts. So both configurations are asked about all that the tenants which are not the same tell
 * apart, in either version, and the answers are compared. */
#include "diff.h"

#include "cli/ask.h"
#include "cli/command.h"
#include "cli/terminal.h"
#include "core/file_path.h"
#include "core/hash.h"
#include "core/memory.h"
#include "diff_labels.h"
#include "probes.h"
#include "undrained.h"
#include "verdict.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { SHOWN_MAX = 1000 };

struct comparison {
    struct whole before;
    struct whole after;
    bool everything; /* what holds for all tenants is not the same */
    bool has_asked_proxies;
    struct probes probes;
    struct json *added, *removed, *changed; /* names of tenants */
    struct json *seen;                      /* members: tenants of which a decision differs */
    struct json *undrained;                 /* servers that are taken out at once */
    struct json *differences;
    size_t differ;
    size_t labels_left_out;
};

/* -- What is asked ----------------------------------------------------------------------------- */

/* Of all tenants, one is enough to see whom proxies are believed to tell. */
static void add_tenant(struct comparison *comparison, const struct tenant *tenant)
{
    probes_add_tenant(&comparison->probes, tenant);
    if (!comparison->everything || comparison->has_asked_proxies)
        return;
    comparison->has_asked_proxies = true;
    probes_add_proxies(&comparison->probes,
                       &comparison->before.configuration->settings->trusted_proxies, tenant);
    probes_add_proxies(&comparison->probes,
                       &comparison->after.configuration->settings->trusted_proxies, tenant);
}

/* Whether one of its routes leads to a tenant that is not the same. */
static bool leads_to_changed(const struct comparison *comparison, const struct tenant *tenant)
{
    const struct policy *policy = tenant->policy;
    for (size_t i = 0; policy != NULL && i < policy->rule_count; i++) {
        if (policy->rules[i].tenant == NULL)
            continue;
        struct slice name = slice_of(policy->rules[i].tenant);
        const struct tenant *before = route_table_tenant(comparison->before.table, name);
        const struct tenant *after = route_table_tenant(comparison->after.table, name);
        if ((before == NULL) != (after == NULL) ||
            (before != NULL && before->content_hash != after->content_hash))
            return true;
    }
    return false;
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
    if (!same && other != NULL)
        undrained_list(tenant, other, comparison->undrained);
    size_t left_out = comparison->probes.left_out;
    if (!same || comparison->everything || leads_to_changed(comparison, tenant))
        add_tenant(comparison, tenant);
    if (other != NULL) /* it is counted once, as it will be */
        comparison->probes.left_out = left_out;
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
        add_tenant(comparison, tenant);
}

static void find_probes(struct comparison *comparison)
{
    comparison->everything = comparison->before.configuration->content_hash !=
                             comparison->after.configuration->content_hash;
    route_table_each_tenant(comparison->before.table, visit_before, comparison);
    route_table_each_tenant(comparison->after.table, visit_after, comparison);
    comparison->labels_left_out =
        diff_labels_add(&comparison->before, &comparison->after, &comparison->probes);
    if (comparison->everything)
        probes_add_nobody(&comparison->probes);
    probes_sort(&comparison->probes);
}

/* -- The answers ------------------------------------------------------------------------------- */

static void note_tenant(struct comparison *comparison, const struct json *verdict)
{
    struct slice text;
    if (!json_read_text(json_get(verdict, "tenant"), &text))
        return;
    char *name = memory_copy_text(text);
    json_put_bool(comparison->seen, name, true);
    free(name);
}

static void ask_both(struct comparison *comparison, const struct probe *probe)
{
    const struct request request = probe_request(probe);
    struct json *before = verdict_of(&comparison->before, &request);
    struct json *after = verdict_of(&comparison->after, &request);
    struct json *difference = verdict_compare(before, after);
    if (difference != NULL) {
        comparison->differ++;
        note_tenant(comparison, before);
        note_tenant(comparison, after);
    }
    json_free(before);
    json_free(after);
    if (difference == NULL || comparison->differ > SHOWN_MAX) {
        json_free(difference);
        return;
    }
    struct json *one = json_new_object();
    json_put_text(one, "url", slice_of(probe->url));
    json_put_text(one, "options", slice_of(probe->options));
    json_put(one, "difference", difference);
    json_append(comparison->differences, one);
}

/* Tenants that are not what they were, in what no decision shows: how health is looked at, say, or
 * who is believed to be a user. */
static struct json *unseen(const struct comparison *comparison)
{
    struct json *names = json_new_array();
    struct slice text;
    for (size_t i = 0; i < json_count(comparison->changed); i++) {
        if (!json_read_text(json_at(comparison->changed, i), &text))
            continue;
        char *name = memory_copy_text(text);
        if (json_get(comparison->seen, name) == NULL)
            json_append_text(names, text);
        free(name);
    }
    return names;
}

static void print_names(const char *label, const struct json *names)
{
    struct slice name;
    for (size_t i = 0; i < json_count(names); i++)
        if (json_read_text(json_at(names, i), &name))
            printf("%s %.*s\n", label, SLICE_PRINT(name));
}

static void print_undrained(const struct json *undrained)
{
    struct slice tenant, server;
    for (size_t i = 0; i < json_count(undrained); i++)
        if (json_read_text(json_get(json_at(undrained, i), "tenant"), &tenant) &&
            json_read_text(json_get(json_at(undrained, i), "server"), &server))
            printf(
                "\ntenant %.*s: %.*s goes without having drained: whoever it has is sent elsewhere "
                "at the next\nrequest; put it in \"draining\" first, and take it out later\n",
                SLICE_PRINT(tenant), SLICE_PRINT(server));
}

static size_t count_unlisted(const struct comparison *comparison)
{
    return comparison->differ - json_count(comparison->differences);
}

static void print_text(const struct comparison *comparison, const struct json *unseen_names)
{
    print_names("added   ", comparison->added);
    print_names("removed ", comparison->removed);
    print_names("changed ", comparison->changed);
    print_names("changed in what no decision that was asked for shows:", unseen_names);
    print_undrained(comparison->undrained);
    for (size_t i = 0; i < json_count(comparison->differences); i++) {
        const struct json *one = json_at(comparison->differences, i);
        struct slice url, options;
        if (json_read_text(json_get(one, "url"), &url) &&
            json_read_text(json_get(one, "options"), &options))
            printf("\n%.*s%s%.*s\n", SLICE_PRINT(url), options.size > 0 ? "  " : "",
                   SLICE_PRINT(options));
        verdict_print_difference(json_get(one, "difference"));
    }
    if (count_unlisted(comparison) > 0)
        printf("\n%zu more are not listed\n", count_unlisted(comparison));
    printf("%s%zu of %zu decisions differ\n", comparison->differ > 0 ? "\n" : "",
           comparison->differ, comparison->probes.count);
    if (comparison->probes.left_out > 0)
        printf("%zu hosts or paths of large tenants were asked about for a page, the API and the "
               "socket alone\n",
               comparison->probes.left_out);
    if (comparison->labels_left_out > 0)
        printf("%zu labels whose lines are not the same were not asked about\n",
               comparison->labels_left_out);
}

static struct json *to_json(const struct comparison *comparison, const struct json *unseen_names)
{
    struct json *root = json_new_object();
    json_put_integer(root, "decided", (int64_t)comparison->probes.count);
    json_put_integer(root, "differ", (int64_t)comparison->differ);
    json_put_integer(root, "left_out", (int64_t)comparison->probes.left_out);
    json_put_integer(root, "labels_left_out", (int64_t)comparison->labels_left_out);
    json_put_integer(root, "differences_left_out", (int64_t)count_unlisted(comparison));
    json_put(root, "added", json_clone(comparison->added));
    json_put(root, "removed", json_clone(comparison->removed));
    json_put(root, "changed", json_clone(comparison->changed));
    json_put(root, "unseen", json_clone(unseen_names));
    json_put(root, "undrained", json_clone(comparison->undrained));
    json_put(root, "differences", json_clone(comparison->differences));
    return root;
}

static void comparison_init(struct comparison *comparison)
{
    *comparison = (struct comparison){
        .added = json_new_array(),
        .removed = json_new_array(),
        .changed = json_new_array(),
        .seen = json_new_object(),
        .undrained = json_new_array(),
        .differences = json_new_array(),
    };
}

static void comparison_fini(struct comparison *comparison)
{
    probes_fini(&comparison->probes);
    json_free(comparison->added);
    json_free(comparison->removed);
    json_free(comparison->changed);
    json_free(comparison->seen);
    json_free(comparison->undrained);
    json_free(comparison->differences);
    whole_fini(&comparison->before);
    whole_fini(&comparison->after);
}

/* False when one of them cannot serve. */
static bool comparison_load(struct comparison *comparison, const struct diff_wish *wish,
                            struct diagnostics *before, struct diagnostics *after)
{
    const struct whole_changes none = {.give_up = wish->changes.give_up};
    bool usable = verdict_load(wish->before, &none, &comparison->before, before);
    return verdict_load(wish->after, &wish->changes, &comparison->after, after) && usable;
}

static void comparison_ask(struct comparison *comparison, const atomic_bool *give_up)
{
    find_probes(comparison);
    for (size_t i = 0; i < comparison->probes.count; i++) {
        if (give_up != NULL && atomic_load(give_up))
            break;
        ask_both(comparison, &comparison->probes.items[i]);
    }
}

struct json *diff_json(const struct diff_wish *wish, struct diagnostics *before,
                       struct diagnostics *after)
{
    struct comparison comparison;
    struct json *root = NULL;
    comparison_init(&comparison);
    if (comparison_load(&comparison, wish, before, after)) {
        comparison_ask(&comparison, wish->changes.give_up);
        struct json *unseen_names = unseen(&comparison);
        root = to_json(&comparison, unseen_names);
        json_free(unseen_names);
    }
    comparison_fini(&comparison);
    return root;
}

/* How often a text is there: members of `counts`, by its hash, as not all are UTF-8. Ten thousand
 * tenants may be wrong. */
static int64_t count_more(struct json *counts, const char *text, int64_t more)
{
    char name[24];
    snprintf(name, sizeof(name), "%016llx", (unsigned long long)hash_bytes(slice_of(text)));
    int64_t count = ask_number(counts, name) + more;
    json_put_integer(counts, name, count);
    return count;
}

static void count_errors(struct json *by_file, const struct diagnostics *diagnostics, int64_t more)
{
    for (size_t i = 0; i < diagnostics->count; i++) {
        const struct diagnostic *one = &diagnostics->items[i];
        if (one->severity == SEVERITY_ERROR && one->place.file != NULL)
            (void)count_more(by_file, one->place.file, more);
    }
}

/* Whether the change itself is wrong: "0 decisions differ" must not be all that is told then. */
static bool has_new_errors(const struct diagnostics *before, const struct diagnostics *after)
{
    struct json *by_file = json_new_object();
    bool has = after->errors > before->errors;
    count_errors(by_file, before, -1);
    count_errors(by_file, after, 1);
    for (size_t i = 0; i < after->count && !has; i++)
        has = after->items[i].place.file != NULL &&
              count_more(by_file, after->items[i].place.file, 0) > 0;
    json_free(by_file);
    return has;
}

static char *words_of(const struct diagnostic *one)
{
    return memory_format("%s:%u:%d:%s", one->place.file != NULL ? one->place.file : "",
                         one->place.line, (int)one->code, one->message);
}

/* Of what will be wrong, what is wrong already is not told again. */
static void print_new_errors(const struct diagnostics *before, struct diagnostics *after)
{
    struct json *known = json_new_object();
    size_t kept = 0;
    for (size_t i = 0; i < before->count; i++) {
        char *words = words_of(&before->items[i]);
        (void)count_more(known, words, 1);
        free(words);
    }
    for (size_t i = 0; i < after->count; i++) {
        const struct diagnostic one = after->items[i];
        char *words = words_of(&one);
        if (count_more(known, words, -1) < 0) {
            after->items[i] = after->items[kept];
            after->items[kept++] = one;
        }
        free(words);
    }
    json_free(known);
    diagnostics_cut(after, kept);
    verdict_print_errors(after);
}

static int compare(const struct diff_wish *wish, bool as_json)
{
    struct comparison comparison;
    struct diagnostics before = {0}, after = {0};
    int code = EXIT_WRONG;
    comparison_init(&comparison);
    bool usable = comparison_load(&comparison, wish, &before, &after);
    bool is_wrong = has_new_errors(&before, &after);
    bool is_whole = !diagnostics_tell_of_permission(&before);
    print_new_errors(&before, &after);
    verdict_print_errors(&before);
    if (!is_whole)
        terminal_complain("what may not be read cannot be compared: try sudo");
    if (usable && is_whole) {
        comparison_ask(&comparison, NULL);
        struct json *unseen_names = unseen(&comparison);
        struct json *root = as_json ? to_json(&comparison, unseen_names) : NULL;
        if (as_json)
            ask_print_json(root);
        else
            print_text(&comparison, unseen_names);
        code = is_wrong                                                ? EXIT_WRONG
               : comparison.differ > 0 || json_count(unseen_names) > 0 ? EXIT_BAD
                                                                       : EXIT_GOOD;
        if (is_wrong)
            terminal_complain("what is wrong would not come into force: it is compared as if it "
                              "were not there");
        json_free(root);
        json_free(unseen_names);
    }
    comparison_fini(&comparison);
    return code;
}

/* A folder of tenants, or a file of them. */
static bool read_change(struct diff_wish *wish, const char *path)
{
    struct stat about;
    if (stat(path, &about) != 0)
        return false;
    if (S_ISDIR(about.st_mode)) {
        wish->changes.tenants_dir = path;
        return true;
    }
    wish->changes.file = path;
    errno = EINVAL; /* unless it is one */
    return S_ISREG(about.st_mode);
}

static const struct command_usage USAGE = {
    .forms = {"FILE|FOLDER", "--to-config FILE"},
    .about = "Compares behaviour, not text: asks the configuration as it is, and as it would be, "
             "about all hosts, paths, routes, networks and origins that the tenants which are not "
             "the same name, and tells which decisions, upstreams and headers differ. FILE takes "
             "the place of the file of its name in tenants.d, or is added; FOLDER takes the place "
             "of tenants.d. Names of upstreams are not looked up.",
    .exit_codes = {"nothing differs",
                   "something does, or a tenant is not the same in what no decision shows",
                   "wrong usage or configuration; what it is to become is wrong in some place"},
    .examples = {"owui-spoa diff /tmp/sales.json", "owui-spoa diff --to-config owui-spoa.json.new"},
    .max_words = 1,
};

int diff_command(struct command_line *line)
{
    struct diff_wish wish = {.before = DEFAULT_CONFIGURATION};
    bool as_json = false;
    const struct command_option options[] = {
        {"to-config", 0, "FILE", "as it would be: another global file", .text = &wish.after},
        command_option_config(&wish.before),
        command_option_json(&as_json),
        {0},
    };
    if (!command_line_read(line, &USAGE, options))
        return line->code;
    const char *change = command_line_next(line);
    if (change == NULL && wish.after == NULL)
        return command_line_misused(line, "which file or folder of tenants, or --to-config FILE?");
    if (wish.after == NULL)
        wish.after = wish.before;
    if (change != NULL && !read_change(&wish, change))
        return command_line_misused(line, "%s cannot be read: %s", change, strerror(errno));
    if (wish.changes.file != NULL && !tenant_file_name(file_path_name(change)))
        return command_line_misused(
            line, "%s: files of tenants.d are named NAME.json, and others are not read", change);
    return compare(&wish, as_json);
}
