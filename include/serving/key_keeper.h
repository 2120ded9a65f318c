/* The keys of those who issue tokens: read from files, fetched over HTTPS, kept on disk, renewed,
 * and handed to the publisher as a table whenever one of them changes.
 *
 * Which sources there are, the tenants of the present snapshot say. What was good once stays in
 * force until something better comes: a file that cannot be read, a server that does not answer or
 * answers with nonsense changes nothing. A token by no key that is known has its issuer asked
 * again, but not more often than every 30 s.
 *
 * Main thread only; fetching never blocks it.
 */
#pragma once

#include "agent/snapshot.h"
#include "conf/configuration.h"
#include "net/main_loop.h"

struct key_keeper;

struct key_keeper_host {
    const struct snapshot *(*snapshot)(void *context);
    void (*set_keys)(void *context, struct jwk_table *keys); /* takes it */
    void *context;
};

struct key_keeper *key_keeper_new(struct main_loop *main_loop, const struct key_keeper_host *host)
    __attribute__((returns_nonnull));
void key_keeper_free(struct key_keeper *keeper); /* NULL is fine */

/* Copies what it needs; at the start and when the global file has changed. */
void key_keeper_configure(struct key_keeper *keeper, const struct jwks_settings *settings);
/* The tenants may have changed. What is on disk is there when this returns, if `at_once`; otherwise
 * soon. */
void key_keeper_look(struct key_keeper *keeper, bool at_once);

/* How it is with one of them. */
struct key_source {
    const char *name;
    const char *problem; /* why it cannot be had now; NULL: it can */
    bool has_keys;       /* some that were good are in force */
};
/* False behind the last. What is told is borrowed until the keeper is called again. */
MUST_CHECK bool key_keeper_source(const struct key_keeper *keeper, size_t index,
                                  struct key_source *source);

/* For those who have no daemon: the set of a source as it is on disk, in the file or in the cache.
 * NULL with the reason. */
MUST_CHECK struct jwk_set *key_keeper_read(const struct jwks_settings *settings, const char *source,
                                           struct error_text *why);
