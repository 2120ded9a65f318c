/* What is wrong with the configuration, told in the log. */
#pragma once

#include "conf/diagnostics.h"

/* Errors are logged as `error_event`, a literal. */
void report_diagnostics(const struct diagnostics *diagnostics, const char *error_event);
