/* Files that are whole or not there: temp, sync, rename, sync of the folder. */
#pragma once

#include "crypto/bytes.h"

struct file_mode {
    unsigned mode; /* permission bits */
    int owner;     /* -1: ourselves */
    int group;     /* -1: our own */
    /* Not synced: memory that may be lost when the power fails, and costs little then. It is still
     * whole or not there when a process is killed. */
    bool lazy;
};

/* An open folder. Files in it are named by the folder's descriptor, so that a folder which is moved
 * or replaced meanwhile cannot mislead. */
struct folder {
    int fd;
    char *path;
};

/* Makes the folder, and those above it, when missing. */
MUST_CHECK enum error folder_open(struct folder *folder, const char *path, unsigned mode,
                                  struct error_text *why);
void folder_close(struct folder *folder);

/* Replaces `name` in `folder`, by a file written in `staging` (which may be `folder`). */
MUST_CHECK enum error file_replace(const struct folder *folder, const struct folder *staging,
                                   const char *name, struct slice content,
                                   const struct file_mode *mode, struct error_text *why);
/* Reads a whole regular file of at most `limit` bytes. ERROR_NOT_FOUND when it is not there. */
MUST_CHECK enum error file_read(const struct folder *folder, const char *name, size_t limit,
                                struct bytes *content, struct error_text *why);
/* Moves within a file system, over what is there, and syncs both folders. */
MUST_CHECK enum error file_move(const struct folder *from, const char *name,
                                const struct folder *to, const char *new_name,
                                struct error_text *why);
/* Not there is fine. Not synced: what comes back after a power failure is removed again. */
MUST_CHECK enum error file_remove(const struct folder *folder, const char *name,
                                  struct error_text *why);

/* The entries of a folder in the order of their names, those with a leading dot left out; for
 * memory_free_texts(). */
size_t folder_list(const struct folder *folder, char ***names);
/* Removes what file_replace() was writing when a process was killed. */
void folder_sweep(const struct folder *folder);
/* Removes the files whose names come first until `keep` are left. */
void folder_trim(const struct folder *folder, size_t keep);

/* Called with the name of each step that is about to be done; for tests. NULL otherwise. */
extern void (*file_step)(const char *step);
