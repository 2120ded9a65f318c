/* Addresses of upstreams that are given by name: asked for once, then again and again as their time
 * to live runs out. Never blocks; main thread only.
 *
 * An answer is kept for its TTL, at least RESOLVE_MIN_S and at most the configured interval. When
 * asking fails, the last good address stays. Which of a name's addresses counts is stable: the
 * first by resolver_prefers() of those that the filter lets through, but the one in use as long as
 * it is among those of the same family; and one of another family only when it is the second answer
 * that leads there, since a half that is lost cannot be told from one that is not there. The filter
 * looks at addresses, not names, so that a name cannot be rebound to where it may not point.
 */
#pragma once

#include "core/ip.h"
#include "net/main_loop.h"

struct resolver;

/* Whether a name that has both leads to `ip` rather than to `other` (IP_NONE: to nothing yet): to
 * what this machine has a way to, to IPv4, or to the smaller one. */
MUST_CHECK bool resolver_prefers(const struct ip *ip, const struct ip *other);

enum { RESOLVE_MIN_S = 5, RESOLVE_NEGATIVE_S = 30 };

struct resolver_events {
    /* Whether an upstream may have the address. */
    bool (*is_allowed)(void *context, const struct ip *address);
    /* The name has an address it did not have before, or its first question has failed. Calls may
     * be many in one turn: collect them. */
    void (*on_change)(void *context, const char *name);
    /* A question failed, for the first time or after a good answer; `lasting` is the address that
     * stays in use, or one of family IP_NONE. */
    void (*on_failure)(void *context, const char *name, const char *reason,
                       const struct ip *lasting);
    void *context;
};

struct resolver_options {
    unsigned interval_s;      /* the longest that an answer is kept */
    char *const *nameservers; /* "127.0.0.1:8600", "[::1]"; none: the system's */
    size_t nameserver_count;
};

/* Asks nobody before resolver_configure(). */
struct resolver *resolver_new(struct main_loop *main_loop, const struct resolver_events *events);
/* `options` is copied. When others are to be asked, all names are asked for again. On failure the
 * names keep the addresses that they have. */
MUST_CHECK enum error resolver_configure(struct resolver *resolver,
                                         const struct resolver_options *options,
                                         struct error_text *text);
void resolver_free(struct resolver *resolver);

/* What is known of a name. */
enum resolver_answer {
    RESOLVER_PENDING, /* asked for the first time, right now if need be */
    RESOLVER_KNOWN,   /* `*address` is set */
    RESOLVER_FAILED,  /* no address; asked again after RESOLVE_NEGATIVE_S */
};
enum resolver_answer resolver_find(struct resolver *resolver, const char *name, struct ip *address);
/* The same for the name that a label of `tenant` leads to. Clients make such names up: the first
 * question for one waits for those of this tenant, and not for those of another. */
enum resolver_answer resolver_find_label(struct resolver *resolver, const char *tenant,
                                         const char *name, struct ip *address);
/* How many names wait for their first answer. */
size_t resolver_pending(const struct resolver *resolver);

/* Forgets every name that no resolver_find() has asked for since the last call. */
void resolver_forget_unused(struct resolver *resolver);
/* Asks for all names again now, with the system's settings as they are now. */
MUST_CHECK enum error resolver_restart(struct resolver *resolver, struct error_text *text);
