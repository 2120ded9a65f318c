/* The registry: tenants, who claims which key, and the objects that older tables still see. See
 * route/table.h.
 *
 * The registry has hashes of its own, of the same kind as a table's, and edits them in place;
 * building a table is a copy of them. Entries that a built table may hold are never changed: a new
 * one takes their place, and they are retired.
 */
#include "core/hash.h"

#include "core/memory.h"
#include "table_shared.h"

#include <stdlib.h>

/* One tenant's wish for a key. */
struct claim {
    struct claim *next;     /* NULL behind the last one */
    struct claim *previous; /* before the first one: the last */
    const struct tenant *tenant;
    const struct tenant_host *host; /* or */
    const struct path_rule *path;
};

/* All wishes for one key, in the order they were made: the first one has it. A host's own key also
 * counts the path rules below it, and is there as long as it has some. */
struct claims {
    struct claim *first;
    const struct route_entry *entry; /* in the hash now */
    uint32_t path_keys;
    uint8_t max_segments; /* of those; may be more than needed until all are gone */
};

/* What tables up to `generation` may see. */
struct retired {
    struct retired *next;
    uint64_t generation;
    struct tenant *tenant; /* or */
    struct route_entry *entry;
};

struct route_registry {
    struct slots hosts, names; /* as a table's */
    size_t tenant_count;
    size_t takeover_count;
    size_t featured_count;
    size_t waiting_claims; /* behind another tenant's, over all keys */
    route_prefer_fn *prefer;
    void *prefer_context;
    /* Where a claim was last found. Tenants are put in the order that they have in each queue, so
     * the next one is most often behind it; 100,000 that want one host would otherwise be compared
     * each with each. */
    const struct claims *found_in;
    struct claim *found;
    uint64_t content_hash;
    uint64_t generation; /* of the last table built */
    struct retired *oldest, *newest;
    size_t retired_count;
};

struct route_registry *route_registry_new(void)
{
    struct route_registry *registry = memory_new(sizeof(*registry));
    slots_init(&registry->hosts);
    slots_init(&registry->names);
    return registry;
}

static void retire(struct route_registry *registry, struct tenant *tenant,
                   struct route_entry *entry)
{
    struct retired *retired = memory_new(sizeof(*retired));
    *retired =
        (struct retired){.generation = registry->generation, .tenant = tenant, .entry = entry};
    if (registry->newest != NULL)
        registry->newest->next = retired;
    else
        registry->oldest = retired;
    registry->newest = retired;
    registry->retired_count++;
}

static void free_oldest(struct route_registry *registry)
{
    struct retired *retired = registry->oldest;
    registry->oldest = retired->next;
    if (registry->oldest == NULL)
        registry->newest = NULL;
    registry->retired_count--;
    tenant_free(retired->tenant);
    entry_free(retired->entry);
    free(retired);
}

/* The tables' entries are const to everybody but their owner, which is here. */
static struct route_entry *own_entry(const struct route_entry *entry)
{
    return (struct route_entry *)(uintptr_t)entry;
}

static struct tenant *own_tenant(const struct tenant *tenant)
{
    return (struct tenant *)(uintptr_t)tenant;
}

/* What a tenant adds to the content hash, and an entry: a sum of these does not depend on the
 * order. A label's own instance adds nothing: which labels were asked for says nothing about the
 * configuration. */
static uint64_t tenant_content(const struct tenant *tenant)
{
    if (tenant == NULL || tenant->instance_of != NULL)
        return 0;
    return hash_content(slice_of(tenant->name), ~tenant->content_hash);
}

static uint64_t entry_content(const struct route_entry *entry)
{
    const struct tenant *tenant = entry != NULL ? entry_tenant(entry) : NULL;
    if (tenant == NULL || tenant->instance_of != NULL)
        return 0;
    return hash_content(entry_text(entry), tenant->content_hash);
}

/* Puts `entry` in the hash in the place of `old`; either may be NULL. */
static void replace_entry(struct route_registry *registry, const struct route_entry *old,
                          const struct route_entry *entry)
{
    registry->content_hash += entry_content(entry) - entry_content(old);
    const struct key key = entry_key(entry != NULL ? entry : old);
    if (entry != NULL)
        slots_put(&registry->hosts, &key, entry);
    else
        slots_remove(&registry->hosts, &key);
    if (old != NULL)
        retire(registry, NULL, own_entry(old));
}

static struct key tenant_key(struct slice name)
{
    return (struct key){.kind = KEY_TENANT, .name = name};
}

static bool is_featured(const struct tenant *tenant)
{
    return tenant->policy != NULL || tenant->replicas != NULL;
}

/* Puts `tenant` in the place of `old`; either may be NULL. */
static void replace_tenant(struct route_registry *registry, const struct tenant *old,
                           const struct tenant *tenant)
{
    registry->content_hash += tenant_content(tenant) - tenant_content(old);
    const struct key key = tenant_key(slice_of(tenant != NULL ? tenant->name : old->name));
    if (tenant != NULL)
        slots_put(&registry->names, &key, tenant);
    else
        slots_remove(&registry->names, &key);
    registry->tenant_count += tenant != NULL;
    registry->tenant_count -= old != NULL;
    registry->featured_count += tenant != NULL && is_featured(tenant);
    registry->featured_count -= old != NULL && is_featured(old);
    registry->takeover_count += tenant != NULL && tenant->takes_over;
    registry->takeover_count -= old != NULL && old->takes_over;
    if (old != NULL)
        retire(registry, own_tenant(old), NULL);
}

static struct key host_key(const char *name, bool wildcard)
{
    return (struct key){.kind = wildcard ? KEY_WILDCARD : KEY_HOST, .name = slice_of(name)};
}

static struct key path_key(const struct path_rule *path)
{
    struct key key = host_key(path->host, path->wildcard);
    key.prefix = slice_of(path->prefix);
    return key;
}

static void set_rule(struct route_entry *entry, const struct path_rule *rule)
{
    static_assert(PATH_KEEP < 16, "a mode has no room");
    entry->path = rule;
    if (rule == NULL)
        return;
    entry->segments = rule->segments;
    entry->mode = rule->mode & 15;
    entry->has_only = rule->only_count > 0;
}

/* Makes the hash agree with the claims, which are freed when nothing is left of them. */
static void refresh(struct route_registry *registry, struct claims *claims, const struct key *key)
{
    static const struct claim NOBODY;
    const struct route_entry *old = claims->entry;
    const struct claim *keeper = claims->first != NULL ? claims->first : &NOBODY;

    if (claims->first == NULL && claims->path_keys == 0) {
        if (old != NULL)
            replace_entry(registry, old, NULL);
        if (registry->found_in == claims)
            registry->found_in = NULL;
        free(claims);
        return;
    }
    if (old != NULL && entry_tenant(old) == keeper->tenant && entry_host(old) == keeper->host &&
        entry_path(old) == keeper->path && old->max_segments == claims->max_segments)
        return;
    struct route_entry *entry = entry_new(key);
    if (keeper->tenant != NULL)
        entry->brief = keeper->tenant->brief;
    if (key->prefix.size > 0)
        set_rule(entry, keeper->path);
    else
        entry->host = keeper->host;
    entry->max_segments = claims->max_segments;
    entry->has_pattern =
        key->kind == KEY_WILDCARD && keeper->tenant != NULL && keeper->tenant->label != NULL;
    entry->claims = claims;
    replace_entry(registry, old, entry);
    claims->entry = entry;
}

static struct claims *find_claims(const struct route_registry *registry, const struct key *key)
{
    const struct route_entry *entry = slots_find(&registry->hosts, key, key_hash(key));
    return entry != NULL ? entry->claims : NULL;
}

static struct claims *get_claims(const struct route_registry *registry, const struct key *key)
{
    struct claims *claims = find_claims(registry, key);
    return claims != NULL ? claims : memory_new(sizeof(*claims));
}

/* A first rule for a path makes its host's key look for paths that deep. */
static void count_path(struct route_registry *registry, const struct path_rule *path)
{
    struct key key = host_key(path->host, path->wildcard);
    struct claims *claims = get_claims(registry, &key);
    claims->path_keys++;
    if (path->segments > claims->max_segments)
        claims->max_segments = path->segments;
    refresh(registry, claims, &key);
}

static void discount_path(struct route_registry *registry, const struct path_rule *path)
{
    struct key key = host_key(path->host, path->wildcard);
    struct claims *claims = find_claims(registry, &key);
    assert(claims != NULL && claims->path_keys > 0);
    if (--claims->path_keys == 0)
        claims->max_segments = 0;
    refresh(registry, claims, &key);
}

struct put {
    struct route_registry *registry;
    const struct tenant *tenant;
    const struct tenant *old; /* the tenant in whose place it comes, or NULL */
    route_conflict_fn *on_conflict;
    void *context;
};

static struct place claim_place(const struct claim *claim)
{
    return claim->path != NULL ? claim->path->place : claim->host->place;
}

/* The claim of either tenant, of which `successor` may be NULL. */
static struct claim *find_claim(struct route_registry *registry, const struct claims *claims,
                                const struct tenant *tenant, const struct tenant *successor)
{
    struct claim *start = registry->found_in == claims ? registry->found : claims->first;
    struct claim *claim = start;
    while (claim != NULL && claim->tenant != tenant &&
           (successor == NULL || claim->tenant != successor)) {
        claim = claim->next != NULL ? claim->next : claims->first;
        if (claim == start)
            return NULL;
    }
    registry->found_in = claim != NULL ? claims : NULL;
    registry->found = claim;
    return claim;
}

static void append_claim(struct claims *claims, struct claim *claim)
{
    struct claim *first = claims->first;
    if (first == NULL) {
        claims->first = claim->previous = claim;
        return;
    }
    struct claim *last = first->previous;
    assert(last != NULL);
    last->next = claim;
    claim->previous = last;
    first->previous = claim;
}

static void remove_claim(struct claims *claims, struct claim *claim)
{
    struct claim *first = claims->first;
    if (claim->next != NULL)
        claim->next->previous = claim->previous;
    else
        first->previous = claim->previous;
    if (claim != first)
        claim->previous->next = claim->next;
    else
        claims->first = claim->next;
}

/* The tenant's own place in the queue, if its former self or an earlier entry of its list has one;
 * else a new one at the end. A tenant that was not there before can have the last place alone, or
 * the first if it is preferred. */
static struct claim *get_claim(const struct put *put, struct claims *claims, bool *repeated)
{
    struct claim *first = claims->first;
    struct claim *last = first != NULL ? first->previous : NULL;
    struct claim *own = last != NULL && last->tenant == put->tenant     ? last
                        : first != NULL && first->tenant == put->tenant ? first
                                                                        : NULL;
    if (own == NULL && put->old != NULL)
        own = find_claim(put->registry, claims, put->old, put->tenant);
    *repeated = own != NULL && own->tenant == put->tenant;
    if (own != NULL)
        return own;
    put->registry->waiting_claims += last != NULL;
    own = memory_new(sizeof(*own));
    append_claim(claims, own);
    return own;
}

static struct route_conflict conflict_of(const struct claims *claims, const struct claim *kept,
                                         const struct claim *ignored)
{
    return (struct route_conflict){
        .kept = kept->tenant,
        .ignored = ignored->tenant,
        .kept_place = claim_place(kept),
        .ignored_place = claim_place(ignored),
        .key = entry_text(claims->entry),
    };
}

/* Before another one's. */
static void move_to_front(struct claims *claims, struct claim *claim)
{
    remove_claim(claims, claim);
    struct claim *second = claims->first;
    assert(second != NULL);
    claim->previous = second->previous;
    claim->next = second;
    second->previous = claim;
    claims->first = claim;
}

static void make_claim(const struct put *put, const struct key *key, const struct tenant_host *host,
                       const struct path_rule *path)
{
    struct claims *claims = get_claims(put->registry, key);
    bool is_new = claims->entry == NULL;
    bool repeated;
    struct claim *claim = get_claim(put, claims, &repeated);
    if (repeated)
        return;
    claim->tenant = put->tenant;
    claim->host = host;
    claim->path = path;
    refresh(put->registry, claims, key);
    if (is_new && path != NULL)
        count_path(put->registry, path);
    const struct claim *other = claims->first;
    if (other == claim)
        return;
    struct route_conflict conflict = conflict_of(claims, other, claim);
    if (put->registry->prefer != NULL &&
        put->registry->prefer(put->registry->prefer_context, &conflict)) {
        move_to_front(claims, claim);
        refresh(put->registry, claims, key);
        conflict = conflict_of(claims, claim, other);
    }
    if (put->on_conflict != NULL)
        put->on_conflict(put->context, &conflict);
}

static void drop_claim(struct route_registry *registry, const struct tenant *tenant,
                       const struct tenant *successor, const struct key *key,
                       const struct path_rule *path)
{
    struct claims *claims = find_claims(registry, key);
    struct claim *claim = claims != NULL ? find_claim(registry, claims, tenant, successor) : NULL;
    if (claim == NULL || claim->tenant != tenant)
        return; /* its successor has it, or the key was in the tenant's list twice */
    registry->found = claim->next;
    if (claim->next == NULL)
        registry->found_in = NULL;
    remove_claim(claims, claim);
    free(claim);
    bool last = claims->first == NULL;
    registry->waiting_claims -= !last;
    refresh(registry, claims, key);
    if (last && path != NULL)
        discount_path(registry, path);
}

/* All that `successor`, who comes in its place, or nobody (NULL), does not have now. */
static void drop_claims(struct route_registry *registry, const struct tenant *tenant,
                        const struct tenant *successor)
{
    for (size_t i = 0; i < tenant->host_count; i++) {
        struct key key = host_key(tenant->hosts[i].name, tenant->hosts[i].wildcard);
        drop_claim(registry, tenant, successor, &key, NULL);
    }
    for (size_t i = 0; i < tenant->path_count; i++) {
        struct key key = path_key(&tenant->paths[i]);
        drop_claim(registry, tenant, successor, &key, &tenant->paths[i]);
    }
}

static bool has_key(const struct route_registry *registry, const struct tenant *tenant,
                    const struct key *key)
{
    const struct claims *claims = find_claims(registry, key);
    return claims != NULL && claims->first != NULL && claims->first->tenant == tenant;
}

bool route_registry_has_all(const struct route_registry *registry, const struct tenant *tenant)
{
    if (registry->waiting_claims == 0)
        return true;
    for (size_t i = 0; i < tenant->host_count; i++) {
        struct key key = host_key(tenant->hosts[i].name, tenant->hosts[i].wildcard);
        if (!has_key(registry, tenant, &key))
            return false;
    }
    for (size_t i = 0; i < tenant->path_count; i++) {
        struct key key = path_key(&tenant->paths[i]);
        if (!has_key(registry, tenant, &key))
            return false;
    }
    return true;
}

/* "*.example.com/owui" is a key as entry_text() has it. */
static struct key key_of(struct slice text)
{
    struct key key = {.kind = KEY_HOST, .name = text};
    if (slice_starts_with(text, SLICE("*."))) {
        key.kind = KEY_WILDCARD;
        key.name = slice_skip(text, 2);
    }
    struct slice host = slice_before(key.name, '/');
    key.prefix = slice_skip(key.name, host.size);
    key.name = host;
    return key;
}

const struct tenant *route_registry_contest(const struct route_registry *registry,
                                            struct slice text)
{
    const struct key key = key_of(text);
    const struct claims *claims = find_claims(registry, &key);
    bool is_contested = claims != NULL && claims->first != NULL && claims->first->next != NULL;
    return is_contested ? claims->first->tenant : NULL;
}

void route_registry_prefer(struct route_registry *registry, route_prefer_fn *prefer, void *context)
{
    registry->prefer = prefer;
    registry->prefer_context = context;
}

void route_registry_put(struct route_registry *registry, struct tenant *tenant,
                        route_conflict_fn *on_conflict, void *context)
{
    const struct tenant *old = route_registry_find(registry, slice_of(tenant->name));
    const struct put put = {registry, tenant, old, on_conflict, context};

    /* Claims are made before old ones are dropped, so that a tenant that comes in its own place
     * keeps its place in every queue. */
    for (size_t i = 0; i < tenant->host_count; i++) {
        struct key key = host_key(tenant->hosts[i].name, tenant->hosts[i].wildcard);
        make_claim(&put, &key, &tenant->hosts[i], NULL);
    }
    for (size_t i = 0; i < tenant->path_count; i++) {
        struct key key = path_key(&tenant->paths[i]);
        make_claim(&put, &key, NULL, &tenant->paths[i]);
    }
    if (old != NULL)
        drop_claims(registry, old, tenant);
    replace_tenant(registry, old, tenant);
}

bool route_registry_remove(struct route_registry *registry, struct slice name)
{
    const struct tenant *tenant = route_registry_find(registry, name);
    if (tenant == NULL)
        return false;
    drop_claims(registry, tenant, NULL);
    replace_tenant(registry, tenant, NULL);
    return true;
}

const struct tenant *route_registry_find(const struct route_registry *registry, struct slice name)
{
    const struct key key = tenant_key(name);
    return slots_find(&registry->names, &key, key_hash(&key));
}

struct route_table *route_registry_build(struct route_registry *registry, uint64_t generation)
{
    assert(generation > registry->generation);
    registry->generation = generation;
    struct route_table *table = memory_new(sizeof(*table));
    slots_copy(&registry->hosts, &table->hosts);
    slots_copy(&registry->names, &table->names);
    table->tenant_count = registry->tenant_count;
    table->takeover_count = registry->takeover_count;
    table->featured_count = registry->featured_count;
    table->content_hash = registry->content_hash;
    return table;
}

void route_registry_reclaim(struct route_registry *registry, uint64_t oldest_generation_in_use)
{
    while (registry->oldest != NULL && registry->oldest->generation < oldest_generation_in_use)
        free_oldest(registry);
}

size_t route_registry_retired(const struct route_registry *registry)
{
    return registry->retired_count;
}

static void free_claims(struct claims *claims)
{
    if (claims == NULL)
        return;
    while (claims->first != NULL) {
        struct claim *claim = claims->first;
        claims->first = claim->next;
        free(claim);
    }
    free(claims);
}

static void free_hosts(struct slots *hosts)
{
    for (size_t i = 0; i <= hosts->mask; i++) {
        const struct route_entry *entry = hosts->slots[i].item;
        if (entry == NULL)
            continue;
        free_claims(entry->claims);
        entry_free(own_entry(entry));
    }
    slots_fini(hosts);
}

static void free_names(struct slots *names)
{
    for (size_t i = 0; i <= names->mask; i++)
        tenant_free(own_tenant(names->slots[i].item));
    slots_fini(names);
}

void route_registry_free(struct route_registry *registry)
{
    if (registry == NULL)
        return;
    free_hosts(&registry->hosts);
    free_names(&registry->names);
    while (registry->oldest != NULL)
        free_oldest(registry);
    free(registry);
}
