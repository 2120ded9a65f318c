/* The file of a map that HAProxy reads when it starts. */
#pragma once

#include "core/error.h"
#include "core/slice.h"

/* Replaces it whole; readable for everybody, since HAProxy may start as anybody. BUSY when another
 * agent is writing it just now. Not synced: a file that a power failure has emptied is written
 * again by the next start. */
MUST_CHECK enum error map_file_write(const char *path, struct slice text, struct error_text *why);
/* Makes an empty one where there is none, as readable: HAProxy does not start without. What is
 * there stays; a link that leads nowhere is ERROR_INVALID. */
MUST_CHECK enum error map_file_ensure(const char *path, struct error_text *why);
