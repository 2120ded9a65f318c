/* Replicas: several servers of one Open WebUI, and which of them a request goes to.
 *
 * A key (who is signed in, or the client's address) has a home, the replica with the highest score
 * for it (rendezvous hashing): when one replica goes, its own keys move, each to the next of its
 * own order, and nobody else's do; when it comes back, they return. What is known of a replica's
 * health is a word that all tables share, so that a change of it needs no new table.
 *
 * Choosing takes no lock, allocates nothing and looks at no clock.
 */
#pragma once

#include "route/tenant.h"

#include <stdatomic.h>

/* What keeps somebody at a replica. */
enum replica_sticky {
    STICKY_USER,   /* the id in the token of who is signed in */
    STICKY_COOKIE, /* a cookie that names the replica */
    STICKY_CLIENT, /* the client's address */
};

const char *replica_sticky_name(enum replica_sticky sticky); /* "by user" */

enum {
    REPLICAS_MAX = 64,
    REPLICA_SHARE_FULL = 256,
    REPLICA_COOKIE_BYTES = 8, /* hexadecimal digits */
};

/* What is known of a server's health. Written by the main thread alone, which counts references
 * too; `share` is read by every loop. */
struct replica_health {
    /* How many of its own keys the replica takes, of REPLICA_SHARE_FULL: 0 while it is down, few
     * when it has just come back, all after a while. */
    atomic_uint share;
    unsigned references;
};

/* With a full share and one reference. */
struct replica_health *replica_health_new(void);
struct replica_health *replica_health_ref(
    struct replica_health *health); /* NULL is fine, below too */
void replica_health_unref(struct replica_health *health);

struct replica {
    uint64_t seed;                     /* of its URL: what its scores are made from */
    char cookie[REPLICA_COOKIE_BYTES]; /* what names it in the clients' cookies: half of the seed */
    struct replica_health *health;     /* NULL: not checked, takes all that is its own */
    uint8_t *prepared;                 /* what an answer says of it; encoded by the agent layer */
    uint16_t prepared_size;
    bool draining; /* keeps whom its cookie names, takes nobody new */
    struct upstream upstream;
};

/* Some of the replicas, for requests that a route sends there. */
struct replica_pool {
    char *name;
    uint64_t mask; /* a bit for each replica */
};

struct replica_set {
    enum replica_sticky sticky;
    enum replica_sticky fallback; /* COOKIE or CLIENT: while nobody is signed in */
    unsigned slow_start_ms;       /* how long a replica takes to get all its keys back */
    size_t count;
    struct replica *items;
    size_t pool_count;
    struct replica_pool *pools;
    uint64_t pooled; /* a bit for each replica that is in one: who asks for none gets another */
    struct replica_seeds *seeds; /* of replica_set_prepare(); NULL before */
};

/* To be called when the upstream of a replica is known. */
void replica_name(struct replica *replica);
/* Once all is known, addresses too: makes choosing quick. */
void replica_set_prepare(struct replica_set *set);
/* Has what choosing reads brought near. */
void replica_set_prefetch(const struct replica_set *set);
/* 0: there is none of the name. */
uint64_t replica_set_pool(const struct replica_set *set, const char *name);
/* How many of its own keys it takes now, of REPLICA_SHARE_FULL. Any thread. */
unsigned replica_share(const struct replica *replica);
/* Whether some answers of the set have to set the cookie. */
bool replica_set_uses_cookie(const struct replica_set *set);
bool replica_set_uses_user(const struct replica_set *set);
struct replica_set *replica_set_clone(const struct replica_set *set); /* not prepared */
void replica_set_free(struct replica_set *set);                       /* NULL is fine */

/* What is known of who asks. */
struct replica_question {
    uint64_t user;       /* hash of the user's id; 0: nobody is known to be signed in */
    uint64_t client;     /* hash of the client's address, */
    bool is_new;         /* and of the time: it has no cookie yet */
    struct slice cookie; /* what the client's cookie says; anything */
    uint64_t pool;       /* the replicas that may be chosen; 0: those that are in no pool */
};

/* Why it is this replica. */
#define REPLICA_REASON_TABLE(X)                                       \
    X(HOME, "home")          /* of the user or the client */          \
    X(NEW, "new")            /* where those begin who come now */     \
    X(COOKIE, "cookie")      /* the cookie names it */                \
    X(NEXT, "next")          /* the home is down, drains or starts */ \
    X(LAST, "none-else-up")  /* it drains or starts, and so do all */ \
    X(NONE_UP, "none-is-up") /* the checks may be wrong: it is tried */

enum replica_reason {
#define X(NAME, TEXT) REPLICA_##NAME,
    REPLICA_REASON_TABLE(X)
#undef X
        REPLICA_REASON__MAX,
};

const char *replica_reason_name(enum replica_reason reason);

struct replica_choice {
    const struct replica *replica; /* NULL: none has an address */
    enum replica_reason reason;
    bool set_cookie; /* the client's cookie should name it, and does not; never in a pool */
};

void replica_choose(const struct replica_set *set, const struct replica_question *question,
                    struct replica_choice *choice);
/* The value of the cookie that names the replica. */
void replica_cookie(const struct replica *replica, char text[static REPLICA_COOKIE_BYTES]);
