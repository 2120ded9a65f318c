/* What is wrong with a configuration, for `check` and the admin interface. */
#pragma once

#include "json/json.h"

/* Reads all of it anew: what `owui-spoa check --json` prints, for json_free(). */
struct json *check_json(const char *path) __attribute__((returns_nonnull));
