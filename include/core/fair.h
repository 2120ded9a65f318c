/* Places that many share. Whoever takes no more than stay free keeps nobody out: of N who want all,
 * each comes to have an (N+1)th, which is also what is left for the next one. Who is alone gets
 * half. */
#pragma once

#include "core/base.h"

/* Whether somebody who has `own` of the `taken` places may take one more of all `places`. */
static inline bool fair_has_room(size_t own, size_t taken, size_t places)
{
    return taken < places && own < places - taken;
}
