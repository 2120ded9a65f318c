/* Paths of files as text; the file system is not looked at. A path that ends with a slash is a
 * folder's, and names no file in it. */
#pragma once

#include "core/slice.h"

/* The folder that the file is in: "/etc" of "/etc/x", "/" of "/x", "." of "x" (and of ""). Of a
 * folder's path, the folder: "/etc" of "/etc/". A view into `path`, or a constant. */
struct slice file_path_folder(const char *path);
/* The file's name in its folder: "x" of "/etc/x" and of "x", "" of "/etc/". Points into `path`. */
const char *file_path_name(const char *path);
/* `name` if it is absolute, else in the folder of the file `beside`; for free(). */
char *file_path_beside(const char *beside, struct slice name) __attribute__((returns_nonnull));
