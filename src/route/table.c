/* Lookups in a table: see route/table.h. Runs for every request: no lock, no allocation. */
#include "table_int.h"

#include "route/label.h"

#include <stdlib.h>

enum {
    /* From some 800 hosts on: what lookups read is then more than the first cache holds, and what
     * the kernel does for an answer drives it from the second. To look ahead costs 5 % of an answer
     * where all was there, and saves as much where answers go out one by one. */
    LARGE_FROM_SLOTS = 1024,
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
static bool serves(const struct path_rule *rule, struct slice rest)
{
    if (rest.size == 0)
        rest = SLICE("/");
    for (size_t i = 0; i < rule->only_count; i++) {
        struct slice only = slice_of(rule->only[i]);
        if (!slice_starts_with(rest, only))
            continue;
        if (only.size == 0 || only.data[only.size - 1] == '/' || rest.size == only.size ||
            rest.data[only.size] == '/')
            return true;
    }
    return rule->only_count == 0;
}

/* Makes the entry the match, unless its tenant's pattern refuses the label. */
static bool take(const struct route_entry *entry, struct slice label, struct route_match *match)
{
    const struct tenant *tenant = entry->tenant;
    if (tenant == NULL)
        return false;
    if (entry->kind == KEY_WILDCARD && tenant->label != NULL &&
        !label_pattern_matches(tenant->label, label)) {
        match->label_refused = true;
        return false;
    }
    match->tenant = tenant;
    match->host = entry_host(entry);
    match->path = entry_path(entry);
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
        .claimant = entry != NULL ? entry->tenant : NULL,
        .path = entry != NULL ? entry_path(entry) : NULL,
        .host_rule = entry != NULL ? entry_host(entry) : NULL,
        .won = won,
    };
    listener->on_try(listener->context, &attempt);
    return won;
}

/* The longest prefix that has a rule, of the host with this key. */
static bool find_path(const struct route_table *table, struct key key, unsigned max_segments,
                      struct slice path, struct slice label, struct route_match *match,
                      const struct listener *listener)
{
    uint64_t name_hash = key_hash_name(key.kind, key.name);
    key.prefix = leading_segments(path, max_segments);
    while (key.prefix.size > 0) {
        uint64_t hash = key_hash_prefix(name_hash, key.prefix);
        const struct route_entry *entry = slots_find(&table->hosts, &key, hash);
        bool won = entry != NULL && serves(entry->path, slice_skip(path, key.prefix.size)) &&
                   take(entry, label, match);
        if (tell(listener, &key, entry, won))
            return true;
        key.prefix = parent_prefix(key.prefix);
    }
    return false;
}

/* Tries what the key leads to: `entry`. */
static bool try_host(const struct route_table *table, const struct key *key,
                     const struct route_entry *entry, struct slice path, struct slice label,
                     struct route_match *match, const struct listener *listener)
{
    if (entry == NULL)
        return tell(listener, key, NULL, false);
    match->host_known = true;
    match->host_has_paths |= entry->max_segments > 0;
    if (entry->max_segments > 0 &&
        find_path(table, *key, entry->max_segments, path, label, match, listener))
        return true;
    return tell(listener, key, entry, take(entry, label, match));
}

static const struct route_entry *find_entry(const struct route_table *table, const struct key *key)
{
    return slots_find(&table->hosts, key, key_hash(key));
}

/* The whole of a host without a dot. */
static struct slice first_label(struct slice host)
{
    const char *dot = host.size > 0 ? memchr(host.data, '.', host.size) : NULL;
    return dot != NULL ? slice_head(host, (size_t)(dot - host.data)) : host;
}

static void find(const struct route_table *table, const struct route_entry *hint, struct slice host,
                 struct slice path, struct route_match *match, const struct listener *listener)
{
    const struct key key = {.kind = KEY_HOST, .name = host};
    bool hinted = hint != NULL && entry_has_key(hint, &key);
    *match = (struct route_match){0};
    if (try_host(table, &key, hinted ? hint : find_entry(table, &key), path, (struct slice){0},
                 match, listener))
        return;
    struct slice label = first_label(host);
    if (label.size == host.size)
        return;
    const struct key suffix = {.kind = KEY_WILDCARD, .name = slice_skip(host, label.size + 1)};
    if (hint == NULL || !entry_has_key(hint, &suffix))
        hint = find_entry(table, &suffix);
    try_host(table, &suffix, hint, path, label, match, listener);
}

void route_table_find_guessed(const struct route_table *table, const struct route_entry *guess,
                              struct slice host, struct slice path, struct route_match *match)
{
    static const struct listener NOBODY;
    find(table, guess, host, path, match, &NOBODY);
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
    find(table, NULL, host, path, match, &listener);
}

bool route_table_is_large(const struct route_table *table)
{
    return table->hosts.mask >= LARGE_FROM_SLOTS;
}

uint64_t route_table_ahead(const struct route_table *table, struct slice host)
{
    uint64_t hash = key_hash_name(KEY_HOST, host);
    slots_prefetch(&table->hosts, hash);
    return hash;
}

uint64_t route_table_ahead_wildcard(const struct route_table *table, struct slice host)
{
    struct slice label = first_label(host);
    if (label.size == host.size)
        return 0;
    uint64_t hash = key_hash_name(KEY_WILDCARD, slice_skip(host, label.size + 1));
    slots_prefetch(&table->hosts, hash);
    return hash;
}

const struct route_entry *route_table_guess(const struct route_table *table, uint64_t hash)
{
    const struct route_entry *guess = slots_find_likely(&table->hosts, hash);
    if (guess != NULL)
        __builtin_prefetch(guess);
    return guess;
}

void route_guess_prefetch(const struct route_entry *guess)
{
    if (guess == NULL || guess->tenant == NULL)
        return;
    __builtin_prefetch(guess->tenant); /* what decisions read is in its first two cache lines */
    __builtin_prefetch((const char *)guess->tenant + CACHE_LINE_BYTES);
}

const struct tenant *route_guess_tenant(const struct route_entry *guess)
{
    return guess->tenant;
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
