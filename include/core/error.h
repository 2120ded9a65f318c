/* What can go wrong, and how a failure is told.
 *
 * Functions that can fail return an `enum error` (0 is success, the others are negative) or a bool
 * where there is one way to fail. Slow paths (configuration, ACME, files, Runtime API) also take a
 * `struct error_text *`, which may be NULL, and fill it with what was found, what was expected and
 * how to fix it. Libraries never log: whoever handles an error does, once.
 */
#pragma once

#include "core/base.h"

#include <sys/types.h>

#define ERROR_TABLE(X)                                        \
    X(OK, 0, "success")                                       \
    X(NO_MEMORY, -1, "out of memory")                         \
    X(SYSTEM, -2, "a system call failed")                     \
    X(INVALID, -3, "the input is not valid")                  \
    X(TOO_BIG, -4, "the input or the answer exceeds a limit") \
    X(NOT_FOUND, -5, "not found")                             \
    X(EXISTS, -6, "exists already")                           \
    X(BUSY, -7, "busy, try again later")                      \
    X(TIMEOUT, -8, "no answer in time")                       \
    X(REFUSED, -9, "the peer refused")                        \
    X(PROTOCOL, -10, "the peer broke the protocol")           \
    X(CLOSED, -11, "the peer closed the connection")          \
    X(UNSUPPORTED, -12, "not supported")

enum error {
#define X(NAME, VALUE, TEXT) ERROR_##NAME = (VALUE),
    ERROR_TABLE(X)
#undef X
};

/* The name of an error in words; never NULL. */
const char *error_name(enum error error);

/* Where a reason is written. Callers may pass NULL for "do not care". */
struct error_text {
    char text[512];
};

/* Sets the reason (no-op for NULL) and returns `error`, so that `return error_set(...)` works. */
enum error error_set(struct error_text *text, enum error error, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* The same with ": " and the text of `errno` appended; returns ERROR_SYSTEM and keeps `errno`. */
enum error error_set_errno(struct error_text *text, const char *format, ...) PRINTF_LIKE(2, 3);
