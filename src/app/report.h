/* What is wrong with the configuration, told in the log. */
#pragma once

#include "conf/diagnostics.h"

/* Errors are logged as `error_event`, a literal. */
void report_diagnostics(const struct diagnostics *diagnostics, const char *error_event);
/* HAProxy's files, which are somebody else's to write and load, are no longer what the
 * configuration asks for. */
void report_haproxy_differs(void);
/* Whether that was told and haproxy.cfg, beside the SPOE file, has not been written since, as far
 * as can be seen from here. Main thread, as the call above. */
MUST_CHECK bool report_haproxy_still_differs(const char *spoe_path);
