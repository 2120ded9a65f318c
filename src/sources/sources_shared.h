/* What the parts of the sources share: see sources.h. */
#pragma once

#include "conf/owners.h"
#include "core/file_stamp.h"
#include "parked.h"
#include "sources/sources.h"
#include "tenant_names.h"

/* Another file that tenants of a source are read from. */
struct named_file {
    char *path;
    struct file_stamp stamp; /* zeroed: it was not there */
};

struct source {
    char *path;
    struct file_stamp stamp;
    uint64_t text_hash; /* of what was read last; 0: it could not be read */
    struct named_file *named;
    size_t named_count;
    struct tenant_names names;    /* every tenant that the file holds or held, right or wrong */
    struct tenant_names shadowed; /* of these, the ones that another file has */
    size_t kept;
    size_t refused;
    bool unreadable;          /* as a whole, when it was last read */
    bool knows_names;         /* `names` are of some text of it, be there none in it */
    int trouble;              /* errno of what kept it from being read and may pass; 0: nothing */
    bool seen;                /* by the scan that is under way */
    int64_t missing_since_ms; /* 0: it was there when it was last looked for */
    unsigned read_with;       /* configuration_number at the last reading */
    unsigned given_in;        /* sources' turn in which it was read for what it was owed */
};

struct sources {
    struct sources_needs needs;
    struct configuration *configuration;
    unsigned configuration_number; /* grows with every other one */
    struct route_registry *registry;
    struct source **files; /* sorted by path */
    size_t file_count;
    size_t capacity;
    int folder_trouble; /* the same of the folder, and of the global file */
    int global_trouble;
    bool is_again;                /* what could not be read is read once more */
    struct source *inline_source; /* the tenants of the global file */
    char **wanted; /* files named by a global one that cannot serve, maybe because of them */
    size_t wanted_count;
    bool wants_global; /* one of them is in nobody's shadow any more */
    struct parked parked;
    size_t shadowed_count; /* of all files, and the global one */
    bool is_freed;         /* a name has been given up that may be in somebody's shadow */
    unsigned turns;        /* of giving names to those who were in a shadow */
    struct sources_counts counts;
    char **changed; /* names of tenants, for whoever tells what changed */
    size_t changed_count;
    unsigned arguments; /* of messages, that are known to be wanted */
    bool is_started;
    struct owners *owners; /* from before the start; NULL later */
    char **contests;       /* hosts and paths that several claim, or did; sorted */
    size_t contest_count;
};

/* sources.c */
/* Whether `now` is what kept something from being read the last time, too, and was told then. */
bool sources_trouble_is_told(const struct sources *sources, int before, int now);
/* Counts, and keeps the name for whoever tells what changed. */
void sources_note_change(struct sources *sources, const char *name);

/* sources_tenant.c */
/* A tenant's content hash is that of its text, xor this: so either can be had from the other. */
uint64_t sources_address_hash(const struct tenant *tenant);
/* Whether an upstream has an address, or none needs one. */
bool sources_can_serve(const struct tenant *tenant);
/* Makes the tenant ready and puts it in force, or parks it; takes ownership. False, with the
 * diagnostic, when HAProxy could not be told of it. */
MUST_CHECK bool sources_put(struct sources *sources, struct tenant *tenant,
                            struct diagnostics *diagnostics);
/* Puts a copy whose addresses are others in the place of the tenant it was made from. */
void sources_put_moved(struct sources *sources, struct tenant *moved);
void sources_drop_parked(struct sources *sources, const char *name); /* not parked is fine */

/* sources_file.c */
struct source *source_new(const char *path);
void source_free(struct source *source); /* NULL is fine */
/* No name of the file is in another's shadow any more. */
void source_leave_shadows(struct sources *sources, struct source *source);
/* Whether the version in force is this file's. */
bool source_has(const struct source *source, const struct tenant *tenant);
/* Reads the file; its tenants that have changed are put in force, those that went go. */
void source_load(struct sources *sources, struct source *source, struct diagnostics *diagnostics);
/* The same with what was read elsewhere; takes the tenants of `file`. */
void source_apply(struct sources *sources, struct source *source, struct tenant_file *file,
                  struct diagnostics *diagnostics);
/* The file that has had the name before the start takes it from one that is read earlier. */
void source_take_name(struct sources *sources, const struct tenant *existing,
                      const struct tenant *tenant, struct diagnostics *diagnostics);
/* The file gives the name up: another that has it gets it, see sources_give_freed(). */
void source_remove_name(struct sources *sources, struct source *source, const char *name);

/* sources_contests.c */
void sources_note_contest(struct sources *sources, struct slice key);

/* sources_folder.c */
/* NULL: no file of that path has been read. */
struct source *sources_find_file(const struct sources *sources, const char *path);
