/* Actions read back: what an answer tells HAProxy. For `explain` and for tests. */
#pragma once

#include "spop/spop_frame.h"

/* One SET-VAR or UNSET-VAR. */
struct action {
    enum spop_scope scope;
    struct slice name; /* without HAProxy's prefix */
    bool is_unset;     /* `value` is of no meaning then */
    struct spop_value value;
};

/* Takes the next action. False at the end and on bytes that are neither (actions->failed). */
MUST_CHECK bool action_next(struct reader *actions, struct action *action);
/* Takes the next (name, value) pair of a value in set-headers-bin form. False at its end. */
MUST_CHECK bool header_pair_next(struct reader *headers, struct slice *name, struct slice *value);
