/* The only one that makes snapshots: files and addresses in, generations out.
 *
 * It reads the configuration and what of it changes, keeps what is wrong at its last good version,
 * and hands every loop a new snapshot when something has changed. Older snapshots, the tenants that
 * only they can see and the settings that they name are freed when the last loop has moved on.
 *
 * Main thread only. Publishing is logged here, and so is what is wrong.
 */
#pragma once

#include "agent/snapshot.h"
#include "conf/configuration.h"
#include "net/loop.h"
#include "upstreams/label_desk.h"

struct publisher;

/* Whose doing a change is. */
struct origin {
    const char *by;   /* "signal", "watch", "admin": a word for the log */
    const char *who;  /* a person: "alice (uid 1000, pid 4711)"; NULL: whoever wrote the files */
    const char *what; /* "suspend tenant chat"; NULL: nobody said */
};

/* Files were read, and this came of it. */
struct reading {
    const struct origin *origin;
    uint64_t generation; /* in force now */
    bool published;      /* it is a new one */
    /* The files; NULL: any may have changed. */
    char *const *paths;
    size_t path_count;
    /* Tenants that came, changed or went; the first SOURCES_CHANGED_MAX. */
    char *const *tenants;
    size_t tenant_count;
};

struct publisher_options {
    const char *path; /* of the global file */
    /* The global file was read again and can serve; may be NULL. */
    void (*on_configuration)(void *context, const struct configuration *before,
                             const struct configuration *now);
    /* There is a new snapshot; may be NULL. */
    void (*on_published)(void *context);
    /* Files were read; may be NULL. */
    void (*on_reading)(void *context, const struct reading *reading);
    void *context;
};

/* Reads everything. NULL when the global file cannot serve; all that is wrong is in `diagnostics`.
 */
MUST_CHECK struct publisher *publisher_new(struct main_loop *main_loop,
                                           const struct publisher_options *options,
                                           struct diagnostics *diagnostics);
/* After the loops have let go of their snapshots. */
void publisher_free(struct publisher *publisher);

const struct configuration *publisher_configuration(const struct publisher *publisher);
/* How many upstreams' names wait for their first address. */
size_t publisher_pending(const struct publisher *publisher);

/* From now on `loops` get every snapshot, the present one at once. */
void publisher_attach(struct publisher *publisher, struct loops *loops);
/* No more snapshots are handed out. */
void publisher_detach(struct publisher *publisher);

/* Tenants of a file that are wrong, as they were right in `text`: see sources_revive(). What was
 * revived is published afterwards, all at once. */
size_t publisher_revive(struct publisher *publisher, const char *path, struct slice text);
void publisher_publish_revived(struct publisher *publisher);

/* See sources.h. */
void publisher_started(struct publisher *publisher);
struct json *publisher_contests(struct publisher *publisher);

/* The present one, borrowed until the main loop's next turn. */
const struct snapshot *publisher_snapshot(const struct publisher *publisher);
/* Hands out the present snapshot again, so that every loop wakes up. */
void publisher_repeat(struct publisher *publisher);

/* Reads everything again: SIGHUP. */
void publisher_reload(struct publisher *publisher, const struct origin *origin);
/* What the watch saw: the global file changed, these files did, or there is no telling which. */
void publisher_global_changed(struct publisher *publisher);
void publisher_files_changed(struct publisher *publisher, char *const *paths, size_t count);
void publisher_folder_changed(struct publisher *publisher);
/* Other files that tenants are read from: sources_named(). */
void publisher_named_changed(struct publisher *publisher, char *const *paths, size_t count);
/* Files of tenants that somebody has written for whom `origin` tells. */
void publisher_files_written(struct publisher *publisher, char *const *paths, size_t count,
                             const struct origin *origin);

/* What came of reading files since the start, and how old what is in force is. */
struct publisher_record {
    uint64_t published; /* readings that led to a new snapshot, */
    uint64_t unchanged; /* to none, */
    uint64_t rejected;  /* and those with a global file that could not serve */
    bool is_rejected;   /* the last global file could not */
    uint64_t errors;    /* diagnostics, added up */
    uint64_t warnings;
    int64_t snapshot_wall_s; /* when the present table was made */
};
const struct publisher_record *publisher_record(const struct publisher *publisher);

struct sources;
struct instances;
struct count_places;
/* For those who tell what is in force. */
struct count_places *publisher_places(const struct publisher *publisher);
const struct sources *publisher_sources(const struct publisher *publisher);
const struct instances *publisher_instances(const struct publisher *publisher);

/* From now on challenges are answered from this table, which is taken over. */
void publisher_set_challenges(struct publisher *publisher, const struct challenge_table *table);
/* The same with the keys of those who issue tokens; takes the table. */
void publisher_set_keys(struct publisher *publisher, struct jwk_table *keys);
/* From now on cookies are sealed with these keys. */
void publisher_set_seal(struct publisher *publisher, const struct seal_keys *keys);

/* A loop asks for a label: label_request_fn. */
void publisher_want_label(void *publisher, const struct label_request *request);
