/* A certificate that nobody trusts: what HAProxy shows for a name that has none of its own, where
 * it is not to refuse the connection. */
#pragma once

#include "core/file.h"

/* Sees to it that there is one at `path`, key and all, and that it lasts: a file that is not there,
 * that HAProxy could not load, or that is ours and near its end, is replaced. Anybody else's stays.
 * A folder that has to be made for it belongs to whom the folder around it belongs. */
MUST_CHECK enum error placeholder_ensure(const char *path, const struct file_mode *mode,
                                         int64_t now_s, struct error_text *why);
