/* Lookups in a table: see route/table.h. Runs for every request: no lock, no allocation. */
#include "table_shared.h"

#include "route/label.h"
#include "route/path.h"

#include <stdlib.h>

enum {
    /* From some 800 hosts on: what lookups read is then more than the first cache holds, and what
     * the kernel does for an answer drives it from the second. To look ahead costs 5 % of an answer
     * where all was there, and saves as much where answers go out one by one. */
    LARGE_FROM_SLOTS = 1024,
    LARGE_FROM_FEATURED = 64, /* a decision reads some twenty lines of such a tenant */
};

/* The first `segments` segments of a path, without a slash behind them; fewer if it has fewer. */
static struct slice leading_segments(struct slice path, unsigned segments)
{
    size_t size = 0;
    for (; segments > 0 && size < path.size && path.data[size] == '/'; segments--) {
        const char *start = path.data + size + 1;
        size_t left = path.size - size - 1;
        const char *slash = left > 0 ? memchr(start, '/', left) : NULL;
        size_t segment_size = slash != NULL ? (size_t)(slash - start) : left;
        if (segment_size == 0)
            break;
        size += 1 + segment_size;
    }
    return slice_head(path, size);
}

/* The prefix without its last segment. */
static struct slice parent_prefix(struct slice prefix)
{
    const char *slash = memrchr(prefix.data, '/', prefix.size);
    return slice_head(prefix, (size_t)(slash - prefix.data));
}

/* Whether the rule takes a path with `rest` behind its prefix. */
static bool serves(const struct route_entry *entry, struct slice rest)
{
    if (!entry->has_only)
        return true;
    const struct path_rule *rule = entry->path;
    if (rest.size == 0)
        rest = SLICE("/");
    for (size_t i = 0; i < rule->only_count; i++) {
        struct slice only = slice_of(rule->only[i]);
        bool is_folder = only.size == 0 || only.data[only.size - 1] == '/';
        if (is_folder ? slice_starts_with(rest, only) : path_covers(only, rest))
            return true;
    }
    return false;
}

/* Makes the entry the match, unless its tenant's pattern refuses the label. */
static bool take(const struct route_entry *entry, struct slice label, struct route_match *match)
{
    const struct tenant_brief *brief = entry->brief;
    if (brief == NULL)
        return false;
    if (entry->has_pattern && !label_pattern_matches(brief->tenant->label, label)) {
        match->label_refused = true;
        return false;
    }
    match->tenant = brief->tenant;
    match->brief = brief;
    match->host = entry_host(entry);
    match->path = entry_path(entry);
    match->path_mode = (enum path_mode)entry->mode;
    match->path_segments = entry->segments;
    match->label = label;
    match->label_refused = false;
    return true;
}

/* Who wants to know what is tried; `on_try` NULL: nobody. */
struct listener {
    route_try_fn *on_try;
    void *context;
};

static bool tell(const struct listener *listener, const struct key *key,
                 const struct route_entry *entry, bool won)
{
    if (listener->on_try == NULL)
        return won;
    const struct route_try attempt = {
        .host = key->name,
        .wildcard = key->kind == KEY_WILDCARD,
        .prefix = key->prefix,
        .claimant = entry != NULL ? entry_tenant(entry) : NULL,
        .path = entry != NULL ? entry_path(entry) : NULL,
        .host_rule = entry != NULL ? entry_host(entry) : NULL,
        .won = won,
    };
    listener->on_try(listener->context, &attempt);
    return won;
}

static const struct route_entry *if_has_key(const struct route_entry *guess, const struct key *key)
{
    return guess != NULL && entry_has_key(guess, key) ? guess : NULL;
}

/* The longest prefix that has a rule, of the host with this key. */
static bool find_path(const struct route_table *table, struct key key, unsigned max_segments,
                      const struct route_entry *guess, struct slice path, struct slice label,
                      struct route_match *match, const struct listener *listener)
{
    key.prefix = leading_segments(path, max_segments);
    while (key.prefix.size > 0) {
        const struct route_entry *entry = if_has_key(guess, &key);
        if (entry == NULL)
            entry = slots_find(&table->hosts, &key, key_hash(&key));
        bool won = entry != NULL && serves(entry, slice_skip(path, key.prefix.size)) &&
                   take(entry, label, match);
        if (tell(listener, &key, entry, won))
            return true;
        key.prefix = parent_prefix(key.prefix);
    }
    return false;
}

static bool try_host(const struct route_table *table, const struct key *key,
                     const struct route_guess *guess, struct slice path, struct slice label,
                     struct route_match *match, const struct listener *listener)
{
    const struct route_entry *entry = if_has_key(guess->host, key);
    if (entry == NULL)
        entry = slots_find(&table->hosts, key, key_hash(key));
    if (entry == NULL)
        return tell(listener, key, NULL, false);
    match->host_known = true;
    match->host_has_paths |= entry->max_segments > 0;
    if (entry->max_segments > 0 &&
        find_path(table, *key, entry->max_segments, guess->path, path, label, match, listener))
        return true;
    return tell(listener, key, entry, take(entry, label, match));
}

/* Whether it was this host that is known to lead to nothing. */
static bool is_nobodys(const struct route_guess *guess, struct slice host)
{
    return guess->is_nobodys && slice_equal(guess->name, host);
}

static void find(const struct route_table *table, const struct route_guess *guess,
                 struct slice host, struct slice path, struct route_match *match,
                 const struct listener *listener)
{
    const struct key key = {.kind = KEY_HOST, .name = host};
    *match = (struct route_match){0};
    if (!is_nobodys(guess, host) &&
        try_host(table, &key, guess, path, (struct slice){0}, match, listener))
        return;
    struct slice label = slice_before(host, '.');
    if (label.size == host.size)
        return;
    const struct key suffix = {.kind = KEY_WILDCARD, .name = slice_skip(host, label.size + 1)};
    try_host(table, &suffix, guess, path, label, match, listener);
}

static const struct route_guess NO_GUESS;

void route_table_find_guessed(const struct route_table *table, const struct route_guess *guess,
                              struct slice host, struct slice path, struct route_match *match)
{
    static const struct listener NOBODY;
    find(table, guess != NULL ? guess : &NO_GUESS, host, path, match, &NOBODY);
}

void route_table_find(const struct route_table *table, struct slice host, struct slice path,
                      struct route_match *match)
{
    route_table_find_guessed(table, NULL, host, path, match);
}

void route_table_find_told(const struct route_table *table, struct slice host, struct slice path,
                           struct route_match *match, route_try_fn *on_try, void *context)
{
    const struct listener listener = {on_try, context};
    find(table, &NO_GUESS, host, path, match, &listener);
}

bool route_table_is_large(const struct route_table *table)
{
    return table->hosts.mask >= LARGE_FROM_SLOTS || table->featured_count >= LARGE_FROM_FEATURED;
}

void route_guess_begin(struct route_guess *guess, const struct route_table *table,
                       struct slice host)
{
    *guess = (struct route_guess){.name = host, .name_hash = key_hash_name(KEY_HOST, host)};
    slots_prefetch(&table->hosts, guess->name_hash);
}

/* What may have the hash's key. */
static const struct route_entry *guess_entry(const struct route_table *table, uint64_t hash)
{
    const struct route_entry *entry = slots_find_likely(&table->hosts, hash);
    if (entry != NULL)
        __builtin_prefetch(entry);
    return entry;
}

void route_guess_host(struct route_guess *guess, const struct route_table *table)
{
    guess->host = guess_entry(table, guess->name_hash);
    guess->is_nobodys = guess->host == NULL;
    if (!guess->is_nobodys)
        return;
    struct slice label = slice_before(guess->name, '.');
    if (label.size == guess->name.size)
        return;
    guess->name_hash = key_hash_name(KEY_WILDCARD, slice_skip(guess->name, label.size + 1));
    slots_prefetch(&table->hosts, guess->name_hash);
}

void route_guess_wildcard(struct route_guess *guess, const struct route_table *table)
{
    if (guess->host == NULL)
        guess->host = guess_entry(table, guess->name_hash);
}

bool route_guess_has_paths(const struct route_guess *guess)
{
    return guess->host != NULL && guess->host->max_segments > 0;
}

void route_guess_prefix(struct route_guess *guess, const struct route_table *table,
                        struct slice path)
{
    guess->prefix = leading_segments(path, guess->host->max_segments);
    guess->hash = key_hash_prefix(guess->name_hash, guess->prefix);
    slots_prefetch(&table->hosts, guess->hash);
}

/* Shorter ones are not asked for in time, which would be in vain for most. */
void route_guess_path(struct route_guess *guess, const struct route_table *table)
{
    guess->path = guess_entry(table, guess->hash);
    while (guess->path == NULL && guess->prefix.size > 1) {
        guess->prefix = parent_prefix(guess->prefix);
        guess->path = guess_entry(table, key_hash_prefix(guess->name_hash, guess->prefix));
    }
}

const struct tenant_brief *route_guess_brief(const struct route_guess *guess)
{
    const struct route_entry *entry = guess->path != NULL ? guess->path : guess->host;
    return entry != NULL ? entry->brief : NULL;
}

void route_guess_prefetch_brief(const struct route_guess *guess)
{
    const struct tenant_brief *brief = route_guess_brief(guess);
    if (brief != NULL)
        prefetch(brief, sizeof(*brief));
}

const struct tenant *route_table_tenant(const struct route_table *table, struct slice name)
{
    const struct key key = {.kind = KEY_TENANT, .name = name};
    return slots_find(&table->names, &key, key_hash(&key));
}

size_t route_table_tenant_count(const struct route_table *table)
{
    return table->tenant_count;
}

size_t route_table_takeover_count(const struct route_table *table)
{
    return table->takeover_count;
}

uint64_t route_table_content_hash(const struct route_table *table)
{
    return table->content_hash;
}

void route_table_each_tenant(const struct route_table *table,
                             void (*visit)(void *context, const struct tenant *tenant),
                             void *context)
{
    for (size_t i = 0; i <= table->names.mask; i++) {
        const struct tenant *tenant = table->names.slots[i].item;
        if (tenant != NULL)
            visit(context, tenant);
    }
}

void route_table_free(struct route_table *table)
{
    if (table == NULL)
        return;
    slots_fini(&table->hosts);
    slots_fini(&table->names);
    free(table);
}
