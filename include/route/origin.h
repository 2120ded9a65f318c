/* The Origin header: which page's script opens a WebSocket (RFC 6454 7, RFC 6455 10.2). A browser
 * sends cookies along whatever page asks, so the server has to look. */
#pragma once

#include "route/host.h"

struct origin {
    struct slice scheme; /* as it was sent */
    struct host host;    /* its port is 0 where it is the scheme's own */
};

enum { ORIGIN_SCHEME_MAX_BYTES = 32, ORIGIN_MAX_BYTES = ORIGIN_SCHEME_MAX_BYTES + 3 + 253 + 8 };

/* "https://chat.example.com", "http://[::1]:8080", "tauri://localhost". False for what names no
 * host: "null", and everything with a path. */
MUST_CHECK bool origin_parse(struct slice text, struct origin *origin);
/* In the form in which two that are equal have equal bytes; a view of `buffer`. */
struct slice origin_canonical(const struct origin *origin, char buffer[static ORIGIN_MAX_BYTES]);
/* https, or http with `plain_too`. */
bool origin_is_web(const struct origin *origin, bool plain_too);
