/* One tenant's object changed in its file, so that files stay the truth.
 *
 * Everything else of the file stays byte for byte. What would come of it is checked with the real
 * parser first, and against what other tenants have; then the file is replaced as a whole, or not
 * at all. Main thread only.
 */
#pragma once

#include "core/file_stamp.h"
#include "serving/live.h"

/* A step of a change: one member of one object. */
struct tenant_step {
    const char *inside; /* "" for the tenant's object, "maintenance" for one within */
    struct slice key;
    const struct json *value; /* NULL: remove it, if it is there */
};

struct tenant_edit {
    const char *name;
    const char *what;   /* for people: "suspend" */
    const char *detail; /* what is to be told behind its name; NULL: nothing */
    enum { TENANT_ADD, TENANT_REPLACE, TENANT_CHANGE, TENANT_REMOVE } kind;
    const struct json *value;        /* to add or to put in the place of what is there */
    const struct tenant_step *steps; /* of a change */
    size_t step_count;
    const char *file;      /* where to add: a name in tenants_dir; NULL: NAME.json */
    struct slice if_match; /* only if this is the ETag of what is there; empty: in any case */
};

/* Does it and answers: the tenant as it is now, or why not. */
void tenant_edit(const struct live *live, const struct tenant_edit *edit,
                 const struct admin_peer *peer, struct admin_answer *answer);

/* Replaces a file of tenants, or makes it. Owner, group and mode stay where that is possible.
 * `over` is its stamp from before it was read: when somebody has changed it since, it stays, and
 * ERROR_BUSY says so. NULL: whatever is there. On failure nothing is changed. */
MUST_CHECK enum error tenant_file_write(const char *path, struct slice text,
                                        const struct file_stamp *over, struct error_text *why);
/* Removes it; what is a link or no file at all stays. */
MUST_CHECK enum error tenant_file_remove(const char *path, const struct file_stamp *over,
                                         struct error_text *why);
/* The status of an answer to a change that failed with this. */
unsigned tenant_file_status(enum error error);
/* What to do about a folder that the service may not write. */
void tenant_file_write_hint(const char *path, struct error_text *why);

/* The ETag of a tenant's object as it stands in a file's text. */
void tenant_etag(struct slice object, char etag[static ADMIN_ETAG_SIZE]);

/* The object as it stands in its file, for json_free(); NULL when it cannot be read. `etag` and
 * `line` may be NULL. */
struct json *tenant_definition(const char *file, const char *name, char *etag, size_t *line);
