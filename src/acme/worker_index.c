/* The worker's certificates, in a list and by name: see worker.h. */
#include "worker.h"

#include "core/hash.h"
#include "core/memory.h"

#include <stdio.h>
#include <stdlib.h>

enum { INDEX_MIN = 64 };

static struct certificate **slot_of(const struct acme_worker *worker, const char *name)
{
    return &worker->index[hash_bytes(slice_of(name)) & (worker->index_size - 1)];
}

struct certificate *worker_find(const struct acme_worker *worker, const char *name)
{
    if (worker->index_size == 0)
        return NULL;
    struct certificate *certificate = *slot_of(worker, name);
    while (certificate != NULL && strcmp(certificate->name, name) != 0)
        certificate = certificate->next_alike;
    return certificate;
}

static void put_in_slot(const struct acme_worker *worker, struct certificate *certificate)
{
    struct certificate **slot = slot_of(worker, certificate->name);
    certificate->next_alike = *slot;
    *slot = certificate;
}

static void grow(struct acme_worker *worker)
{
    free(worker->index);
    worker->index_size = worker->index_size > 0 ? 2 * worker->index_size : INDEX_MIN;
    worker->index = memory_new(worker->index_size * sizeof(*worker->index));
    for (struct certificate *c = worker->first; c != NULL; c = c->next)
        put_in_slot(worker, c);
}

void worker_add(struct acme_worker *worker, struct certificate *certificate)
{
    if (worker->count == worker->index_size)
        grow(worker);
    put_in_slot(worker, certificate);
    certificate->next = worker->first;
    if (worker->first != NULL)
        worker->first->previous = certificate;
    worker->first = certificate;
    worker->count++;
}

void worker_take_out(struct acme_worker *worker, struct certificate *certificate)
{
    struct certificate **link = slot_of(worker, certificate->name);
    while (*link != certificate)
        link = &(*link)->next_alike;
    *link = certificate->next_alike;
    if (certificate->previous != NULL)
        certificate->previous->next = certificate->next;
    else
        worker->first = certificate->next;
    if (certificate->next != NULL)
        certificate->next->previous = certificate->previous;
    worker->count--;
}

struct certificate *worker_twin(const struct certificate *certificate)
{
    static const char *const ENDINGS[] = {".ecdsa", ".rsa"};
    struct slice own = slice_of(certificate->name);
    for (size_t i = 0; i < COUNT_OF(ENDINGS); i++) {
        char name[STORE_NAME_SIZE];
        struct slice ending = slice_of(ENDINGS[i]);
        if (!slice_ends_with(own, ending))
            continue;
        snprintf(name, sizeof(name), "%.*s%s", (int)(own.size - ending.size), own.data,
                 ENDINGS[1 - i]);
        return worker_find(certificate->worker, name);
    }
    return NULL;
}
