/* Which labels have an instance (agent/instance.h), and keeping them in step with their parents and
 * with the addresses of their names. Main thread only. */
#pragma once

#include "route/table.h"
#include "upstreams/label_desk.h"
#include "upstreams/resolver.h"

struct instances;

enum {
    INSTANCES_PER_TENANT = 10000, /* but of a list of labels, all */
    /* So many labels may wait for an answer of a name server, of one tenant half (core/fair.h):
     * each costs time whenever something changes. */
    INSTANCES_WAITING_MAX = 2048,
    /* After this time, and again and again, an instance that no request was for since is given up;
     * whoever asks for its label gets it anew. */
    INSTANCE_LIFE_MS = 1800 * 1000,
};

/* Whether an instance may be there: what a label makes of a template is a client's choice. */
typedef bool instances_allow_fn(void *context, const struct ip *address, uint16_t port);

/* Instances are put into `registry`; names are asked for at `resolver`. */
struct instances *instances_new(struct route_registry *registry, struct resolver *resolver,
                                instances_allow_fn *allow, void *context);
void instances_free(struct instances *instances);

/* A loop asks for a label. True when the registry has changed. */
bool instances_want(struct instances *instances, const struct label_request *request,
                    int64_t now_ms);
/* After parents or addresses have changed, and now and then. True when the registry has changed. */
bool instances_settle(struct instances *instances, int64_t now_ms);
size_t instances_count(const struct instances *instances); /* in the registry */
