/* Which certificates were put in service from here: see store_ours.c. */
#pragma once

#include "crypto/crypto.h"

struct json;

/* What is to be saved when `certificate` is about to be put in service too; `saved` is what was
 * before, NULL: nothing. For json_free(). */
struct json *store_ours_add(const struct json *saved, const struct crypto_certificate *certificate);
MUST_CHECK bool store_ours_has(const struct json *saved,
                               const struct crypto_certificate *certificate);
