/* Changes of one member in a JSON text that people wrote: every byte that is not the member's stays
 * as it is, comments, order and layout with it.
 *
 * For texts that json_parse() accepts. `pointer` names the object (RFC 6901, "" is the root). What
 * is returned is a whole text for free(); NULL when there is no such object, or no such member to
 * be removed.
 */
#pragma once

#include "json/json.h"

/* Sets a member: in its place when it is there, else behind the last one, laid out as the members
 * before it are. */
MUST_CHECK char *json_edit_set(struct slice text, struct slice pointer, struct slice key,
                               const struct json *value);
/* Removes a member, with the comma that is one too many then. What json_edit_set() added is taken
 * away without a trace. */
MUST_CHECK char *json_edit_remove(struct slice text, struct slice pointer, struct slice key);
/* `pointer` with a member's key behind it, for free(). */
char *json_edit_pointer(struct slice pointer, struct slice key) __attribute__((returns_nonnull));
