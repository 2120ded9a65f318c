/* The file of the map that HAProxy looks at while no agent answers. */
#pragma once

#include "core/error.h"
#include "core/slice.h"

/* Replaces it whole; readable for everybody, since HAProxy may start as anybody. BUSY when another
 * agent is writing it just now. Not synced: a file that a power failure has emptied is written
 * again by the next start. */
MUST_CHECK enum error fallback_file_write(const char *path, struct slice text,
                                          struct error_text *why);
/* Makes an empty one where there is none: HAProxy does not start without. */
MUST_CHECK enum error fallback_file_ensure(const char *path, struct error_text *why);
