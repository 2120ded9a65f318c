/* HAProxy's files as they are on disk, which are somebody else's to write and to load: where they
 * are, and what they lack of what is in force. */
#pragma once

#include "agent/snapshot.h"
#include "conf/configuration.h"

/* A file that is bigger is nothing that hap_config_write() or hap_spoe_write() made. */
enum { HAPROXY_FILE_MAX_BYTES = 4 * 1024 * 1024 };

/* The command that writes both anew and has HAProxy read them; for free(). */
char *haproxy_files_fix(const struct configuration *configuration) __attribute__((returns_nonnull));

/* Makes what HAProxy does not start without: its maps, empty, and the placeholder of certificates.
 * What is there stays. All that can be made is made; the error is of the last one that cannot,
 * which the service makes when it can. */
MUST_CHECK enum error haproxy_files_ensure(const struct configuration *configuration,
                                           struct error_text *why);

struct haproxy_files;

struct haproxy_files *haproxy_files_new(void) __attribute__((returns_nonnull));
void haproxy_files_free(struct haproxy_files *files); /* NULL is fine */

/* The first line that they lack; NULL when they lack nothing, or that cannot be told from here:
 * they are somebody else's, or on another machine. They are read when they or what is in force have
 * changed; what is returned is valid until the next call. */
const char *haproxy_files_missing(struct haproxy_files *files,
                                  const struct configuration *configuration,
                                  const struct snapshot *snapshot);
/* When one of both was last written: a change may have asked for a new one of either alone. 0: not
 * known. */
int64_t haproxy_files_written_ms(const struct hap_config *config);
