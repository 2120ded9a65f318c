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
    TRACE_HOST_BYTES = 255,
    TRACE_PATH_BYTES = 255,
    TRACE_NAME_BYTES = 63,
    TRACE_TEXT_BYTES = 120,
    TRACE_REASON_BYTES = 32,
};

#define TRACE_MAGIC "owuitrc1"

struct trace_header {
    char magic[8];
    uint32_t entry_bytes;
    uint32_t loops;
    uint64_t entries; /* of each loop */
};

enum trace_flag {
    TRACE_TLS = 1,      /* the peer's connection to HAProxy was */
    TRACE_HTTPS = 2,    /* the client's was */
    TRACE_ROUTE = 4,    /* a request that was to be routed, and could be read */
    TRACE_CUT = 8,      /* host or path were longer than what is recorded */
    TRACE_IDENTITY = 16 /* it depended on who the user is, which is not recorded */
};

struct trace_entry {
    uint64_t check; /* of all behind it; 0: never written */
    int64_t wall_ms;
    uint64_t generation;
    uint64_t connection;
    uint64_t stream;
    struct ip peer;
    struct ip client;
    uint16_t status;
    uint16_t port; /* of the upstream */
    uint8_t flags;
    uint8_t host_size;
    uint8_t path_size;
    uint8_t tenant_size;
    uint8_t upstream_size;
    uint8_t to_size;
    uint8_t id_size;
    uint8_t sni_size;
    uint8_t origin_size;
    uint8_t upgrade_size;
    uint8_t method;     /* of policy_method(); 0: not told */
    uint8_t credential; /* enum credential: its kind alone */
    uint8_t decision_size;
    uint8_t reason_size;
    char decision[TRACE_REASON_BYTES]; /* the outcome's name */
    char reason[TRACE_REASON_BYTES];
    char tenant[TRACE_NAME_BYTES];
    char host[TRACE_HOST_BYTES]; /* as sent */
    char path[TRACE_PATH_BYTES];
    char upstream[TRACE_TEXT_BYTES]; /* a host, or with port 0 a backend's name */
    char to[TRACE_TEXT_BYTES];
    char id[TRACE_NAME_BYTES]; /* X-Request-ID */
    char sni[TRACE_TEXT_BYTES];
    char origin[TRACE_TEXT_BYTES];
    char upgrade[TRACE_REASON_BYTES];
};

/* Copies of the last ones of a loop: see trace_recent(). */
struct trace_recent {
    size_t count;
    struct trace_entry entries[];
};

struct decision;
/* The decision's part of an entry: all but what was asked. */
void trace_entry_set_decision(struct trace_entry *entry, const struct decision *decision);

/* The checksum of an entry whose `check` does not count. */
uint64_t trace_entry_check(const struct trace_entry *entry);

/* The whole entries of a file in the order of time; NULL with the reason when it cannot be read.
 * For free(). */
struct trace_entry *trace_file_read(const char *path, size_t *count, struct error_text *why);
