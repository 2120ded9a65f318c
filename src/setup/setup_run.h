/* Other programs, as `setup` starts them: without a shell, and with their words kept. */
#pragma once

#include "core/base.h"

enum { SETUP_NOT_FOUND = 127 };

/* Runs `command` (ends with NULL; found in PATH, and where administrators' programs are) to its
 * end. Its exit status, SETUP_NOT_FOUND when there is no such program; what it printed, for
 * free(), in `*output`, which may be NULL. */
int setup_run(const char *const *command, char **output);
/* "systemctl restart haproxy" on one line. For free(). */
char *setup_command_text(const char *const *command);
