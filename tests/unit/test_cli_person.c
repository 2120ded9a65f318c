/* cli/person.h: what a file's mode lets whom do. */
#include "cli/person.h"

#include <criterion/criterion.h>

enum { OWNER = 1000, GROUP = 2000, OTHER_GROUP = 2001, STRANGER = 9 };

/* The class that is somebody's counts, and no other, however much that one would allow. */
Test(person, the_first_class_counts)
{
    static const struct {
        uid_t uid;
        mode_t mode;
        unsigned bits;
        bool may;
    } ROWS[] = {
        {OWNER, 0700, 7, true},     {OWNER, 0500, 7, false},    {OWNER, 0077, 1, false},
        {STRANGER, 0070, 7, true},  {STRANGER, 0050, 7, false}, {STRANGER, 0050, 5, true},
        {STRANGER, 0707, 1, false}, {0, 0000, 7, true},
    };
    const struct stat base = {.st_uid = OWNER, .st_gid = GROUP};
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        const struct person person = {
            .uid = ROWS[i].uid, .groups = {OTHER_GROUP, GROUP}, .group_count = 2};
        struct stat status = base;
        status.st_mode = S_IFDIR | ROWS[i].mode;
        cr_expect_eq(person_may(&person, &status, ROWS[i].bits), ROWS[i].may, "%zu", i);
    }
}

Test(person, who_is_in_no_group_of_it_is_one_of_the_others)
{
    const struct person person = {.uid = STRANGER, .groups = {OTHER_GROUP}, .group_count = 1};
    const struct stat open = {.st_uid = OWNER, .st_gid = GROUP, .st_mode = S_IFREG | 0604};
    cr_expect(person_may(&person, &open, 4));
    cr_expect_not(person_may(&person, &open, 6));
}

Test(person, is_found)
{
    struct person person;
    cr_expect(person_find("root", &person) && person.uid == 0 && person.group_count > 0);
    cr_expect_not(person_find("nobody-of-this-name", &person));
}
