/* Actions read back: see agent/actions.h. */
#include "agent/actions.h"

enum { SET_VAR = 1, SET_VAR_ARGUMENTS = 3 };

bool action_next(struct reader *actions, struct action *action)
{
    if (actions->failed || reader_left(actions) == 0)
        return false;
    if (reader_u8(actions) != SET_VAR || reader_u8(actions) != SET_VAR_ARGUMENTS)
        actions->failed = true;
    action->scope = (enum spop_scope)reader_u8(actions);
    action->name = spop_read_string(actions);
    action->value = spop_read_value(actions);
    return !actions->failed;
}

bool header_pair_next(struct reader *headers, struct slice *name, struct slice *value)
{
    *name = spop_read_string(headers);
    *value = spop_read_string(headers);
    return !headers->failed && (name->size > 0 || value->size > 0);
}
