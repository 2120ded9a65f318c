/* The pages that people see instead of a tenant that is suspended or under maintenance, served over
 * HTTP to HAProxy:
 *
 *     /suspended/TENANT     the tenant's own page, or the built-in one
 *     /maintenance/TENANT
 *
 * A tenant's own page is read for every request, so that it is always as the file is. The status is
 * HAProxy's to set, by the decision that led here. All of it belongs to the main thread.
 */
#pragma once

#include "agent/snapshot.h"
#include "core/error.h"

struct pages;
struct main_loop;

struct pages_host {
    const struct snapshot *(*snapshot)(void *context); /* the present one; may be NULL */
    void *context;
};

/* Serves at `listen` ("127.0.0.1:8689") as soon as nobody else does: while another agent of this
 * machine is there, that one serves the same pages. */
struct pages *pages_new(struct main_loop *loop, const char *listen, const struct pages_host *host);
void pages_free(struct pages *pages); /* NULL is fine */
