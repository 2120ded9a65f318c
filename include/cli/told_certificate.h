/* What the daemon tells about certificates: GET /v1/certificates. */
#pragma once

#include "json/json.h"

/* Whether one of them is to have the host. */
bool told_certificate_has(const struct json *certificate, const char *host);
/* The first that is; NULL: nothing is known. `answer` may be NULL. */
const struct json *told_certificate(const struct json *answer, const char *host);
/* The first with this value of a key ("serial", "name"); likewise. */
const struct json *told_certificate_with(const struct json *answer, const char *key,
                                         const char *value);
