/* Which certificates were put in service from here: see store_ours.c. */
#pragma once

#include "crypto/crypto.h"

struct json;

/* What is to be saved when `certificate` is about to be put in service too; `saved` is what was
 * before, NULL: nothing. `issuer` is the CA's directory; NULL: not known. For json_free(). */
struct json *store_ours_add(const struct json *saved, const struct crypto_certificate *certificate,
                            const char *issuer);
/* What is to be saved when nothing from here is in service any more: what an admin puts there from
 * now on is the admin's, be it the same. */
struct json *store_ours_none(void);
MUST_CHECK bool store_ours_has(const struct json *saved,
                               const struct crypto_certificate *certificate);
/* The CA's directory, if it is known; else empty. */
struct slice store_ours_issuer(const struct json *saved,
                               const struct crypto_certificate *certificate);
