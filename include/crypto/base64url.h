/* Base64url without padding (RFC 4648 section 5, RFC 7515 section 2). */
#pragma once

#include "core/bytes.h"

/* How many characters `SIZE` bytes become. */
#define BASE64URL_LENGTH(SIZE) (((SIZE)*4 + 2) / 3)

/* Appends the text; false when memory ran out. */
MUST_CHECK bool base64url_append(struct bytes *text, struct slice raw);
/* Appends the bytes of `text`. Strict: no padding, no other characters, no stray bits. */
MUST_CHECK bool base64url_decode(struct slice text, struct bytes *raw);
/* Whether `text` holds nothing but the 64 characters and is not empty: ACME tokens (RFC 8555 8.3),
 * which become a path and a part of answers, must be that. */
MUST_CHECK bool base64url_is_token(struct slice text);
