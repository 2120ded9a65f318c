/* Refusals that are no faults: see doctor/refused.h. */
#include "doctor/refused.h"

bool refused_as_unserved(struct slice refused)
{
    return slice_equal(refused, SLICE("maintenance")) || slice_equal(refused, SLICE("suspended"));
}

bool refused_as_not_let_in(struct slice refused)
{
    return slice_equal(refused, SLICE("identity-required")) ||
           slice_equal(refused, SLICE("address")) || slice_equal(refused, SLICE("route"));
}
