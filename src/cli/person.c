/* Users of this machine: see person.h. */
#include "cli/person.h"

#include "core/memory.h"

#include <grp.h>
#include <pwd.h>
#include <stdlib.h>

bool person_find(const char *name, struct person *person)
{
    const struct passwd *about = getpwnam(name);
    if (about == NULL)
        return false;
    *person = (struct person){.name = name, .uid = about->pw_uid, .group_count = PERSON_GROUPS_MAX};
    return getgrouplist(name, about->pw_gid, person->groups, &person->group_count) >= 0;
}

bool person_may(const struct person *person, const struct stat *status, unsigned bits)
{
    if (person->uid == 0)
        return true;
    if (status->st_uid == person->uid)
        return (status->st_mode >> 6 & bits) == bits;
    for (int i = 0; i < person->group_count; i++)
        if (status->st_gid == person->groups[i])
            return (status->st_mode >> 3 & bits) == bits;
    return (status->st_mode & bits) == bits;
}

char *person_barred(const struct person *person, const char *path, unsigned bits,
                    struct stat *status)
{
    char *way = memory_copy_text(slice_of(path));
    for (char *slash = strchr(way + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (stat(way, status) == 0 && !person_may(person, status, 1))
            return way;
        *slash = '/';
    }
    if (stat(way, status) == 0 && !person_may(person, status, bits))
        return way;
    free(way);
    return NULL;
}
