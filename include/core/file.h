/* Files that are whole or not there: written under a temporary name, synced, renamed, and their
 * folder synced. */
#pragma once

#include "core/bytes.h"

struct file_stamp;

struct file_mode {
    unsigned mode; /* permission bits */
    int owner;     /* -1: ourselves */
    int group;     /* -1: our own */
    /* Not synced, for what may be lost in a power failure. When only the process is killed, the
     * file is still whole or not there. */
    bool lazy;
    /* The folder is the caller's to sync, who then can tell a file that is not replaced from one
     * that may be the former one again after a power failure. */
    bool folder_later;
    /* What is to be replaced, as it was when it was read; a stamp of none: nothing is to be there.
     * Another file is left alone: ERROR_BUSY. NULL: whatever is there. */
    const struct file_stamp *over;
};

/* An open folder. Its files are opened relative to the descriptor, so that nothing is confused when
 * the folder is moved or replaced meanwhile. */
struct folder {
    int fd;
    char *path;
};

/* Makes the folder with `mode`, and those above it with 0755, when they are missing. On failure
 * there is nothing to close, and folder_close() is harmless. */
MUST_CHECK enum error folder_open(struct folder *folder, const char *path, unsigned mode,
                                  struct error_text *why);
void folder_close(struct folder *folder);

/* Replaces `name` in `folder`, by a file written in `staging` (which may be `folder`). */
MUST_CHECK enum error file_replace(const struct folder *folder, const struct folder *staging,
                                   const char *name, struct slice content,
                                   const struct file_mode *mode, struct error_text *why);
/* After this the names in it outlive a power failure, where the file system can promise that. */
MUST_CHECK enum error folder_sync(const struct folder *folder, struct error_text *why);
/* ERROR_BUSY when `name` is another file than `over` is the stamp of. */
MUST_CHECK enum error file_is_still(const struct folder *folder, const char *name,
                                    const struct file_stamp *over, struct error_text *why);
/* Reads a whole regular file of at most `limit` bytes in place of what `content` held, which is
 * empty on failure. ERROR_NOT_FOUND: there is no such file. */
MUST_CHECK enum error file_read(const struct folder *folder, const char *name, size_t limit,
                                struct bytes *content, struct error_text *why);
/* Moves within a file system, over what is there, and syncs both folders. ERROR_NOT_FOUND: there is
 * no such file. */
MUST_CHECK enum error file_move(const struct folder *from, const char *name,
                                const struct folder *to, const char *new_name,
                                struct error_text *why);
/* A missing file is fine. Not synced: after a power failure it may be back. */
MUST_CHECK enum error file_remove(const struct folder *folder, const char *name,
                                  struct error_text *why);

/* Whether both paths lead to one file, however they are written, or would if it were there. */
bool file_is_same(const char *a, const char *b);

/* The entries of a folder in the order of their names, those with a leading dot left out; for
 * memory_free_texts(). */
size_t folder_list(const struct folder *folder, char ***names);
/* Removes what file_replace() was writing when a process was killed. */
void folder_sweep(const struct folder *folder);
/* Removes the files whose names come first until `keep` are left. */
void folder_trim(const struct folder *folder, size_t keep);

/* Called with the name of each step that is about to be done; for tests. NULL otherwise. */
extern void (*file_step)(const char *step);
