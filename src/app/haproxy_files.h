/* HAProxy's files as they are on disk, which are somebody else's to write and to load: where they
 * are, and what they lack of what is in force. */
#pragma once

#include "agent/snapshot.h"
#include "conf/configuration.h"

/* haproxy.cfg, which is beside the SPOE file; for free(). */
char *haproxy_files_path(const char *spoe_path) __attribute__((returns_nonnull));
/* NULL with errno; for free(). */
char *haproxy_files_read(const char *path);

struct haproxy_files;

struct haproxy_files *haproxy_files_new(void) __attribute__((returns_nonnull));
void haproxy_files_free(struct haproxy_files *files); /* NULL is fine */

/* The first line that they lack; NULL when they lack nothing, or that cannot be told from here:
 * they are somebody else's, or on another machine. They are read when they or what is in force have
 * changed; what is returned is valid until the next call. */
const char *haproxy_files_missing(struct haproxy_files *files,
                                  const struct configuration *configuration,
                                  const struct snapshot *snapshot);
/* When haproxy.cfg was last written, as of the last call of the function above; 0: not known. */
int64_t haproxy_files_written_s(const struct haproxy_files *files);
