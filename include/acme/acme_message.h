/* One request to a CA and its answer, as values: between the flow, which decides, and the worker,
 * which signs and sends. */
#pragma once

#include "http/http_response.h"

struct crypto_key;

enum {
    ACME_URL_SIZE = HTTP_URL_SIZE, /* with the NUL; longer ones are refused */
    ACME_NAME_SIZE = 254,
};

struct acme_request {
    const char *url;
    /* Of a POST: the payload, "" for a POST-as-GET. */
    struct slice payload;
    /* Who signs. NULL makes it a GET. */
    const struct crypto_key *key;
    const char *kid; /* NULL: the key is shown instead of the account's URL */
};

struct json;

/* Whether `text` is an https URL that is safe to request: no control bytes, no blanks, and short
 * enough. Everything that a CA says is input from a stranger. */
MUST_CHECK bool acme_url_is_good(struct slice text);
/* Copies a member that must be such a URL; false when it is missing or not. */
MUST_CHECK bool acme_url_copy(const struct json *url, char copy[static ACME_URL_SIZE]);
