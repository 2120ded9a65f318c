/* `owui-spoa replay`: recorded requests decided by another configuration. */
#include "analysis/replay.h"

#include "cli/ask.h"
#include "cli/command.h"
#include "cli/terminal.h"
#include "cli/view.h"
#include "core/memory.h"
#include "serving/trace_request.h"
#include "verdict.h"

#include <stdio.h>
#include <stdlib.h>

enum { KINDS_MAX = 1000 };

/* Requests of one host that differ in the same way. */
struct kind {
    char *key; /* host and difference */
    struct json *told;
    size_t count;
};

struct replay {
    struct whole whole;
    size_t compared;
    size_t differ;
    size_t left_out; /* that differ, and are of no kind that is told */
    size_t skipped;  /* depended on what is not recorded */
    struct kind *kinds;
    size_t kind_count;
};

/* What was decided, in the words of verdict_of(). */
static struct json *recorded(const struct trace_entry *entry)
{
    struct json *verdict = json_new_object();
    struct slice upstream = trace_text(entry, TRACE_UPSTREAM);
    json_put_text(verdict, "decision", trace_text(entry, TRACE_DECISION));
    if (entry->status != 0) {
        char status[8];
        snprintf(status, sizeof(status), "%u", entry->status);
        json_put_text(verdict, "status", slice_of(status));
    }
    if (entry->size[TRACE_REASON] > 0)
        json_put_text(verdict, "reason", trace_text(entry, TRACE_REASON));
    if (entry->size[TRACE_TO] > 0)
        json_put_text(verdict, "to", trace_text(entry, TRACE_TO));
    if (entry->size[TRACE_TENANT] > 0)
        json_put_text(verdict, "tenant", trace_text(entry, TRACE_TENANT));
    if (upstream.size > 0) {
        char *text = entry->port != 0 ? memory_format("%.*s:%u", SLICE_PRINT(upstream), entry->port)
                                      : memory_format("backend %.*s", SLICE_PRINT(upstream));
        json_put_text(verdict, "upstream", slice_of(text));
        free(text);
    }
    return verdict;
}

/* Whether a route that leads to one may lead to the other. */
static bool are_alike(const struct replica_set *set, size_t one, size_t other)
{
    bool are = ((set->pooled >> one | set->pooled >> other) & 1) == 0;
    for (size_t i = 0; i < set->pool_count; i++)
        are = are || (set->pools[i].mask >> one & set->pools[i].mask >> other & 1) != 0;
    return are;
}

/* Which replica it is depends on the client's cookie, on the time and on which are up, of which
 * nothing is recorded: the one that it was is as good as the one that is chosen now. */
static void prefer_recorded(const struct trace_entry *entry, struct decision *decision)
{
    const struct replica *chosen = decision->replica.replica;
    if (decision->outcome != OUTCOME_FORWARD || chosen == NULL)
        return;
    const struct replica_set *set = decision->target->tenant->replicas;
    for (size_t i = 0; i < set->count; i++) {
        const struct upstream *upstream = &set->items[i].upstream;
        if (upstream->port == entry->port &&
            slice_equal(slice_of(upstream->host), trace_text(entry, TRACE_UPSTREAM)) &&
            are_alike(set, i, (size_t)(chosen - set->items)))
            decision->replica.replica = &set->items[i];
    }
}

/* The decision now, as an entry says it: of a name it is the name that counts, not its address. */
static struct json *decided(const struct whole *whole, const struct trace_entry *before,
                            const struct request *request)
{
    /* Any key will do: what is sealed with it is not compared. */
    const struct snapshot snapshot = {.generation = 1,
                                      .settings = whole->configuration->settings,
                                      .table = whole->table,
                                      .seal = {.count = 1}};
    struct trace_entry entry = {.check = 0};
    struct decision decision;
    struct tenant *instance = NULL;
    decide(&snapshot, request, &decision);
    if (decision.outcome == OUTCOME_DENY_UNRESOLVED && decision.target == NULL)
        instance = verdict_instance(decision.match.tenant, decision.match.label);
    if (instance != NULL) {
        decision.outcome = OUTCOME_FORWARD;
        decision.status = 0;
        decision.target = instance->brief;
    }
    prefer_recorded(before, &decision);
    trace_entry_set_decision(&entry, &decision);
    tenant_free(instance);
    return recorded(&entry);
}

/* A name's address is found at run time: a request that had to do without is as good as one that
 * has it. What depends on a token or a certificate cannot be asked again. */
static bool can_be_compared(const struct trace_entry *entry)
{
    return (entry->flags & TRACE_ROUTE) != 0 &&
           (entry->flags & (TRACE_CUT | TRACE_IDENTITY)) == 0 &&
           !slice_equal(trace_text(entry, TRACE_DECISION),
                        slice_of(outcome_name(OUTCOME_DENY_UNRESOLVED)));
}

static void add_kind(struct replay *replay, const struct trace_entry *entry,
                     struct json *difference)
{
    char *text = json_print(difference, JSON_STYLE_COMPACT);
    char *key = memory_format("%.*s %s", SLICE_PRINT(trace_text(entry, TRACE_HOST)), text);
    free(text);
    for (size_t i = 0; i < replay->kind_count; i++) {
        if (strcmp(replay->kinds[i].key, key) != 0)
            continue;
        replay->kinds[i].count++;
        free(key);
        json_free(difference);
        return;
    }
    if (replay->kind_count == KINDS_MAX) {
        replay->left_out++;
        free(key);
        json_free(difference);
        return;
    }
    struct json *told = json_new_object();
    char *url = memory_format("%s://%.*s%.*s", (entry->flags & TRACE_HTTPS) != 0 ? "https" : "http",
                              SLICE_PRINT(trace_text(entry, TRACE_HOST)),
                              SLICE_PRINT(trace_text(entry, TRACE_PATH)));
    json_put_text(told, "url", slice_of(url));
    json_put(told, "difference", difference);
    free(url);
    replay->kinds = memory_resize(replay->kinds, replay->kind_count + 1, sizeof(*replay->kinds));
    replay->kinds[replay->kind_count++] = (struct kind){key, told, 1};
}

static void replay_entry(struct replay *replay, const struct trace_entry *entry)
{
    struct trace_request made;
    if (!can_be_compared(entry)) {
        replay->skipped++;
        return;
    }
    trace_request_make(entry, replay->whole.configuration->settings, &made);
    struct json *before = recorded(entry);
    struct json *after = decided(&replay->whole, entry, &made.request);
    struct json *difference = verdict_compare(before, after);
    replay->compared++;
    if (difference != NULL) {
        replay->differ++;
        add_kind(replay, entry, difference);
    }
    json_free(before);
    json_free(after);
}

/* -- Telling ----------------------------------------------------------------------------------- */

static int compare_kinds(const void *a, const void *b)
{
    const struct kind *left = a;
    const struct kind *right = b;
    return (left->count < right->count) - (left->count > right->count);
}

static void print_text(const struct replay *replay)
{
    for (size_t i = 0; i < replay->kind_count; i++) {
        struct slice url;
        if (json_read_text(json_get(replay->kinds[i].told, "url"), &url))
            printf("%zu time%s, as %.*s\n", replay->kinds[i].count,
                   plural_s(replay->kinds[i].count), SLICE_PRINT(url));
        verdict_print_difference(json_get(replay->kinds[i].told, "difference"));
        putchar('\n');
    }
    if (replay->left_out > 0)
        printf("%zu more are not listed: there are more than %d kinds\n\n", replay->left_out,
               KINDS_MAX);
    printf("%zu of %zu decisions differ", replay->differ, replay->compared);
    if (replay->skipped > 0)
        printf("; %zu cannot be decided again from what is recorded", replay->skipped);
    putchar('\n');
}

static struct json *to_json(const struct replay *replay)
{
    struct json *root = json_new_object();
    struct json *kinds = json_new_array();
    json_put_integer(root, "decided", (int64_t)replay->compared);
    json_put_integer(root, "differ", (int64_t)replay->differ);
    json_put_integer(root, "skipped", (int64_t)replay->skipped);
    json_put_integer(root, "differences_left_out", (int64_t)replay->left_out);
    for (size_t i = 0; i < replay->kind_count; i++) {
        struct json *kind = json_clone(replay->kinds[i].told);
        json_put_integer(kind, "count", (int64_t)replay->kinds[i].count);
        json_append(kinds, kind);
    }
    json_put(root, "differences", kinds);
    return root;
}

/* False when the file or the configuration cannot be read, which is then told in `why` or in
 * `diagnostics`. */
static bool replay_all(struct replay *replay, const char *file, const char *configuration,
                       const struct whole_changes *changes, struct diagnostics *diagnostics,
                       struct error_text *why)
{
    size_t count;
    struct trace_entry *entries = trace_file_read(file, &count, why);
    bool usable =
        entries != NULL && verdict_load(configuration, changes, &replay->whole, diagnostics);
    for (size_t i = 0; usable && i < count; i++) {
        if (changes->give_up != NULL && atomic_load(changes->give_up))
            break;
        replay_entry(replay, &entries[i]);
    }
    if (replay->kind_count > 1)
        qsort(replay->kinds, replay->kind_count, sizeof(*replay->kinds), compare_kinds);
    free(entries);
    return usable;
}

static void replay_fini(struct replay *replay)
{
    for (size_t i = 0; i < replay->kind_count; i++) {
        free(replay->kinds[i].key);
        json_free(replay->kinds[i].told);
    }
    free(replay->kinds);
    whole_fini(&replay->whole);
}

struct json *replay_json(const char *file, const char *configuration,
                         const struct whole_changes *changes, struct diagnostics *diagnostics,
                         struct error_text *why)
{
    struct replay state = {.compared = 0};
    struct json *root = NULL;
    *why = (struct error_text){.text = ""};
    if (replay_all(&state, file, configuration, changes, diagnostics, why))
        root = to_json(&state);
    replay_fini(&state);
    return root;
}

static int replay(const char *file, const char *configuration, bool as_json)
{
    static const struct whole_changes NONE;
    struct error_text why = {.text = ""};
    struct diagnostics diagnostics = {0};
    struct replay state = {.compared = 0};
    int code = EXIT_WRONG;
    bool usable = replay_all(&state, file, configuration, &NONE, &diagnostics, &why);
    verdict_print_errors(&diagnostics);
    if (why.text[0] != '\0')
        terminal_complain("%s", why.text);
    if (usable) {
        struct json *root = as_json ? to_json(&state) : NULL;
        if (as_json)
            ask_print_json(root);
        else
            print_text(&state);
        json_free(root);
        code = state.differ > 0 ? EXIT_BAD : EXIT_GOOD;
    }
    replay_fini(&state);
    return code;
}

static const struct command_usage USAGE = {
    .forms = {"TRACE"},
    .about = "Reads what \"trace\": {\"file\": ...} has recorded, decides each request as the "
             "configuration would, and lists what differs from what was decided: decision, tenant, "
             "upstream, redirect. The daemon may be running. What depended on a token or a "
             "certificate is left out.",
    .exit_codes = {"nothing differs", "something does", "wrong usage, configuration or file"},
    .examples = {"owui-spoa replay /var/lib/owui-spoa/trace -c owui-spoa.json.new"},
    .min_words = 1,
    .max_words = 1,
    .missing = "which file of recorded decisions?",
};

int replay_command(struct command_line *line)
{
    const char *configuration = DEFAULT_CONFIGURATION;
    bool as_json = false;
    const struct command_option options[] = {
        command_option_config(&configuration), command_option_json(&as_json), {0}};
    if (!command_line_read(line, &USAGE, options))
        return line->code;
    return replay(line->words[0], configuration, as_json);
}
