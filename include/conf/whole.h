/* A whole configuration, read once: what `check`, `explain` and `haproxy-config` work with. */
#pragma once

#include "conf/configuration.h"
#include "route/table.h"

#include <stdatomic.h>

struct whole {
    struct configuration *configuration; /* NULL: the global file cannot serve */
    struct route_registry *registry;
    struct route_table *table; /* what the registry holds, as generation 1 */
    size_t file_count;         /* of tenants, read or not */
    size_t tenant_count;       /* good ones */
    size_t broken_count;       /* left out: wrong, or of a name that another has */
    bool has_broken; /* a tenant is wrong, or a whole file: a daemon keeps what it was before */
};

/* Makes a tenant ready for a table: answer_prepare() of the agent layer. */
typedef enum error whole_prepare_fn(struct tenant *tenant, struct error_text *text);

/* Reads the global file and all tenants' files in the order of their names, puts the tenants into a
 * registry, and looks at what only the whole can show. True when there was no error; what is good
 * is there in any case. `prepare` may be NULL. */
bool whole_load(const char *path, whole_prepare_fn *prepare, struct whole *whole,
                struct diagnostics *diagnostics);
/* What is to be instead of what the global file says; NULL: that. */
struct whole_changes {
    const char *tenants_dir;
    const char
        *file; /* in the place of the file of this name in the folder, or beside the others */
    struct slice text;          /* what `file`, then a mere name, says; no data: it is read */
    const atomic_bool *give_up; /* set: nobody wants it any more, what is left is not read */
};
bool whole_load_changed(const char *path, const struct whole_changes *changes,
                        whole_prepare_fn *prepare, struct whole *whole,
                        struct diagnostics *diagnostics);
void whole_fini(struct whole *whole);

/* Of all that is in force: equal for what means the same, and told to people as 16 digits. */
uint64_t whole_content_hash(const struct configuration *configuration,
                            const struct route_table *table);
