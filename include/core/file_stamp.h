/* What tells that a file is another one than last time, without reading it. A file that is replaced
 * or written to has another stamp: take it before the file is read, so that one that changes
 * meanwhile is read again. */
#pragma once

#include "core/base.h"

#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

struct file_stamp {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified;
    struct timespec changed;
};

struct file_stamp file_stamp_of(const struct stat *status);
/* Of the file that the path leads to; all zero, with errno, when there is none. */
struct file_stamp file_stamp_read(const char *path);
bool file_stamp_is_none(const struct file_stamp *stamp);
bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b);
