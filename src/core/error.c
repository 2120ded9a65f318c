/* Error names and reasons: see core/error.h. */
#include "core/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *error_name(enum error error)
{
    switch (error) {
#define X(NAME, VALUE, TEXT) \
    case ERROR_##NAME: return TEXT;
        ERROR_TABLE(X)
#undef X
    }
    return "unknown error";
}

enum error error_set(struct error_text *text, enum error error, const char *format, ...)
{
    if (text == NULL)
        return error;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text->text, sizeof(text->text), format, arguments);
    va_end(arguments);
    return error;
}

enum error error_set_errno(struct error_text *text, const char *format, ...)
{
    int saved = errno;
    if (text == NULL)
        return ERROR_SYSTEM;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text->text, sizeof(text->text), format, arguments);
    va_end(arguments);
    size_t used = strlen(text->text);
    char reason[128];
    snprintf(text->text + used, sizeof(text->text) - used, ": %s",
             strerror_r(saved, reason, sizeof(reason)));
    errno = saved;
    return ERROR_SYSTEM;
}
