/* Where tenants come from while the daemon runs: the global file and the files of tenants.d, the
 * registry that they fill, and what of them is in force.
 *
 * A file that changed is read again, and of its tenants those that changed are put into the
 * registry. A tenant that is there but wrong keeps its last good version, and so do all tenants of
 * a file that is no JSON any more; a tenant that is gone, with its file or without, goes. A name
 * belongs to the file that had it first; when that file gives it up, the next file gets it.
 *
 * Main thread only. Nothing here logs or publishes: what is wrong goes to the diagnostics, and see
 * publisher.h.
 */
#pragma once

#include "conf/configuration.h"
#include "route/table.h"

#include <sys/types.h>

struct sources;

enum { SOURCES_PATIENCE_MS = 50 };

struct sources_needs {
    /* Asks for the address of a host name. False when it is not known yet. */
    bool (*resolve)(void *context, const char *host, struct ip *address);
    /* The tenant is about to be put in force. */
    void (*on_tenant)(void *context, struct tenant *tenant);
    /* A global file that means something else is in force now, its tenants are about to be read. */
    void (*on_configuration)(void *context, const struct configuration *configuration);
    void *context;
};

struct sources *sources_new(const struct sources_needs *needs);
void sources_free(struct sources *sources);

/* Reads the global file. When it can serve, its inline tenants count from now on. If it means
 * something else than before, the configuration that it replaces is the caller's, to be freed when
 * no snapshot names its settings any more; else `*replaced` is NULL, as it is the first time. False
 * when the file cannot serve: everything stays. */
MUST_CHECK bool sources_read_global(struct sources *sources, const char *path,
                                    struct configuration **replaced,
                                    struct diagnostics *diagnostics);
/* Looks through tenants.d and reads every file again. */
void sources_read_all(struct sources *sources, struct diagnostics *diagnostics);
/* Looks through tenants.d for files that came, changed or went since they were last read. A file
 * that is not there is given SOURCES_PATIENCE_MS to come back, because an editor may be about to
 * write it anew: true when one is waited for, and the caller has to look again after that time. */
MUST_CHECK bool sources_scan(struct sources *sources, struct diagnostics *diagnostics);
/* Reads what could not be read for a reason that may pass though the file stays as it is, as want
 * of descriptors, once more. It is told of when the reason is another one than the last time; so is
 * the global file, which sources_want_global() tells of then. */
void sources_read_again(struct sources *sources, struct diagnostics *diagnostics);
/* One file of tenants.d that may have come, changed or gone. */
void sources_read_file(struct sources *sources, const char *path, struct diagnostics *diagnostics);

/* Tenants that are read from one of these other files, too, are read again; the paths are sorted.
 * True when one of the global file is: that is the caller's to read. */
MUST_CHECK bool sources_read_named(struct sources *sources, char *const *paths, size_t count,
                                   struct diagnostics *diagnostics);
/* Such files, there or not; some may be there twice. For free(), each and all. */
size_t sources_named(const struct sources *sources, char ***paths);

/* All that was in force before the start is again, as far as it can be: from now on, what is
 * claimed twice belongs to who has it. */
void sources_started(struct sources *sources);
/* What is claimed twice, and which file has it, as conf/owners.h tells; NULL when nothing is. */
struct json *sources_contests(struct sources *sources);

const struct configuration *sources_configuration(const struct sources *sources);
struct route_registry *sources_registry(struct sources *sources);

/* Puts one with the addresses that are known now in the place of `tenant`. */
void sources_refresh_addresses(struct sources *sources, const struct tenant *tenant);

/* What has been read may have given up names that other files have, too: those are read for them.
 * Before what was read is published, and again when sources_want_global() has been heeded. */
void sources_give_freed(struct sources *sources, struct diagnostics *diagnostics);

/* Puts parked tenants whose addresses have become known. */
void sources_settle_parked(struct sources *sources, struct diagnostics *diagnostics);

/* Files of tenants.d with tenants that are wrong and not in force, or that are no JSON. Once all is
 * started, those with tenants that are kept as they were under an earlier global file. */
void sources_each_wrong_file(const struct sources *sources,
                             void (*visit)(void *context, const char *path), void *context);
/* Files of tenants.d that are no JSON, or cannot be read at all. */
void sources_each_unreadable(const struct sources *sources,
                             void (*visit)(void *context, const char *path), void *context);
bool sources_is_wrong(const struct sources *sources, const char *path); /* whether it is one */
/* Whether `text` (NULL: that there is no such file) is what was found at `path`, the global file's
 * or one of tenants.d, when it was last read. */
bool sources_have_read(const struct sources *sources, const char *path, const struct slice *text);
/* Puts those of them in force that are right in `text`, which the file was once: they are then kept
 * as if they had been right since. How many. `taken` gets whose names they have taken back. The
 * latest text comes first: what is not in one is not looked for in those before it. What is kept is
 * put anew where `text` has the same version of it. */
size_t sources_revive(struct sources *sources, const char *path, struct slice text,
                      struct diagnostics *taken);

/* Whether a tenant of the global file, or all of it, could be in force by now, if that were read
 * again. */
bool sources_want_global(const struct sources *sources);

/* What the calls since the last sources_take_counts() did, and how things are. */
struct sources_counts {
    size_t changed; /* tenants that came, changed or went */
    size_t kept;    /* tenants that are wrong now and in force as they last were right */
    size_t refused; /* tenants that are wrong and were never right */
    size_t parked;  /* tenants in force as they last were until an address is known */
    size_t files;
    bool has_trouble;     /* something is to be read by sources_read_again() later */
    bool wants_arguments; /* a tenant wants to be told what HAProxy's configuration does not tell */
};
struct sources_counts sources_take_counts(struct sources *sources);

/* -- What of the files is in force: for people ------------------------------------------------- */

#define SOURCES_STATE_TABLE(X)                                                                \
    X(LIVE, "live")             /* as its file says */                                        \
    X(UNRESOLVED, "unresolved") /* the same, but its upstream's name has no address yet */    \
    X(PARKED, "parked")         /* as it was before, until the new upstream has an address */ \
    X(KEPT, "kept")             /* as it last was right: it is wrong now */                   \
    X(BROKEN, "broken")         /* not at all: it is wrong, and was never right */            \
    X(SHADOWED, "shadowed")     /* not at all: another file has a tenant of its name */       \
    X(CONTESTED, "contested")   /* as its file says, but for what another tenant has */

enum sources_state {
#define X(NAME, TEXT) SOURCES_##NAME,
    SOURCES_STATE_TABLE(X)
#undef X
        SOURCES_STATE__MAX,
};
const char *sources_state_name(enum sources_state state);

/* One tenant of one file; borrowed until a file is read again. */
struct sources_entry {
    const char *name;
    const char *file;
    enum sources_state state;
    const struct tenant *tenant; /* what is in force; NULL when nothing is */
};
typedef void sources_visit_fn(void *context, const struct sources_entry *entry);
/* Every tenant of every file, right or wrong, in the order of files and names. */
void sources_each(const struct sources *sources, sources_visit_fn *visit, void *context);
/* The one that is in force, else one that is not; false when no file has that name. */
MUST_CHECK bool sources_find(const struct sources *sources, const char *name,
                             struct sources_entry *entry);
/* Reads what is wrong in a file once more, and says so. */
void sources_complain(const struct sources *sources, const char *file,
                      struct diagnostics *diagnostics);
/* The names of tenants that came, changed or went since the last call; the first so many of them.
 * For free(), each and all. */
enum { SOURCES_CHANGED_MAX = 100 };
size_t sources_take_changed(struct sources *sources, char ***names);
