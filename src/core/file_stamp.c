/* The stamps of files: see core/file_stamp.h. */
#include "core/file_stamp.h"

struct file_stamp file_stamp_of(const struct stat *status)
{
    return (struct file_stamp){
        .device = status->st_dev,
        .inode = status->st_ino,
        .size = status->st_size,
        .modified = status->st_mtim,
        .changed = status->st_ctim,
    };
}

struct file_stamp file_stamp_read(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? file_stamp_of(&status) : (struct file_stamp){0};
}

/* No file system numbers a file 0: that is a free entry of a folder. */
bool file_stamp_is_none(const struct file_stamp *stamp)
{
    return stamp->inode == 0;
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           same_time(a->modified, b->modified) && same_time(a->changed, b->changed);
}
