/* What versions of HAProxy are known for. */
#pragma once

#include "core/slice.h"

enum doctor_severity { DOCTOR_NOTE, DOCTOR_WARNING, DOCTOR_ERROR };

struct haproxy_fault {
    enum doctor_severity severity;
    const char *what;
    const char *fix;
};

/* The worst one that the version ("3.2.22-1") has; NULL: none. */
const struct haproxy_fault *haproxy_fault_of(struct slice version);
