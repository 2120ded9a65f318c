/* Actions read back: see agent/actions.h. */
#include "agent/actions.h"

enum { SET_VAR = 1, SET_VAR_ARGUMENTS = 3, UNSET_VAR = 2, UNSET_VAR_ARGUMENTS = 2 };

bool action_next(struct reader *actions, struct action *action)
{
    if (actions->failed || reader_left(actions) == 0)
        return false;
    uint8_t type = reader_u8(actions);
    action->is_unset = type == UNSET_VAR;
    if ((type != SET_VAR && type != UNSET_VAR) ||
        reader_u8(actions) != (action->is_unset ? UNSET_VAR_ARGUMENTS : SET_VAR_ARGUMENTS))
        actions->failed = true;
    action->scope = (enum spop_scope)reader_u8(actions);
    action->name = spop_read_string(actions);
    action->value = (struct spop_value){0};
    if (!action->is_unset)
        action->value = spop_read_value(actions);
    return !actions->failed;
}

bool header_pair_next(struct reader *headers, struct slice *name, struct slice *value)
{
    *name = spop_read_string(headers);
    *value = spop_read_string(headers);
    return !headers->failed && (name->size > 0 || value->size > 0);
}
