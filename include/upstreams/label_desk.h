/* Where loops ask for the instance of a label: a small locked queue and a wake. The rare path: each
 * label is asked for once, then it is in the snapshot. */
#pragma once

#include "net/main_loop.h"
#include "route/tenant.h"

struct label_desk;

struct label_request {
    char tenant[TENANT_NAME_MAX_BYTES + 1];
    char label[LABEL_MAX_BYTES + 1];
};

/* `on_request` is called in the main thread for every request. */
typedef void label_request_fn(void *context, const struct label_request *request);

struct label_desk *label_desk_new(struct main_loop *main_loop, label_request_fn *on_request,
                                  void *context);
void label_desk_free(struct label_desk *desk); /* when no loop runs any more; NULL is fine */

/* Any thread. False when too many wait already, of this tenant (core/fair.h) or at all; the loop
 * then answers without. */
MUST_CHECK bool label_desk_ask(struct label_desk *desk, struct slice tenant, struct slice label);
