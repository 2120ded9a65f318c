/* What read() and write() leave to their callers. */
#pragma once

#include "core/slice.h"

/* All of it, however often the kernel takes a part or a signal comes. False: see errno. */
MUST_CHECK bool fd_write_all(int fd, struct slice bytes);
