/* Blue and green by a program: the text of a file with another version active, and nothing else of
 * it changed. Whoever writes it to the file has switched; the same with `*before` switches back. */
#pragma once

#include "core/error.h"
#include "core/slice.h"

/* `text` is a whole file with "tenants", the global one or one of tenants.d. Returns the changed
 * text, and the name of the version that was active in `*before`, both for free(). NULL, with the
 * reason, when the file has no such tenant or the tenant no such version. */
MUST_CHECK char *version_switch_text(struct slice text, struct slice tenant, struct slice version,
                                     char **before, struct error_text *why);
