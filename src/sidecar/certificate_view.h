/* What is told of a certificate: to people, scripts and monitoring. */
#pragma once

#include "sidecar_state.h"

/* All that is known, as `owui-spoa certs --json` has it; for json_free(). */
struct json *certificate_describe(struct sidecar *sidecar, struct certificate *certificate);

#define CERTIFICATE_HEALTH_TABLE(X)                                                               \
    X(FINE, "fine")                                                                               \
    X(MISSING, "missing")                                                                         \
    X(EXPIRING, "expiring")                                                                       \
    X(EXPIRED, "expired")                                                                         \
    X(NOT_SERVED, "not_served")                                                                   \
    X(SERVED_WRONG, "served_wrong")                                                               \
    X(UNTRUSTED, "untrusted")   /* by this machine, and from a CA that is configured no longer */ \
    X(INCOMPLETE, "incomplete") /* it is not for all of its hosts */

enum certificate_health {
#define X(NAME, TEXT) CERTIFICATE_##NAME,
    CERTIFICATE_HEALTH_TABLE(X)
#undef X
        CERTIFICATE_HEALTH__MAX,
};

/* What is counted and compared of all of them, which are many: without a word of it. */
struct certificate_facts {
    enum certificate_health health; /* the worst that can be said of it */
    enum schedule_alarm alarm;
    bool is_there;
    bool is_untrusted;
    bool is_for_all_hosts;
    int64_t not_after_s; /* when it is there */
};
void certificate_look(struct sidecar *sidecar, struct certificate *certificate,
                      struct certificate_facts *facts);
const char *certificate_health_name(enum certificate_health health);
