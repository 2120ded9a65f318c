/* The cookie by which a browser tells whose the root of a shared host is: a tenant's name that
 * nobody but the agent can write.
 *
 *     6a1f00c0.0123456789abcdef0123456789abcdef.TENANT
 *
 * is the second in which it ends, in hexadecimal, a MAC (AES-256-CMAC) over host, end and name,
 * and the name. It is good for one host alone. Nothing is allocated but once per thread.
 */
#pragma once

#include "core/cursor.h"
#include "crypto/crypto.h"

enum {
    SEAL_KEYS = 2, /* the present key, and the one before it or behind it */
    SEAL_LIFE_S = 30 * 86400,
    SEAL_END_BYTES = 8,
    SEAL_MAC_BYTES = CRYPTO_SEAL_BYTES * 2, /* hexadecimal */
    SEAL_MAX_BYTES = SEAL_END_BYTES + 1 + SEAL_MAC_BYTES + 1 + 63,
};

/* The first seals, all are believed. */
struct seal_keys {
    uint8_t keys[SEAL_KEYS][CRYPTO_SEAL_KEY_BYTES];
    unsigned count; /* 0: nothing can be sealed, and no seal is good */
};

/* Appends the cookie's value, sealed with the first key; false without a key. */
MUST_CHECK bool seal_write(const struct seal_keys *keys, struct slice host, struct slice tenant,
                           int64_t end_s, struct writer *value);
/* The tenant's name in a value that is whole, good for this host and not at its end; empty in one
 * that is not. With SEAL_ALWAYS for the time, it may have ended. */
enum { SEAL_ALWAYS = 0 };
struct slice seal_read(const struct seal_keys *keys, struct slice host, struct slice value,
                       int64_t now_s);
