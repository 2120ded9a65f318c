/* Files of the host's admin that a command writes: HAProxy's, and those that `setup` lays down.
 *
 * They are written beside what is there under names that nobody has, so that a full disk is met
 * before anything has changed, and then put in its place, whole. A link stays one: what it leads to
 * is replaced. Owner and mode of what was there stay.
 */
#pragma once

#include "core/error.h"
#include "core/slice.h"

#include <sys/types.h>

struct host_file {
    char *path;     /* what is replaced: of a link, the file that it leads to */
    char *beside;   /* what is put there; once it is, what was there */
    char *kept;     /* another name of what was there; NULL: none was made */
    bool is_new;    /* nothing was there */
    bool is_placed; /* what was beside is in place */
};

/* Writes and syncs `text` beside `path`, which is an error where what is there could not be
 * replaced, since it is mounted by itself. `mode`, and `group` (NULL: the caller's), are those of a
 * file that is new. After an error there is nothing left to host_file_fini(), which may be called.
 */
MUST_CHECK enum error host_file_write(struct host_file *file, const char *path, struct slice text,
                                      mode_t mode, const char *group, struct error_text *why);
/* Gives what is there the further name PATH.`ending`, by which it is found after
 * host_file_place(). ERROR_EXISTS: another file has that name. */
MUST_CHECK enum error host_file_keep(struct host_file *file, const char *ending,
                                     struct error_text *why);
/* Puts it in place, unless there is a file by now where there was none. It may be there after an
 * error, too. */
MUST_CHECK enum error host_file_place(struct host_file *file, struct error_text *why);
/* After host_file_place(): what was there is in its place again, and a new file is gone; told when
 * that cannot be done. Fine without one. */
void host_file_take_back(struct host_file *file);
/* What was not put in place is removed, and so are what was replaced and the further name of what
 * is still there. */
void host_file_fini(struct host_file *file);

/* Gives an open file to them. Names that the system does not know, and all without root, are left
 * out. */
void host_file_give(int fd, const char *owner, const char *group);
