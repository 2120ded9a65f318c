/* What is wrong with the configuration, told in the log. */
#pragma once

#include "conf/diagnostics.h"

/* Errors are logged as `error_event`, a literal. */
void report_diagnostics(const struct diagnostics *diagnostics, const char *error_event);
/* HAProxy's files, which are somebody else's to write and load, are no longer what the
 * configuration asks for. */
void report_haproxy_differs(void);
/* Whether that was told and haproxy.cfg, which was last written then (0: not known), has not been
 * since. Main thread, as the call above. */
MUST_CHECK bool report_haproxy_still_differs(int64_t written_wall_ms);
