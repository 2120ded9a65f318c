/* One request to a CA and its answer, as values: between the flow, which decides, and the worker,
 * which signs and sends. */
#pragma once

#include "core/bytes.h"

struct crypto_key;

enum {
    ACME_URL_SIZE = 512, /* with the NUL; longer ones are refused */
    ACME_NAME_SIZE = 254,
    ACME_LINKS_MAX = 8,
};

struct acme_request {
    const char *url;
    /* Of a POST: the payload, "" for a POST-as-GET. */
    struct slice payload;
    /* Who signs. NULL makes it a GET. */
    const struct crypto_key *key;
    const char *kid; /* NULL: the key is shown instead of the account's URL */
};

/* Views into what the HTTP client received, for the time of one call. */
struct acme_answer {
    int status;          /* 0: none came */
    const char *failure; /* with status 0: why */
    struct slice body;
    struct slice location;
    struct slice retry_after;
    struct slice date;
    struct slice nonce;                 /* Replay-Nonce, for the worker's pool */
    struct slice links[ACME_LINKS_MAX]; /* one each, whatever the headers */
    size_t link_count;
    int64_t received_s; /* wall clock */
};

struct json;

/* Whether `text` is an https URL that is safe to request: no control bytes, no blanks, and short
 * enough. Everything that a CA says is input from a stranger. */
MUST_CHECK bool acme_url_is_good(struct slice text);
/* Copies a member that must be such a URL; false when it is missing or not. */
MUST_CHECK bool acme_url_copy(const struct json *url, char copy[static ACME_URL_SIZE]);
