/* A stamp tells, without reading a file, whether it was replaced or written to since it was last
 * looked at. Take the stamp before reading, so that a file that changes meanwhile is read again. */
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
/* Of the file that the path leads to. All zero, with `errno` set, when it cannot be looked at. */
struct file_stamp file_stamp_read(const char *path);
bool file_stamp_is_none(const struct file_stamp *stamp);
bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b);
