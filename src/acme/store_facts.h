/* What is known of a certificate in service without reading it again: see store_facts.c. */
#pragma once

#include "core/file_stamp.h"
#include "crypto/crypto.h"

struct json;

/* For json_free(). */
struct json *store_facts_to_json(const struct crypto_certificate *certificate,
                                 const struct file_stamp *file);
/* False when they are of another file, or make no sense. */
MUST_CHECK bool store_facts_from_json(const struct json *saved, const struct file_stamp *file,
                                      struct crypto_certificate *certificate);
