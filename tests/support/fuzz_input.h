/* What fuzz targets take their inputs apart with. */
#pragma once

#include "core/slice.h"

/* Takes what stands before `end` off the front of `rest`, and `end` with it; without it, all. */
struct slice input_take(struct slice *rest, struct slice end);

/* A file that is not on a disk; zeroed, there is none yet. */
struct input_file {
    int fd;
    char path[32]; /* for who takes the name of a file */
};

/* Has the file hold these bytes; returns its path. */
const char *input_file_write(struct input_file *file, struct slice bytes);
