/* Users of this machine, and what the mode of a file lets them do. */
#pragma once

#include "core/base.h"

#include <sys/stat.h>
#include <sys/types.h>

enum { PERSON_GROUPS_MAX = 64 };

struct person {
    const char *name;
    uid_t uid;
    gid_t groups[PERSON_GROUPS_MAX];
    int group_count;
};

/* False when there is no such user here: whoever it is may run in a container. */
MUST_CHECK bool person_find(const char *name, struct person *person);
/* Whether the mode's bits (4: read, 2: write, 1: enter) are this user's. */
MUST_CHECK bool person_may(const struct person *person, const struct stat *status, unsigned bits);
/* The first folder on the way to `path` that this user may not enter, or else `path`, where `bits`
 * are not this user's, and its status; NULL when nothing that can be seen is in the way. For
 * free(). */
char *person_barred(const struct person *person, const char *path, unsigned bits,
                    struct stat *status);
