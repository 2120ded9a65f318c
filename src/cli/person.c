/* Users of this machine: see person.h. */
#include "cli/person.h"

#include <grp.h>
#include <pwd.h>

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
