/* The certificates that are wanted: see certificate_list.h. */
#include "certificate_list.h"

#include "core/memory.h"
#include "core/sorted.h"

#include <stdlib.h>

static void certificate_free(struct certificate *certificate, size_t deployment_count)
{
    for (size_t i = 0; i < certificate->host_count; i++)
        free(certificate->hosts[i]);
    for (size_t i = 0; i < deployment_count; i++)
        free(certificate->deployments[i].problem);
    free(certificate->deployments);
    free(certificate->service.alarm);
    free(certificate->service.behind);
    free(certificate->unreadable);
    free(certificate->hosts);
    free(certificate->name);
    free(certificate->tenant);
    free(certificate);
}

/* HAProxy takes "x.pem.rsa" and "x.pem.ecdsa" for one name with two keys; a single one needs no
 * ending. */
static struct certificate *certificate_new(const struct sidecar_wish *wish, const char *ending,
                                           enum crypto_key_type key_type, size_t deployment_count)
{
    struct certificate *certificate = memory_new(sizeof(*certificate));
    certificate->is_given = wish->file != NULL;
    certificate->name = certificate->is_given ? memory_copy_text(slice_of(wish->file))
                                              : memory_format("%s.pem%s", wish->tenant, ending);
    certificate->tenant = memory_copy_text(slice_of(wish->tenant));
    certificate->hosts = memory_new(wish->host_count * sizeof(certificate->hosts[0]));
    certificate->host_count = wish->host_count;
    for (size_t i = 0; i < wish->host_count; i++)
        certificate->hosts[i] = memory_copy_text(slice_of(wish->hosts[i]));
    certificate->key_type = key_type;
    certificate->is_due = true;
    certificate->deployments = memory_new(deployment_count * sizeof(struct deployment));
    return certificate;
}

/* Of one name, what is ordered comes first. */
static int by_name(const void *a, const void *b)
{
    const struct certificate *first = *(const struct certificate *const *)a;
    const struct certificate *second = *(const struct certificate *const *)b;
    int order = strcmp(first->name, second->name);
    if (order == 0)
        order = first->is_given - second->is_given;
    return order != 0 ? order : strcmp(first->tenant, second->tenant);
}

static void add_hosts(struct certificate *to, struct certificate *from)
{
    to->hosts = memory_resize(to->hosts, to->host_count + from->host_count, sizeof(to->hosts[0]));
    memcpy(to->hosts + to->host_count, from->hosts, from->host_count * sizeof(to->hosts[0]));
    to->host_count += from->host_count;
    from->host_count = 0;
}

/* The list is sorted: those of one name become one. */
static void join(struct certificate_list *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct certificate *last = kept > 0 ? list->items[kept - 1] : NULL;
        struct certificate *next = list->items[i];
        if (last == NULL || strcmp(last->name, next->name) != 0) {
            list->items[kept++] = next;
            continue;
        }
        if (last->is_given)
            add_hosts(last, next);
        certificate_free(next, list->deployment_count);
    }
    list->count = kept;
}

static void add(struct certificate_list *list, struct certificate *certificate)
{
    list->items[list->count++] = certificate;
}

struct certificate_list *certificate_list_new(const struct sidecar_wish *wishes, size_t count,
                                              bool rsa, bool ecdsa, size_t deployment_count)
{
    struct certificate_list *list = memory_new(sizeof(*list));
    bool both = rsa && ecdsa;
    list->items = memory_new(2 * count * sizeof(struct certificate *));
    list->deployment_count = deployment_count;
    for (size_t i = 0; i < count; i++) {
        if (wishes[i].file != NULL) {
            add(list, certificate_new(&wishes[i], "", CRYPTO_EC_P256, deployment_count));
            continue;
        }
        if (!rsa || ecdsa)
            add(list, certificate_new(&wishes[i], both ? ".ecdsa" : "", CRYPTO_EC_P256,
                                      deployment_count));
        if (rsa)
            add(list,
                certificate_new(&wishes[i], both ? ".rsa" : "", CRYPTO_RSA_2048, deployment_count));
    }
    qsort(list->items, list->count, sizeof(struct certificate *), by_name);
    join(list);
    return list;
}

void certificate_list_free(struct certificate_list *list)
{
    if (list == NULL)
        return;
    for (size_t i = 0; i < list->count; i++)
        certificate_free(list->items[i], list->deployment_count);
    free(list->items);
    free(list);
}

static const char *name_at(const void *list, size_t index)
{
    return ((const struct certificate_list *)list)->items[index]->name;
}

struct certificate *certificate_list_find(const struct certificate_list *list, const char *name)
{
    bool is_there;
    size_t place = sorted_place(list, list->count, name_at, name, &is_there);
    return is_there ? list->items[place] : NULL;
}

static size_t place_behind(const struct certificate_list *list, const char *name)
{
    bool is_there = false;
    size_t place = name != NULL ? sorted_place(list, list->count, name_at, name, &is_there) : 0;
    return place + is_there;
}

struct certificate *certificate_list_behind(const struct certificate_list *list, const char *name)
{
    size_t place = place_behind(list, name);
    return place < list->count ? list->items[place] : NULL;
}

struct certificate *certificate_list_due(const struct certificate_list *list, const char *name)
{
    size_t place = place_behind(list, name);
    for (size_t i = 0; i < list->count; i++) {
        struct certificate *certificate = list->items[(place + i) % list->count];
        if (certificate->is_due)
            return certificate;
    }
    return NULL;
}

static bool is_same_wish(const struct certificate *a, const struct certificate *b)
{
    if (a->host_count != b->host_count || a->is_given != b->is_given)
        return false;
    for (size_t i = 0; i < a->host_count; i++)
        if (strcmp(a->hosts[i], b->hosts[i]) != 0)
            return false;
    return true;
}

/* What HAProxy has and what is on disk stays with the name, whatever is wished. */
static void keep_state(struct certificate *from, struct certificate *to)
{
    struct deployment *deployments = from->deployments;
    bool is_same = is_same_wish(from, to);
    from->deployments = to->deployments;
    to->deployments = deployments;
    to->service = from->service;
    to->expiry = from->expiry;
    if (is_same) {
        to->validity = from->validity;
    } else {
        to->service.doubted |= to->service.alarm != NULL; /* of a host that has gone, perhaps */
        to->service.looked_ms = 0;
    }
    to->is_due = from->is_due || !is_same;
    to->wanted_at = from->wanted_at;
    to->looked_at = from->looked_at;
    to->is_unread = from->is_unread;
    memcpy(to->sha256, from->sha256, sizeof(to->sha256));
    to->unreadable = from->unreadable;
    from->service = (struct service){0};
    from->unreadable = NULL;
}

void certificate_list_become(struct certificate_list *list, struct certificate_list *wished,
                             const struct certificate_changes *changes)
{
    size_t before = 0;
    for (size_t i = 0; i < wished->count; i++) {
        struct certificate *wish = wished->items[i];
        int order = 1;
        while (before < list->count && (order = strcmp(list->items[before]->name, wish->name)) < 0)
            changes->unwanted(changes->context, list->items[before++]);
        if (before < list->count && order == 0) {
            struct certificate *known = list->items[before++];
            keep_state(known, wish);
            if (is_same_wish(known, wish))
                continue;
        }
        changes->wanted(changes->context, wish);
    }
    while (before < list->count)
        changes->unwanted(changes->context, list->items[before++]);
    struct certificate_list old = *list;
    *list = *wished;
    *wished = old;
    certificate_list_free(wished);
}
