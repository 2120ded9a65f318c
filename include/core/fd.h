/* File descriptors: what write(2) leaves to its caller. */
#pragma once

#include "core/slice.h"

/* Writes all of `bytes`, across short writes and EINTR. False with `errno` on failure. */
MUST_CHECK bool fd_write_all(int fd, struct slice bytes);
