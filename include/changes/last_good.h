/* Tenants that are wrong when the daemon starts: in force as they last were right.
 *
 * While it runs, a tenant that is wrong keeps its last good version by itself. A start has nothing
 * but the files, so what was right is looked for in their history, the latest first, and read as if
 * it were the file: what the global file does not allow any more stays out. A tenant that is not in
 * the file any more is not revived, nor is what it was before a time when it was not in the file,
 * or the file not there: it had ended by that. The file stays as it is.
 */
#pragma once

#include "serving/live.h"

/* After the files were read and their history was opened; NULL is fine. */
void last_good_revive(const struct history *history, struct publisher *publisher);
