/* Everything that is wrong with a configuration, all at once, in the form that editors jump to:
 *
 *     /etc/owui-spoa/tenants.d/acme.json:7:17: error[E107]: tenant "acme": unknown key "upsteam"
 *         7 |     "upsteam": "http://10.1.0.11:3000"
 *           |     ^~~~~~~~~ did you mean "upstream"?
 */
#pragma once

#include "conf/codes.h"
#include "core/error.h"
#include "core/slice.h"
#include "route/table.h"

enum severity { SEVERITY_NOTE, SEVERITY_WARNING, SEVERITY_ERROR };

struct diagnostic {
    enum severity severity;
    uint16_t code;    /* enum code, printed as E101 or W501; 0: none */
    int error_number; /* errno of what it tells of; 0: none */
    struct place place;
    uint32_t length;        /* of what is underlined, in characters; 0: nothing */
    char *message;          /* found, expected, consequence */
    char *hint;             /* how to fix it; may be NULL */
    char *source;           /* the line of the file, or the part of a long one; may be NULL */
    uint32_t source_column; /* of the first character of `source` */
};

struct diagnostics {
    struct diagnostic *items;
    size_t count;
    size_t errors;
    size_t warnings;
    /* errno of the last file that could not be read for a reason that may pass though the file
     * stays as it is, such as want of descriptors or of a right; 0: none */
    int trouble;
};

enum severity code_severity(enum code code);

/* Takes ownership of nothing: texts are copied. */
void diagnostics_add(struct diagnostics *diagnostics, const struct diagnostic *diagnostic);
/* By its code, which tells the severity. `hint` may be NULL. */
void diagnostics_add_code(struct diagnostics *diagnostics, enum code code,
                          const struct place *place, const char *hint, const char *format, ...)
    PRINTF_LIKE(5, 6);
/* That a file cannot be read, and why; with errno where `error` is ERROR_SYSTEM. It has no place
 * yet, and its message is for free(). */
struct diagnostic diagnostic_of_unreadable(enum error error, const struct error_text *why);
/* The same of what `place` names. */
void diagnostics_add_unreadable(struct diagnostics *diagnostics, const struct place *place,
                                enum error error, const struct error_text *why);
/* Two tenants claim one host or path; to be called from a route_conflict_fn. */
void diagnostics_add_conflict(struct diagnostics *diagnostics,
                              const struct route_conflict *conflict);
/* Two files hold a tenant of one name: `kept` was there first. */
void diagnostics_add_name_taken(struct diagnostics *diagnostics, const struct tenant *kept,
                                const struct tenant *ignored);
/* Whether something may not be read by who has asked: then the daemon may know more. */
MUST_CHECK bool diagnostics_tell_of_permission(const struct diagnostics *diagnostics);
/* Drops those behind the first `count`. */
void diagnostics_cut(struct diagnostics *diagnostics, size_t count);
/* Drops those of the first `count` that are such ones. */
void diagnostics_drop(struct diagnostics *diagnostics, size_t count,
                      bool (*is_such)(void *context, const struct diagnostic *one), void *context);
void diagnostics_fini(struct diagnostics *diagnostics);

/* The text form of one, ending with a newline; the caller frees it. */
char *diagnostic_print(const struct diagnostic *diagnostic);
/* As a JSON object: severity, code, meaning, file, line, column, length, message, hint. */
struct json;
struct json *diagnostic_json(const struct diagnostic *diagnostic);
