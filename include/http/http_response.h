/* What a server has responded, as a value: between the HTTP client and who asked. */
#pragma once

#include "core/bytes.h"

enum {
    HTTP_URL_SIZE = 512, /* with the NUL; a longer Location is as good as none */
    HTTP_LINKS_MAX = 8,
};

/* Views into what was received, for the time of one call. */
struct http_response {
    int status;          /* 0: none came */
    const char *failure; /* with status 0: why */
    struct slice body;
    struct slice location;
    struct slice retry_after;
    struct slice date;
    struct slice nonce;                 /* Replay-Nonce (RFC 8555 6.5.1) */
    struct slice links[HTTP_LINKS_MAX]; /* one each, whatever the headers */
    size_t link_count;
    int64_t received_s; /* wall clock */
};
