/* From (host, path) to a tenant.
 *
 * One flat hash table whose keys are "host", "*.suffix" (a wildcard matches exactly one label, as
 * certificates do), and either of these with "/prefix" behind it for a path rule. Precedence: exact
 * host with the longest path > exact host > wildcard host with the longest path > wildcard host.
 *
 * A table is immutable once built. The next generation's table is a copy with edits (memcpy and a
 * few stores), so that one changed tenant among 100,000 costs a millisecond. Entries and tenants
 * belong to the registry, which frees them when told that no older table is in use.
 *
 * The registry is used by one thread, the publisher; tables may be read by any.
 */
#pragma once

#include "route/settings.h"

struct route_table; /* what a snapshot holds */
struct route_entry; /* what a key leads to in it */

struct route_match {
    /* Both as route_match_lead() leaves them. */
    const struct tenant *tenant; /* NULL: nobody has this host, or none of its paths match */
    const struct tenant_brief *brief;
    const struct path_rule *path; /* the rule that matched, or NULL, */
    enum path_mode path_mode;     /* and what of it most need to know: it may be in no cache */
    uint8_t path_segments;
    const struct tenant_host *host; /* the host pattern that matched, or NULL for a path rule */
    struct slice label;             /* what "*" matched: a view into the host asked for */
    bool label_refused;             /* a wildcard host matched but its label pattern did not */
    bool host_has_paths; /* a path of the host is somebody's, whether or not it matched */
    bool host_known;     /* the host is somebody's, though no path matched */
};

/* Makes the request the tenant's. NULL: it is nobody's. */
static inline void route_match_lead(struct route_match *match, const struct tenant *tenant)
{
    match->tenant = tenant;
    match->brief = tenant != NULL ? tenant->brief : NULL;
}

/* `host` is a normalised name, `path` a normalised path. No lock, no allocation. */
void route_table_find(const struct route_table *table, struct slice host, struct slice path,
                      struct route_match *match);
/* Whether the table is too large for the processor's nearer caches. */
bool route_table_is_large(const struct route_table *table);
/* A lookup among many waits for memory a few times. Whoever has several to make takes these steps
 * for all of them first, with others' between: each reads what the one before has asked for, and
 * asks for what the next one reads. What they find is a guess, since nobody has compared keys; the
 * lookup does. */
struct route_guess {
    struct slice name;              /* the host */
    bool is_nobodys;                /* the host itself leads to nothing; a wildcard may */
    uint64_t name_hash;             /* of the host, or of the wildcard that it fits */
    uint64_t hash;                  /* of that with the prefix */
    struct slice prefix;            /* of the path: the longest that may have a rule */
    const struct route_entry *host; /* what that leads to; NULL: nothing */
    const struct route_entry *path; /* what it leads to with the path; NULL: nothing */
};

/* `host` is to stay where it is. */
void route_guess_begin(struct route_guess *guess, const struct route_table *table,
                       struct slice host);
void route_guess_host(struct route_guess *guess, const struct route_table *table);
/* Where the host itself leads to nothing. */
void route_guess_wildcard(struct route_guess *guess, const struct route_table *table);
/* Whether the path has to be looked at, too: then in two steps. */
bool route_guess_has_paths(const struct route_guess *guess);
void route_guess_prefix(struct route_guess *guess, const struct route_table *table,
                        struct slice path);
void route_guess_path(struct route_guess *guess, const struct route_table *table);
/* Whose the path is, or else the host; NULL: nobody's. */
const struct tenant_brief *route_guess_brief(const struct route_guess *guess);
/* Asks for what decisions read of it. */
void route_guess_prefetch_brief(const struct route_guess *guess);
/* As route_table_find(), and sooner where `guess` is right: of this table, empty, or NULL. */
void route_table_find_guessed(const struct route_table *table, const struct route_guess *guess,
                              struct slice host, struct slice path, struct route_match *match);
/* One key that a lookup tried. */
struct route_try {
    struct slice host; /* without "*." */
    bool wildcard;
    struct slice prefix;           /* empty: the host itself */
    const struct tenant *claimant; /* who has the key; NULL: nobody */
    const struct path_rule *path;  /* the claimant's rule, or */
    const struct tenant_host *host_rule;
    bool won;
};
typedef void route_try_fn(void *context, const struct route_try *attempt);
/* The same lookup, telling each key as it is tried: for `explain`. */
void route_table_find_told(const struct route_table *table, struct slice host, struct slice path,
                           struct route_match *match, route_try_fn *on_try, void *context);
/* By name; NULL if there is none. */
const struct tenant *route_table_tenant(const struct route_table *table, struct slice name);
size_t route_table_tenant_count(const struct route_table *table);
/* How many of them take a host's root over by cookie. */
size_t route_table_takeover_count(const struct route_table *table);
/* Equal for equal content, in whatever order it was built. */
uint64_t route_table_content_hash(const struct route_table *table);
/* Calls `visit` for every tenant, in no particular order. */
void route_table_each_tenant(const struct route_table *table,
                             void (*visit)(void *context, const struct tenant *tenant),
                             void *context);
void route_table_free(struct route_table *table);

/* Two tenants claim one (host, prefix): `kept` had it first and keeps it. */
struct route_conflict {
    const struct tenant *kept;
    const struct tenant *ignored;
    struct place kept_place;
    struct place ignored_place;
    struct slice key; /* "chat.example.com" or "example.com/owui" */
};
typedef void route_conflict_fn(void *context, const struct route_conflict *conflict);

struct route_registry *route_registry_new(void);
void route_registry_free(struct route_registry *registry); /* frees every tenant */

/* Whether who comes later gets what somebody has; from now on, until it is NULL. */
typedef bool route_prefer_fn(void *context, const struct route_conflict *conflict);
void route_registry_prefer(struct route_registry *registry, route_prefer_fn *prefer, void *context);

/* Adds the tenant, or puts it in the place of the one with its name; takes ownership. Conflicts are
 * told through `on_conflict` (may be NULL); the rest of the tenant still counts. When a claim's
 * keeper goes, the next claimant gets it. */
void route_registry_put(struct route_registry *registry, struct tenant *tenant,
                        route_conflict_fn *on_conflict, void *context);
/* False when there is no such tenant. */
bool route_registry_remove(struct route_registry *registry, struct slice name);
const struct tenant *route_registry_find(const struct route_registry *registry, struct slice name);
/* Who has a key, as route_conflict tells it, that others claim too; NULL: nobody does. */
const struct tenant *route_registry_contest(const struct route_registry *registry,
                                            struct slice key);
/* Whether a tenant of the registry has all hosts and paths that it claims. Costs nothing while no
 * two tenants claim the same. */
bool route_registry_has_all(const struct route_registry *registry, const struct tenant *tenant);

/* The table of what is in the registry now, for generation `generation` (growing). Cheap when
 * little has changed since the last call. */
struct route_table *route_registry_build(struct route_registry *registry, uint64_t generation);
/* Frees what only tables before `oldest_generation_in_use` could see. */
void route_registry_reclaim(struct route_registry *registry, uint64_t oldest_generation_in_use);
/* How many replaced or removed objects wait to be freed. */
size_t route_registry_retired(const struct route_registry *registry);
