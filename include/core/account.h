/* Users and groups of this machine, by name. From any thread. */
#pragma once

#include "core/error.h"

#include <sys/types.h>

/* ERROR_NOT_FOUND: there is none of this name. ERROR_SYSTEM, with `errno`: nobody can say. */
MUST_CHECK enum error account_find_user(const char *name, uid_t *uid, struct error_text *why);
MUST_CHECK enum error account_find_group(const char *name, gid_t *gid, struct error_text *why);
