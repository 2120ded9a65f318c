/* The generations of the files: each change that was seen is a record, who did it and what was
 * there before, so that any of the last ones can be gone back to.
 *
 *     history/shadow/NAME        each file as it was last seen
 *     history/00000012/          one change: record.json, and each changed file as it was before
 *
 * A record is there when its record.json is, which is written last. Nothing here is the truth: the
 * files are. Main thread only.
 */
#pragma once

#include "serving/live.h"

struct history;

enum { HISTORY_KEPT = 50 }; /* at least, where they are not large and the disk is not full */

/* In the folder "history" of `state_dir`, which are made. NULL with the reason when it cannot be
 * written, another daemon has it, or it is that of another configuration. `live` outlives it. */
MUST_CHECK struct history *history_open(struct main_loop *main_loop, const char *state_dir,
                                        const struct live *live, struct error_text *why);
void history_close(struct history *history); /* NULL is fine */

/* Looks at the files that were read, and records what is another than before. NULL is fine. */
void history_look(struct history *history, const struct reading *reading);
