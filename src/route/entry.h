/* What a table holds, found by key in an open-addressing hash: an entry for each host and path, and
 * tenants by their names.
 *
 * An entry is immutable once it was in a built table; only the registry makes and frees them. */
#pragma once

#include "core/slice.h"

struct tenant;
struct tenant_brief;
struct tenant_host;
struct path_rule;
struct claims;

enum key_kind {
    KEY_HOST,     /* "chat.example.com", with "/prefix" behind it for a path rule */
    KEY_WILDCARD, /* "*.ai.example.com", likewise */
    KEY_TENANT,   /* "acme" */
};

struct key {
    enum key_kind kind;
    struct slice name; /* without "*." */
    struct slice prefix;
};

/* A key's hash is made in two steps, so that all prefixes of a path share the first. */
uint64_t key_hash_name(enum key_kind kind, struct slice name);
uint64_t key_hash_prefix(uint64_t name_hash, struct slice prefix);
uint64_t key_hash(const struct key *key);

/* Of a host or a path. A lookup among many waits for memory, so that an entry begins with a cache
 * line, and ends with it unless its host is long. */
struct route_entry {
    const struct tenant_brief *brief; /* whose it is; NULL: the host has path rules only */
    union {
        const struct tenant_host *host; /* the pattern that leads here */
        const struct path_rule *path;   /* the rule, where there is a prefix */
    };
    struct claims *claims; /* the registry's; not for readers of tables */
    uint16_t name_size;
    uint16_t prefix_size;
    uint8_t max_segments; /* of the path rules that this host has; 0: none */
    uint8_t segments;     /* the rule's, and */
    uint8_t mode : 4;     /* enum path_mode, */
    bool has_only : 1;    /* so that most need not read it */
    bool has_pattern : 1; /* the tenant's `label` says which labels this wildcard stands for */
    uint8_t kind : 2;     /* enum key_kind */
    char text[];          /* the key as it is written: for messages, and compared with */
};

struct route_entry *entry_new(const struct key *key);
void entry_free(struct route_entry *entry);
struct slice entry_text(const struct route_entry *entry);
/* Whose it is; NULL: the host has path rules only. */
const struct tenant *entry_tenant(const struct route_entry *entry);
/* One of them, or neither. */
const struct tenant_host *entry_host(const struct route_entry *entry);
const struct path_rule *entry_path(const struct route_entry *entry);
struct key entry_key(const struct route_entry *entry);
bool entry_has_key(const struct route_entry *entry, const struct key *key);

struct slot {
    uint64_t hash;
    const void *item; /* a tenant where the key is KEY_TENANT, else an entry; NULL: free */
};

/* Buckets of four slots, which are one cache line, so that no branch depends on which of them it
 * is. What has no room in its bucket is in the next that has. A bucket is filled from its front. A
 * removal closes the gap it leaves: there are no tombstones, and a copy is as good as one built
 * anew. */
struct slots {
    struct slot *slots;
    size_t mask; /* capacity - 1; the capacity is a power of two */
    size_t count;
};

void slots_init(struct slots *slots);
void slots_fini(struct slots *slots); /* the items stay */
void slots_copy(const struct slots *slots, struct slots *copy);
const void *slots_find(const struct slots *slots, const struct key *key, uint64_t hash);
/* Begins to bring the slot into the cache where the hash is looked for first. */
void slots_prefetch(const struct slots *slots, uint64_t hash);
/* The item with this hash, whose key may be another. Reads nothing but slots. */
const void *slots_find_likely(const struct slots *slots, uint64_t hash);
/* Adds the item, whose key this is, or puts it in the place of the one that has it. */
void slots_put(struct slots *slots, const struct key *key, const void *item);
/* One with this key must be there. */
void slots_remove(struct slots *slots, const struct key *key);
