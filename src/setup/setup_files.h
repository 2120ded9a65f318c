/* Files that `setup` is about to write: shown before, backed up, replaced whole. */
#pragma once

#include "core/error.h"
#include "core/slice.h"

#include <sys/types.h>

#define SETUP_SERVICE_USER "owui-spoa" /* and its group */

struct setup_file {
    char *path;
    char *text;
    char *previous; /* NULL: there is none */
    mode_t mode;    /* of a new file; one that is there keeps owner and mode */
    const char *group;
    char *kept; /* where the previous one is by now; NULL: nowhere */
};

struct setup_files {
    struct setup_file *items;
    size_t count;
};

/* Notes that `path` is to hold `text`; takes both. A previous file that cannot be read is an error,
 * and then nothing is noted. */
MUST_CHECK enum error setup_files_add(struct setup_files *files, char *path, char *text,
                                      mode_t mode, const char *group, struct error_text *why);
void setup_files_fini(struct setup_files *files);

/* The file's text as it is on the disk: NULL (and no error) when there is none. For free(). */
MUST_CHECK enum error setup_file_read(const char *path, char **text, struct error_text *why);

MUST_CHECK bool setup_file_changes(const struct setup_file *file);
size_t setup_files_changing(const struct setup_files *files);
/* What would change, as a person reads it: new files whole, others as a difference; what is long
 * only when `all` is asked for. Passwords are left out. */
void setup_files_show(const struct setup_files *files, bool all);
/* Writes those that change: all or, when one cannot be written or is not what it was any more,
 * none. With `keeps`, one that was there is kept as PATH.before-YYYYMMDD-HHMMSS. Prints a line for
 * each.
 */
MUST_CHECK enum error setup_files_write(struct setup_files *files, bool keeps,
                                        struct error_text *why);

/* A folder with this owner, or group alone. One that is there stays as it is, and is an error when
 * the service may not write there (without an owner: not read), as whom the folder is made for.
 * Owner and group that the system does not know, and all of them without root, are left out. */
MUST_CHECK enum error setup_folder(const char *path, mode_t mode, const char *owner,
                                   const char *group, struct error_text *why);
