/* Changes one member in a JSON text that people wrote: every other byte stays as it is, and so do
 * order, layout and members that serve as comments.
 *
 * For texts that json_parse() accepts. `pointer` names the object (RFC 6901, "" is the root). The
 * result is the whole new text, for free(); NULL when there is no such object, or no such member to
 * remove.
 */
#pragma once

#include "json/json.h"

/* Sets a member: in its place if it exists, else behind the last one, laid out like the others. */
MUST_CHECK char *json_edit_set(struct slice text, struct slice pointer, struct slice key,
                               const struct json *value);
/* Removes a member and the comma that is then one too many. Undoes an addition by json_edit_set()
 * without a trace. */
MUST_CHECK char *json_edit_remove(struct slice text, struct slice pointer, struct slice key);
/* `pointer` with a member's key behind it, for free(). */
char *json_edit_pointer(struct slice pointer, struct slice key) __attribute__((returns_nonnull));
