/* What is wrong with the configuration, told in the log. */
#pragma once

#include "conf/diagnostics.h"

/* Errors are logged as `error_event`, a literal. */
void report_diagnostics(const struct diagnostics *diagnostics, const char *error_event);
/* HAProxy's files, which are somebody else's to write and load, are no longer what the
 * configuration asks for: its tenants need more. `headers` are those that it has not been told of,
 * as "X-Team, X-Key"; NULL: none. */
void report_haproxy_differs(const char *headers);
/* The same of the global file, by hashes of what is to be in HAProxy's files: who takes a change
 * back has nothing to write. The last is as below. */
void report_haproxy_changes(uint64_t before, uint64_t now, int64_t written_wall_ms);
/* Whether that was told and HAProxy's files, which were last written then (0: not known), have not
 * been since. Main thread, as the calls above. */
MUST_CHECK bool report_haproxy_still_differs(int64_t written_wall_ms);
