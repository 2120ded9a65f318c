/* Tells when haproxy.cfg is no longer enough for the tenants. They need their headers' names,
 * tokens, client certificates and cookies in it. A change of tenants is in force at once, but
 * HAProxy's files are somebody else's to write and load: when more is needed than before, it is
 * logged. */
#pragma once

#include "agent/snapshot.h"
#include "net/main_loop.h"

struct haproxy_needs;

struct haproxy_needs *haproxy_needs_new(struct main_loop *main_loop,
                                        const struct snapshot *(*snapshot)(void *context),
                                        void *context) __attribute__((returns_nonnull));
void haproxy_needs_free(struct haproxy_needs *needs); /* NULL is fine */

/* The tenants may have changed: they are looked at soon. */
void haproxy_needs_look(struct haproxy_needs *needs);
