/* What is told of a certificate: to people, scripts and monitoring. */
#pragma once

#include "sidecar_state.h"

/* All that is known, as `owui-spoa certs --json` has it; for json_free(). */
struct json *certificate_describe(struct sidecar *sidecar, const struct certificate *certificate);

#define CERTIFICATE_HEALTH_TABLE(X) \
    X(FINE, "fine")                 \
    X(MISSING, "missing")           \
    X(EXPIRING, "expiring")         \
    X(EXPIRED, "expired")           \
    X(NOT_SERVED, "not_served")     \
    X(SERVED_WRONG, "served_wrong")

enum certificate_health {
#define X(NAME, TEXT) CERTIFICATE_##NAME,
    CERTIFICATE_HEALTH_TABLE(X)
#undef X
        CERTIFICATE_HEALTH__MAX,
};

/* The worst that can be said of it, from what certificate_describe() says. */
enum certificate_health certificate_health(const struct json *described);
const char *certificate_health_name(enum certificate_health health);
