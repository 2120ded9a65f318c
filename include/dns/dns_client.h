/* Questions to name servers without blocking, on the main loop of a thread. src/dns/dns_client.c is
 * the only file that knows c-ares.
 *
 * Every question ends: with what was found, with "there is no such thing", which is an answer, or
 * with trouble, which says nothing about the name.
 */
#pragma once

#include "core/error.h"
#include "core/ip.h"
#include "core/slice.h"
#include "net/main_loop.h"

struct dns_client;

struct dns_client_settings {
    const char *const *nameservers; /* "127.0.0.1:8600", "[::1]"; none: the system's */
    size_t nameserver_count;
    int try_ms;       /* the first try waits so long; each further one twice as long */
    unsigned tries;   /* of each name server */
    bool whole_names; /* the system's search domains do not complete what is asked for */
};

/* NULL with the reason when the name servers cannot be understood. */
MUST_CHECK struct dns_client *dns_client_new(struct main_loop *main_loop,
                                             const struct dns_client_settings *settings,
                                             struct error_text *why);
/* Questions under way end with DNS_CANCELLED before this returns. NULL is fine. */
void dns_client_free(struct dns_client *client);

/* The system may have other name servers than those that are asked. */
bool dns_client_is_outdated(const struct dns_client *client);
/* If so, they are asked from the next question on, unless questions are under way. */
void dns_client_follow(struct dns_client *client);

enum dns_status {
    DNS_FOUND,
    DNS_NOTHING, /* the name does not exist, or has nothing of that kind */
    DNS_TROUBLE, /* no answer, or a server's failure */
    DNS_CANCELLED,
};

struct dns_address {
    struct ip ip;
    int ttl_s;
};

/* Texts and arrays end with the call. `reason` is in words, unless DNS_FOUND. */
struct dns_addresses {
    enum dns_status status;
    const char *reason;
    const struct dns_address *items;
    size_t count;
};

/* One CAA record (RFC 8659 4.1). */
struct dns_caa {
    struct slice tag;
    struct slice value;
};
struct dns_caas {
    enum dns_status status;
    const char *reason;
    const struct dns_caa *items;
    size_t count;
};

typedef void dns_addresses_fn(void *context, const struct dns_addresses *addresses);
typedef void dns_caas_fn(void *context, const struct dns_caas *records);

enum dns_family { DNS_ANY_FAMILY, DNS_IPV4, DNS_IPV6 };

/* The answer may come before these return. Addresses are looked up in the system's hosts file too.
 */
void dns_client_addresses(struct dns_client *client, const char *name, enum dns_family family,
                          dns_addresses_fn *on_answer, void *context);
/* The records of exactly this name (or of what it is an alias of), not of those above it. */
void dns_client_caa(struct dns_client *client, const char *name, dns_caas_fn *on_answer,
                    void *context);
