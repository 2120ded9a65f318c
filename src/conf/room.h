/* Whether what is to be read fits into memory. What does not would end the program, and a start
 * would end by it again: see core/memory.h. */
#pragma once

#include "conf/diagnostics.h"
#include "core/memory_room.h"

/* The least that reading the JSON and having its tenants in force takes. 0: too little to ask. */
uint64_t room_needed(struct slice text);
/* The same of a list of so many labels. */
uint64_t room_needed_by_labels(size_t count);
/* False, with the diagnostic, when it is not there. */
MUST_CHECK bool room_is_there(uint64_t needed, const struct memory_room *room, const char *file,
                              struct diagnostics *diagnostics);
/* The same, with what there is now. */
MUST_CHECK bool room_check(uint64_t needed, const char *file, struct diagnostics *diagnostics);
