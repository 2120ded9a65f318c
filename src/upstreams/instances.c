/* Which labels have an instance: see instances.h. */
#include "upstreams/instances.h"

#include "agent/instance.h"
#include "core/fair.h"
#include "core/memory.h"

#include <search.h>
#include <stdlib.h>

/* As long as it has entries. */
struct parent {
    char *name; /* of the tenant */
    size_t entry_count;
    size_t waiting_count; /* of these */
};

struct label_entry {
    char *key; /* "TENANT/LABEL", the instance's name */
    struct parent *parent;
    char *label;
    int64_t expires_ms;
    bool in_force;   /* the registry has it */
    bool is_waiting; /* for an answer */
    struct label_entry *next;
};

struct instances {
    struct route_registry *registry;
    struct resolver *resolver;
    instances_allow_fn *allow;
    void *context;
    void *tree;    /* entries by key */
    void *parents; /* by name */
    struct label_entry *entries;
    size_t in_force_count;
    size_t waiting_count;
};

struct instances *instances_new(struct route_registry *registry, struct resolver *resolver,
                                instances_allow_fn *allow, void *context)
{
    struct instances *instances = memory_new(sizeof(*instances));
    instances->registry = registry;
    instances->resolver = resolver;
    instances->allow = allow;
    instances->context = context;
    return instances;
}

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const struct label_entry *)a)->key, ((const struct label_entry *)b)->key);
}

static int compare_parents(const void *a, const void *b)
{
    return strcmp(((const struct parent *)a)->name, ((const struct parent *)b)->name);
}

/* Found or made, for one entry more. */
static struct parent *parent_ref(struct instances *instances, const char *name)
{
    struct parent *parent = memory_new(sizeof(*parent));
    parent->name = memory_copy_text(slice_of(name));
    struct parent **place = tsearch(parent, &instances->parents, compare_parents);
    if (place == NULL)
        memory_give_up(sizeof(*parent));
    if (*place != parent) {
        free(parent->name);
        free(parent);
    }
    (*place)->entry_count++;
    return *place;
}

static void parent_unref(struct instances *instances, struct parent *parent)
{
    if (--parent->entry_count > 0)
        return;
    tdelete(parent, &instances->parents, compare_parents);
    free(parent->name);
    free(parent);
}

static struct label_entry *entry_new(struct instances *instances,
                                     const struct label_request *request, int64_t now_ms)
{
    struct label_entry *entry = memory_new(sizeof(*entry));
    entry->key = memory_format("%s/%s", request->tenant, request->label);
    entry->parent = parent_ref(instances, request->tenant);
    entry->label = memory_copy_text(slice_of(request->label));
    entry->expires_ms = now_ms + INSTANCE_LIFE_MS;
    return entry;
}

static void set_waiting(struct instances *instances, struct label_entry *entry, bool is_waiting)
{
    instances->waiting_count += is_waiting;
    instances->waiting_count -= entry->is_waiting;
    entry->parent->waiting_count += is_waiting;
    entry->parent->waiting_count -= entry->is_waiting;
    entry->is_waiting = is_waiting;
}

static void entry_free(struct instances *instances, struct label_entry *entry)
{
    set_waiting(instances, entry, false);
    parent_unref(instances, entry->parent);
    free(entry->key);
    free(entry->label);
    free(entry);
}

static void leave_in_place(void *entry)
{
    (void)entry;
}

void instances_free(struct instances *instances)
{
    if (instances == NULL)
        return;
    tdestroy(instances->tree, leave_in_place);
    while (instances->entries != NULL) {
        struct label_entry *entry = instances->entries;
        instances->entries = entry->next;
        entry_free(instances, entry);
    }
    free(instances);
}

size_t instances_count(const struct instances *instances)
{
    return instances->in_force_count;
}

/* What should become of an entry. */
enum fate { FATE_KEEP, FATE_WAIT, FATE_DROP };

static const struct tenant *instance_of(const struct instances *instances,
                                        const struct label_entry *entry)
{
    return entry->in_force ? route_registry_find(instances->registry, slice_of(entry->key)) : NULL;
}

/* Whose name is asked for anyhow needs no room; all of a tenant's have another one when its
 * upstream changes. */
static bool may_ask(const struct instances *instances, const struct label_entry *entry,
                    const char *host)
{
    const struct tenant *instance = instance_of(instances, entry);
    bool is_asked = instance != NULL && instance->upstream.host != NULL &&
                    strcmp(instance->upstream.host, host) == 0;
    return is_asked || entry->is_waiting ||
           fair_has_room(entry->parent->waiting_count, instances->waiting_count,
                         INSTANCES_WAITING_MAX);
}

static enum fate find_address(const struct instances *instances, const struct label_entry *entry,
                              const char *host, uint16_t port, struct ip *address)
{
    enum resolver_answer answer = RESOLVER_KNOWN;
    if (!ip_parse(slice_of(host), address)) {
        if (!may_ask(instances, entry, host))
            return FATE_DROP;
        answer = resolver_find_label(instances->resolver, entry->parent->name, host, address);
    }
    if (answer == RESOLVER_PENDING)
        return FATE_WAIT;
    return answer == RESOLVER_KNOWN && instances->allow(instances->context, address, port)
               ? FATE_KEEP
               : FATE_DROP;
}

static bool is_up_to_date(const struct tenant *instance, const struct tenant *parent,
                          struct slice label, const struct ip *address)
{
    return instance != NULL && ip_equal(&instance->upstream.address, address) &&
           instance_is_of(instance, parent, label);
}

/* Another list has one line that is another one, and all the others' instances stay as they are.
 * Whose instance it is is looked at by this thread alone, though loops see the instance. */
static void move_to(const struct tenant *instance, const struct tenant *parent)
{
    ((struct tenant *)(uintptr_t)instance)->instance_of = parent;
}

static void take_out(struct instances *instances, struct label_entry *entry)
{
    if (!entry->in_force)
        return;
    route_registry_remove(instances->registry, slice_of(entry->key));
    entry->in_force = false;
    instances->in_force_count--;
}

/* In the place of the one that is there. False when it cannot be answered with. */
static bool put(struct instances *instances, struct label_entry *entry, const struct tenant *parent,
                const char *host, const struct ip *address)
{
    const struct tenant *before = instance_of(instances, entry);
    struct tenant *fresh = instance_new(parent, slice_of(entry->label), host, address, NULL);
    if (fresh == NULL)
        return false;
    if (before != NULL && instance_take_use(before))
        instance_use(fresh);
    route_registry_put(instances->registry, fresh, NULL, NULL);
    instances->in_force_count += !entry->in_force;
    entry->in_force = true;
    return true;
}

/* `*changed` is set when the registry was. */
static enum fate settle(struct instances *instances, struct label_entry *entry, bool *changed)
{
    const struct tenant *parent =
        route_registry_find(instances->registry, slice_of(entry->parent->name));
    if (parent == NULL || parent->backend != NULL || !parent->upstream.per_label)
        return FATE_DROP;
    char *host = instance_host(parent, slice_of(entry->label));
    uint16_t port = instance_port(parent, slice_of(entry->label));
    struct ip address;
    enum fate fate =
        host != NULL ? find_address(instances, entry, host, port, &address) : FATE_DROP;
    const struct tenant *before = instance_of(instances, entry);
    if (fate == FATE_KEEP && is_up_to_date(before, parent, slice_of(entry->label), &address)) {
        move_to(before, parent);
    } else if (fate == FATE_KEEP) {
        bool is_put = put(instances, entry, parent, host, &address);
        *changed |= is_put;
        fate = is_put ? FATE_KEEP : FATE_DROP;
    }
    if (fate == FATE_WAIT && entry->in_force) {
        take_out(instances, entry);
        *changed = true;
    }
    set_waiting(instances, entry, fate == FATE_WAIT);
    free(host);
    return fate;
}

/* What is in use stays, so that nobody who uses it has to wait for it anew. */
static bool is_over(const struct instances *instances, struct label_entry *entry, int64_t now_ms)
{
    if (now_ms < entry->expires_ms)
        return false;
    const struct tenant *instance = instance_of(instances, entry);
    if (instance == NULL || !instance_take_use(instance))
        return true;
    entry->expires_ms = now_ms + INSTANCE_LIFE_MS;
    return false;
}

bool instances_settle(struct instances *instances, int64_t now_ms)
{
    bool changed = false;
    struct label_entry **link = &instances->entries;
    while (*link != NULL) {
        struct label_entry *entry = *link;
        if (!is_over(instances, entry, now_ms) && settle(instances, entry, &changed) != FATE_DROP) {
            link = &entry->next;
            continue;
        }
        changed |= entry->in_force;
        take_out(instances, entry);
        *link = entry->next;
        tdelete(entry, &instances->tree, compare_entries);
        entry_free(instances, entry);
    }
    return changed;
}

/* The labels of a list are as many as its owner wants, and not as many as clients make up. */
static bool is_one_too_many(const struct instances *instances, const struct parent *parent)
{
    const struct tenant *tenant = route_registry_find(instances->registry, slice_of(parent->name));
    bool has_list = tenant != NULL && tenant->labels != NULL;
    return !has_list && parent->entry_count > INSTANCES_PER_TENANT;
}

bool instances_want(struct instances *instances, const struct label_request *request,
                    int64_t now_ms)
{
    bool changed = false;
    struct label_entry *entry = entry_new(instances, request, now_ms);
    if (tfind(entry, &instances->tree, compare_entries) != NULL ||
        is_one_too_many(instances, entry->parent) ||
        settle(instances, entry, &changed) == FATE_DROP) {
        entry_free(instances, entry);
        return changed;
    }
    if (tsearch(entry, &instances->tree, compare_entries) == NULL)
        memory_give_up(sizeof(*entry));
    entry->next = instances->entries;
    instances->entries = entry;
    return changed;
}
