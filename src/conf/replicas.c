/* Several servers of one tenant: see replicas.h. */
#include "replicas.h"

#include "core/memory.h"

#include <stdlib.h>

enum {
    SLOW_START_MS = 30 * 1000,
    SLOW_START_MAX_MS = 3600 * 1000,
    EVERY_MS = 5000,
    EVERY_MIN_MS = 100,
    EVERY_MAX_MS = 3600 * 1000,
    RISE = 2,
    FALL = 2,
    COUNT_MAX = 20,
    CHECK_PATH_MAX_BYTES = 128,
};

/* A set as far as it has been read. */
struct draft_set {
    const struct configuration *configuration;
    struct replica_set *set;
    struct node draining; /* looked at when all servers are known, and so are */
    struct node pools;
    bool has_pools;
    bool has_draining;
    bool has_fallback;
    bool good;
};

/* -- Servers ---------------------------------------------------------------------------------- */

/* "10.2.0.11:8080" is short for "http://10.2.0.11:8080". */
static bool read_server(const struct node *node, const struct configuration *configuration,
                        struct replica *replica)
{
    struct slice text;
    struct replica read = {0};
    if (json_type_of(node->value) == JSON_TYPE_OBJECT) {
        node_report(node, JSON_PART_VALUE, CODE_WRONG_TYPE,
                    memory_format("\"http://10.2.0.11:8080\": each replica gets its share, and "
                                  "\"draining\" lists those that get nobody new"),
                    "a server is a URL; it has no weight");
        return false;
    }
    if (!node_text(node, &text))
        return false;
    if (!upstream_read_server(node, text, configuration, &read.upstream)) {
        upstream_fini(&read.upstream);
        return false;
    }
    if (read.upstream.per_label) {
        node_report(node, JSON_PART_VALUE, CODE_UPSTREAM_SYNTAX, NULL,
                    "only \"upstream\" can depend on {1}");
        upstream_fini(&read.upstream);
        return false;
    }
    replica_name(&read);
    *replica = read;
    return true;
}

static struct replica *find_replica(const struct replica_set *set, uint64_t seed)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->items[i].seed == seed)
            return &set->items[i];
    return NULL;
}

static void read_servers(const struct node *node, void *target)
{
    struct draft_set *draft = target;
    struct replica_set *set = draft->set;
    size_t count = json_count(node->value);
    if (!node_is(node, JSON_TYPE_ARRAY))
        return;
    if (count == 0 || count > REPLICAS_MAX) {
        node_report(node, JSON_PART_VALUE, CODE_OUT_OF_RANGE, NULL,
                    "%zu servers, and from 1 to %d are possible", count, REPLICAS_MAX);
        return;
    }
    set->items = memory_new(count * sizeof(*set->items));
    draft->good = true;
    for (struct node_iterator i = node_children(node); node_next(&i);) {
        struct replica replica;
        if (!read_server(&i.node, draft->configuration, &replica)) {
            draft->good = false;
            continue;
        }
        if (find_replica(set, replica.seed) != NULL) {
            node_report(&i.node, JSON_PART_VALUE, CODE_LISTED_TWICE, NULL,
                        "this server is in the list already");
            upstream_fini(&replica.upstream);
            draft->good = false;
            continue;
        }
        set->items[set->count++] = replica;
    }
}

static void read_draining(const struct node *node, void *target)
{
    struct draft_set *draft = target;
    draft->draining = *node;
    draft->has_draining = node_is(node, JSON_TYPE_ARRAY);
}

/* Servers that drain stay in "servers", so that draining is a line more and the way back one less.
 */
static void mark_draining(struct draft_set *draft)
{
    for (struct node_iterator i = node_children(&draft->draining); node_next(&i);) {
        struct replica named;
        if (!read_server(&i.node, draft->configuration, &named))
            continue;
        struct replica *replica = find_replica(draft->set, named.seed);
        upstream_fini(&named.upstream);
        if (replica != NULL)
            replica->draining = true;
        else
            node_report(&i.node, JSON_PART_VALUE, CODE_REPLICA_UNKNOWN,
                        memory_format("a server that drains stays in \"servers\" until it is "
                                      "empty; one that is in neither gets nothing"),
                        "this server is not in \"servers\"");
    }
}

/* -- Pools ------------------------------------------------------------------------------------- */

static void read_pools(const struct node *node, void *target)
{
    struct draft_set *draft = target;
    draft->pools = *node;
    draft->has_pools = node_is(node, JSON_TYPE_OBJECT);
}

static void read_pool(const struct node *node, struct draft_set *draft)
{
    struct replica_set *set = draft->set;
    struct replica_pool *pool = &set->pools[set->pool_count++];
    *pool = (struct replica_pool){.name = memory_copy_text(node->key)};
    if (!plain_name_is(node->key))
        node_report(node, JSON_PART_KEY, CODE_BAD_NAME, NULL,
                    "\"%.*s\" is not a name for a pool: letters, digits, \"_\", \"-\" and \".\"",
                    SLICE_PRINT(node->key));
    if (!node_is(node, JSON_TYPE_ARRAY))
        return;
    for (struct node_iterator i = node_children(node); node_next(&i);) {
        struct replica named;
        if (!read_server(&i.node, draft->configuration, &named))
            continue;
        const struct replica *replica = find_replica(set, named.seed);
        upstream_fini(&named.upstream);
        if (replica == NULL)
            node_report(&i.node, JSON_PART_VALUE, CODE_REPLICA_UNKNOWN,
                        memory_format("a server of a pool stands in \"servers\", too"),
                        "this server is not in \"servers\"");
        else
            pool->mask |= UINT64_C(1) << (replica - set->items);
    }
    if (json_count(node->value) == 0)
        node_report(node, JSON_PART_VALUE, CODE_OUT_OF_RANGE, NULL,
                    "a pool must have one server at least");
    set->pooled |= pool->mask;
}

/* What no route sends to a pool needs a server as well. */
static void take_pools(struct draft_set *draft)
{
    struct replica_set *set = draft->set;
    set->pools = memory_new(json_count(draft->pools.value) * sizeof(*set->pools));
    for (struct node_iterator i = node_children(&draft->pools); node_next(&i);)
        read_pool(&i.node, draft);
    uint64_t all = set->count == REPLICAS_MAX ? UINT64_MAX : (UINT64_C(1) << set->count) - 1;
    if (set->count > 0 && set->pooled == all)
        node_report(&draft->pools, JSON_PART_VALUE, CODE_OUT_OF_RANGE,
                    memory_format("leave one server at least out of all pools"),
                    "every server is in a pool, and nothing is left for all other requests");
}

/* -- What keeps people at a replica ----------------------------------------------------------- */

static void read_sticky(const struct node *node, void *target)
{
    static const struct choice CHOICES[] = {
        {"user", STICKY_USER}, {"cookie", STICKY_COOKIE}, {"client", STICKY_CLIENT}};
    struct draft_set *draft = target;
    int value;
    if (node_choice(node, CHOICES, COUNT_OF(CHOICES), &value))
        draft->set->sticky = (enum replica_sticky)value;
}

static void read_fallback(const struct node *node, void *target)
{
    static const struct choice CHOICES[] = {{"cookie", STICKY_COOKIE}, {"client", STICKY_CLIENT}};
    struct draft_set *draft = target;
    int value;
    draft->has_fallback = true;
    if (node_choice(node, CHOICES, COUNT_OF(CHOICES), &value))
        draft->set->fallback = (enum replica_sticky)value;
}

static void read_slow_start(const struct node *node, void *target)
{
    struct draft_set *draft = target;
    node_duration(node, 0, SLOW_START_MAX_MS, &draft->set->slow_start_ms);
}

static const struct option OPTIONS[] = {
    {"servers", read_servers},   {"draining", read_draining},     {"sticky", read_sticky},
    {"fallback", read_fallback}, {"slow_start", read_slow_start}, {"pools", read_pools},
};

static void check_together(const struct node *node, const struct draft_set *draft)
{
    struct node member;
    if (!node_member(node, "servers", &member))
        node_report(node, JSON_PART_KEY, CODE_MISSING_KEY,
                    memory_format("\"servers\": [\"http://10.2.0.11:8080\", "
                                  "\"http://10.2.0.12:8080\"]"),
                    "\"replicas\" needs \"servers\"");
    if (draft->has_fallback && draft->set->sticky != STICKY_USER &&
        node_member(node, "fallback", &member))
        node_report(&member, JSON_PART_KEY, CODE_MEANINGLESS_KEY, NULL,
                    "\"fallback\" has no meaning unless \"sticky\" is \"user\": it is for who is "
                    "not signed in");
}

void replicas_read(const struct node *node, const struct configuration *configuration,
                   struct replica_set **set)
{
    struct draft_set draft = {.configuration = configuration};
    if (!node_is(node, JSON_TYPE_OBJECT))
        return;
    draft.set = memory_new(sizeof(*draft.set));
    draft.set->sticky = STICKY_USER;
    draft.set->fallback = STICKY_COOKIE;
    draft.set->slow_start_ms = SLOW_START_MS;
    options_read(node, OPTIONS, COUNT_OF(OPTIONS), &draft);
    check_together(node, &draft);
    if (draft.good && draft.has_draining)
        mark_draining(&draft);
    if (draft.good && draft.has_pools)
        take_pools(&draft);
    if (draft.good) {
        *set = draft.set;
        draft.set = NULL;
    }
    replica_set_free(draft.set);
}

bool replicas_use_https(const struct replica_set *set)
{
    for (size_t i = 0; set != NULL && i < set->count; i++)
        if (set->items[i].upstream.scheme != UPSTREAM_HTTP)
            return true;
    return false;
}

void replicas_apply(const struct node *tenant_node, const struct upstream_tls *tls,
                    struct replica_set **set, struct tenant *tenant)
{
    struct node replicas, servers;
    if (*set == NULL || !node_member(tenant_node, "replicas", &replicas) ||
        !node_member(&replicas, "servers", &servers))
        return;
    size_t index = 0;
    for (struct node_iterator i = node_children(&servers); node_next(&i);)
        upstream_apply_tls(&i.node, tls, &(*set)->items[index++].upstream);
    tenant->replicas = *set;
    *set = NULL;
}

/* -- Checks ----------------------------------------------------------------------------------- */

void check_init(struct check_rule *check)
{
    *check = (struct check_rule){
        .path = memory_copy_text(SLICE("/ready")),
        .fallback = memory_copy_text(SLICE("/health")),
        .every_ms = EVERY_MS,
        .rise = RISE,
        .fall = FALL,
    };
}

void check_fini(struct check_rule *check)
{
    free(check->path);
    free(check->fallback);
    *check = (struct check_rule){0};
}

/* What may stand in a request line as it is. */
static bool path_is_plain(struct slice path)
{
    if (path.size == 0 || path.size > CHECK_PATH_MAX_BYTES || path.data[0] != '/')
        return false;
    for (size_t i = 0; i < path.size; i++)
        if (path.data[i] <= ' ' || path.data[i] > '~' || byte_is_one_of(path.data[i], "#\"\\"))
            return false;
    return true;
}

static void read_path(const struct node *node, char **path)
{
    struct slice text;
    if (!node_text(node, &text))
        return;
    if (!path_is_plain(text)) {
        node_report(node, JSON_PART_VALUE, CODE_PATH_PREFIX,
                    memory_format("for example \"/ready\", which tells whether Open WebUI has "
                                  "started and reaches its database"),
                    "\"%.*s\" is not a path", SLICE_PRINT(text));
        return;
    }
    free(*path);
    *path = memory_copy_text(text);
}

static void read_check_path(const struct node *node, void *target)
{
    read_path(node, &((struct check_rule *)target)->path);
}

static void read_check_fallback(const struct node *node, void *target)
{
    struct check_rule *check = target;
    if (json_type_of(node->value) != JSON_TYPE_NULL) {
        read_path(node, &check->fallback);
        return;
    }
    free(check->fallback);
    check->fallback = NULL;
}

static void read_every(const struct node *node, void *target)
{
    node_duration(node, EVERY_MIN_MS, EVERY_MAX_MS, &((struct check_rule *)target)->every_ms);
}

static void read_rise(const struct node *node, void *target)
{
    node_unsigned(node, 1, COUNT_MAX, &((struct check_rule *)target)->rise);
}

static void read_fall(const struct node *node, void *target)
{
    node_unsigned(node, 1, COUNT_MAX, &((struct check_rule *)target)->fall);
}

void check_read(const struct node *node, struct check_rule *check, bool *off)
{
    static const struct option CHECK_OPTIONS[] = {
        {"path", read_check_path}, {"fallback", read_check_fallback},
        {"every", read_every},     {"rise", read_rise},
        {"fall", read_fall},
    };
    if (json_read_bool(node->value, off)) {
        *off = !*off;
        return;
    }
    if (node_is(node, JSON_TYPE_OBJECT))
        options_read(node, CHECK_OPTIONS, COUNT_OF(CHECK_OPTIONS), check);
}
