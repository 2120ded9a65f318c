/* What a change does to behaviour, for `diff` and the admin interface. */
#pragma once

#include "conf/whole.h"
#include "json/json.h"

struct diff_wish {
    const char *before; /* global files */
    const char *after;
    struct whole_changes changes; /* of the second */
};

/* What `owui-spoa diff --json` prints, for json_free(), and what is wrong with either; NULL when
 * one of them cannot serve. */
struct json *diff_json(const struct diff_wish *wish, struct diagnostics *before,
                       struct diagnostics *after);
