/* doctor: which versions of HAProxy are known for what. */
#include "doctor/haproxy_fault.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

Test(haproxy_fault, versions_of_haproxy)
{
    enum { FINE = -1 };
    static const struct {
        const char *version;
        int severity;
    } ROWS[] = {
        {"2.4.22-1", DOCTOR_ERROR},
        {"2.5.0", DOCTOR_ERROR},
        {"2.6.0", FINE},
        {"2.6.12-1+deb12u4", FINE},
        {"3.0.11-1+deb13u3", FINE},
        {"3.0.21", FINE},
        {"3.0.22", DOCTOR_ERROR},
        {"3.0.23", FINE},
        {"3.1.5", DOCTOR_WARNING},
        {"3.2.13", DOCTOR_WARNING},
        {"3.2.14", DOCTOR_ERROR},
        {"3.2.15-1", DOCTOR_ERROR},
        {"3.2.17", DOCTOR_WARNING},
        {"3.2.18", DOCTOR_ERROR},
        {"3.2.22-1", DOCTOR_WARNING},
        {"3.2.23", FINE},
        {"3.2.26-1", FINE},
        {"3.3.8", FINE},
        {"3.3.9-abcdef", DOCTOR_ERROR},
        {"3.4.7-1", FINE},
        {"3.5-dev5", FINE},
        {"3.2-dev3-12", DOCTOR_WARNING},
        {"", FINE},
        {"unknown", FINE},
        {"99999999999.1.1", FINE},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        const struct haproxy_fault *fault = haproxy_fault_of(slice_of(ROWS[i].version));
        int severity = fault != NULL ? (int)fault->severity : FINE;
        cr_expect(eq(int, severity, ROWS[i].severity), "%s", ROWS[i].version);
        /* of the file, which doctor would then find changed by hand */
        cr_expect(fault == NULL || strstr(fault->fix, "alpn") == NULL, "%s", ROWS[i].version);
    }
}
