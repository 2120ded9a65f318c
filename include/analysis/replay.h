/* Recorded requests decided again, for `replay` and the admin interface. */
#pragma once

#include "conf/whole.h"
#include "json/json.h"

/* What `owui-spoa replay --json` prints of the trace's `file` and the configuration with these
 * changes, for json_free(). NULL when the file cannot be read, with the reason, or the
 * configuration cannot serve, with an empty one. */
struct json *replay_json(const char *file, const char *configuration,
                         const struct whole_changes *changes, struct diagnostics *diagnostics,
                         struct error_text *why);
