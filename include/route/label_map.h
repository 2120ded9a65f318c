/* Labels of wildcard hosts, each with an upstream of its own, as a file lists them, and what a
 * request gets whose label is not there. Built by who reads the file; then it changes no more, but
 * for label_map_keep(). For one thread: tenants that share it are made and freed by one. */
#pragma once

#include "core/ip.h"
#include "route/header.h"
#include "route/host.h"

struct label_row {
    struct ip address; /* IP_NONE: `host` is a name, or the row is wrong */
    uint16_t port;     /* 0: the row is wrong, and nothing of it can be used */
    uint8_t scheme;    /* enum upstream_scheme */
    uint32_t line;     /* of the file */
    uint32_t label;    /* where in `texts`, ended by NUL */
    uint32_t host;     /* the same; a name or an address without brackets */
};

struct label_map {
    unsigned references;
    const char *path; /* of the file; lives as long as the process */
    struct label_row *rows;
    size_t count;
    size_t capacity;
    size_t wrong_count; /* of these, rows that are wrong */
    bool
        has_wrong_lines; /* in the file: those that made no row, or whose row is an earlier one, too
                          */
    uint32_t *slots;     /* of a hash of labels; 0: free */
    uint32_t slot_mask;  /* their number, a power of two, less one */
    char *texts;
    size_t texts_size;
    size_t texts_capacity;
    bool has_https;
    uint8_t https_name_size; /* of the longest name that is told to a server with TLS; 0: none */
    uint64_t content_hash;   /* of the file */
    /* A label that is not there: a status, or where its pages are sent. */
    uint16_t unknown_status;
    struct template unknown_to; /* no parts: none */
};

/* For a file of at most so many rows, and of so many bytes. */
struct label_map *label_map_new(const char *path, size_t rows, size_t file_bytes)
    __attribute__((returns_nonnull));
struct label_map *label_map_ref(struct label_map *map);
void label_map_unref(struct label_map *map); /* NULL is fine */

/* Adds a row. Labels are in lower case; a row that is wrong has port 0 and no host. Nothing is
 * added where the label is there already: its row, which stays, is what is returned then, else
 * NULL. */
const struct label_row *label_map_add(struct label_map *map, struct slice label, struct slice host,
                                      const struct label_row *row);

/* NULL: the label is not there. */
const struct label_row *label_map_find(const struct label_map *map, struct slice label);
const char *label_map_text(const struct label_map *map, uint32_t offset);
/* Rows that are wrong become what they were in `earlier`, where they were right. How many did. */
size_t label_map_keep(struct label_map *map, const struct label_map *earlier);
