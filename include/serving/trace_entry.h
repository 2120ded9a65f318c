/* A recorded decision, and the file of them: what the loops write, what `replay` and `explain`
 * read.
 *
 *     one page of header, then for each loop `entries` entries, a ring
 *
 * What is recorded of a request is what it was routed by. Never recorded: the query, cookies,
 * Authorization, tokens, certificates, bodies. An entry that is half written when the process or
 * the machine dies is told by its checksum. Files are of the machine that wrote them.
 */
#pragma once

#include "core/error.h"
#include "core/ip.h"
#include "core/slice.h"

enum {
    TRACE_HEADER_BYTES = 4096,
    TRACE_ENTRY_BYTES = 512, /* eight cache lines, of which most entries touch four */
};

#define TRACE_MAGIC "owuitrc2"

struct trace_header {
    char magic[8];
    uint32_t entry_bytes;
    uint32_t loops;
    uint64_t entries; /* of each loop */
};

enum trace_flag {
    TRACE_TLS = 1,       /* the peer's connection to HAProxy was */
    TRACE_HTTPS = 2,     /* the client's was */
    TRACE_ROUTE = 4,     /* a request that was to be routed, and could be read */
    TRACE_CUT = 8,       /* not all that was asked found room */
    TRACE_IDENTITY = 16, /* it depended on the user, or on a cookie, which is not recorded */
    TRACE_UNTOLD = 32 /* a trusted proxy told of somebody behind the client whom nobody can read */
};

/* X(NAME, most bytes): the texts of an entry, in their order. They stand one behind the other, so
 * that the last has what room the others leave. */
#define TRACE_TEXT_TABLE(X)                                         \
    X(DECISION, 32) /* the outcome's name */                        \
    X(REASON, 32)                                                   \
    X(TENANT, 63)                                                   \
    X(UPSTREAM, 120) /* a host, or with port 0 a backend's name */  \
    X(TO, 120)                                                      \
    X(ID, 63) /* X-Request-ID; from here on it is what was asked */ \
    X(UPGRADE, 32)                                                  \
    X(HOST, 255) /* as sent */                                      \
    X(SNI, 255)                                                     \
    X(ORIGIN, 120)                                                  \
    X(PATH, 255)

enum trace_text {
#define X(NAME, BYTES) TRACE_##NAME,
    TRACE_TEXT_TABLE(X)
#undef X
        TRACE_TEXT__MAX,
};

struct trace_entry {
    uint64_t check; /* of all that is used behind it; 0: never written */
    int64_t wall_ms;
    uint64_t generation;
    uint64_t connection;
    uint64_t stream;
    struct ip peer;
    struct ip client;
    uint16_t status;
    uint16_t port; /* of the upstream */
    uint8_t flags;
    uint8_t method;     /* of policy_method(); 0: not told */
    uint8_t credential; /* enum credential: its kind alone */
    uint8_t size[TRACE_TEXT__MAX];
    char texts[TRACE_ENTRY_BYTES - 92];
};
static_assert(sizeof(struct trace_entry) == TRACE_ENTRY_BYTES, "entries are of another size");

struct slice trace_text(const struct trace_entry *entry, enum trace_text which);

/* Copies of the last ones of a loop: see trace_recent(). */
struct trace_recent {
    size_t count;
    struct trace_entry entries[];
};

struct decision;
/* The decision's part of an entry, all but what was asked; of which none may be there yet. */
void trace_entry_set_decision(struct trace_entry *entry, const struct decision *decision);

/* The checksum of an entry whose `check` does not count. */
uint64_t trace_entry_check(const struct trace_entry *entry);

/* The whole entries of a file in the order of time; NULL with the reason when it cannot be read.
 * For free(). */
struct trace_entry *trace_file_read(const char *path, size_t *count, struct error_text *why);
