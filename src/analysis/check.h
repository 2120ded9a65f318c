/* What is wrong with a configuration, for `check` and the admin interface. */
#pragma once

#include "json/json.h"

#include <stdatomic.h>

/* Reads all of it anew: what `owui-spoa check --json` prints, for json_free(). When `give_up` is
 * set, some of it is not read any more. */
struct json *check_json(const char *path, const atomic_bool *give_up)
    __attribute__((returns_nonnull));
