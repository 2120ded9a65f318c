/* Versions of HAProxy that are known for a fault: see doctor/haproxy_fault.h. */
#include "doctor/haproxy_fault.h"

#include "core/decimal.h"

static bool read_version(struct slice text, unsigned version[static 3])
{
    for (size_t part = 0; part < 3; part++) {
        uint64_t number;
        if (!decimal_take(&text, 6, &number))
            return part == 2; /* 3.5-dev5: as the first of its branch */
        version[part] = (unsigned)number;
        if (slice_starts_with(text, SLICE(".")))
            text = slice_skip(text, 1);
    }
    return true;
}

/* Greater for a later version: no part has more than six digits. */
static uint64_t number_of(const unsigned version[static 3])
{
    return ((uint64_t)version[0] << 40) | ((uint64_t)version[1] << 20) | version[2];
}

/* Faults of single versions and of ranges, the worse ones first. Only another version mends them:
 * the bind is this program's, and what is changed in it by hand the next --out undoes. What this
 * program goes round by itself is not here. */
const struct haproxy_fault *haproxy_fault_of(struct slice version)
{
    static const struct {
        unsigned from[3];
        unsigned to[3];
        struct haproxy_fault fault;
    } FAULTS[] = {
        {{0, 0, 0},
         {2, 5, 99999},
         {DOCTOR_ERROR, "is older than what this is made for", "HAProxy 2.6 or newer"}},
        {{3, 0, 22},
         {3, 0, 22},
         {DOCTOR_ERROR, "breaks WebSockets over HTTP/2 (haproxy#3355)", "another 3.0.x"}},
        {{3, 2, 14},
         {3, 2, 15},
         {DOCTOR_ERROR, "crashes over HTTP/2 (haproxy#3337)", "3.2.23 or newer"}},
        {{3, 2, 18},
         {3, 2, 18},
         {DOCTOR_ERROR, "breaks WebSockets over HTTP/2 (haproxy#3355)", "3.2.23 or newer"}},
        {{3, 3, 9},
         {3, 3, 9},
         {DOCTOR_ERROR, "breaks WebSockets over HTTP/2 (haproxy#3355)", "another 3.3.x"}},
        {{3, 1, 0},
         {3, 1, 99999},
         {DOCTOR_WARNING, "is of a branch whose SPOP is young and gets no more care",
          "3.2.23 or newer"}},
        {{3, 2, 0},
         {3, 2, 22},
         {DOCTOR_WARNING, "may reset the agent's connections, for a second each (haproxy#3478)",
          "3.2.23 or newer"}},
    };
    unsigned told[3] = {0};
    if (!read_version(version, told))
        return NULL;
    for (size_t i = 0; i < COUNT_OF(FAULTS); i++) {
        if (number_of(told) >= number_of(FAULTS[i].from) &&
            number_of(told) <= number_of(FAULTS[i].to))
            return &FAULTS[i].fault;
    }
    return NULL;
}
