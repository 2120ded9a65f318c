/* Users and groups: see core/account.h. */
#include "core/account.h"

#include "core/memory.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>

/* Of a group's entry, which has all its members: there may be thousands. */
enum { ENTRY_BYTES = 1024, ENTRY_MAX_BYTES = 16 * 1024 * 1024 };

/* What getpwnam_r() and getgrnam_r() have in common. True when there is such an entry. */
typedef bool find_fn(const char *name, char *block, size_t size, unsigned *id, int *error_number);

static bool find_user(const char *name, char *block, size_t size, unsigned *id, int *error_number)
{
    struct passwd entry;
    struct passwd *found = NULL;
    *error_number = getpwnam_r(name, &entry, block, size, &found);
    if (found != NULL)
        *id = found->pw_uid;
    return found != NULL;
}

static bool find_group(const char *name, char *block, size_t size, unsigned *id, int *error_number)
{
    struct group entry;
    struct group *found = NULL;
    *error_number = getgrnam_r(name, &entry, block, size, &found);
    if (found != NULL)
        *id = found->gr_gid;
    return found != NULL;
}

/* These say that there is none as well: see getpwnam_r(3). */
static bool means_none(int error_number)
{
    return error_number == 0 || error_number == ENOENT || error_number == ESRCH;
}

static enum error find(find_fn *try, const char *what, const char *name, unsigned *id,
                       struct error_text *why)
{
    char *block = NULL;
    bool is_there = false;
    int error_number = ERANGE;
    for (size_t size = ENTRY_BYTES; error_number == ERANGE && size <= ENTRY_MAX_BYTES; size *= 4) {
        block = memory_resize(block, size, 1);
        is_there = try(name, block, size, id, &error_number);
    }
    free(block);
    errno = error_number;
    if (is_there)
        return ERROR_OK;
    if (means_none(error_number))
        return error_set(why, ERROR_NOT_FOUND, "there is no %s \"%s\"", what, name);
    return error_set_errno(why, "cannot find out who the %s \"%s\" is", what, name);
}

enum error account_find_user(const char *name, uid_t *uid, struct error_text *why)
{
    unsigned id = 0;
    enum error error = find(find_user, "user", name, &id, why);
    if (error == ERROR_OK)
        *uid = id;
    return error;
}

enum error account_find_group(const char *name, gid_t *gid, struct error_text *why)
{
    unsigned id = 0;
    enum error error = find(find_group, "group", name, &id, why);
    if (error == ERROR_OK)
        *gid = id;
    return error;
}
