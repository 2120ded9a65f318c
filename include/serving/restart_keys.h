/* What of the global file is taken up when the service starts, and not before: which of its keys
 * say something else since then. */
#pragma once

#include "conf/configuration.h"

struct restart_keys;

struct restart_keys *restart_keys_new(const struct configuration *at_start)
    __attribute__((returns_nonnull));
void restart_keys_free(struct restart_keys *keys); /* NULL is fine */

/* The global file has been read again. Logs each key that waits for a restart, once per change. */
void restart_keys_look(struct restart_keys *keys, const struct configuration *now);
/* The same of a key that is somebody else's to look at: "haproxy.fallback_map". */
void restart_keys_mark(struct restart_keys *keys, const char *name, bool is_waiting);
/* The keys that wait, one after the other; NULL behind the last. */
const char *restart_keys_waiting(const struct restart_keys *keys, size_t index);
