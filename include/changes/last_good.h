/* Tenants that are wrong: in force as they last were right, after a start and under another global
 * file.
 *
 * While it runs, a tenant that is wrong keeps its last good version by itself. A start has nothing
 * but the files, so what was right is looked for in their history, the latest first, and read as if
 * it were the file: what the global file does not allow any more stays out. A tenant that is not in
 * the file any more is not revived, nor is what it was before a time when it was not in the file,
 * or the file not there: it had ended by that. The file stays as it is.
 *
 * When the global file lets tenants inherit something else, as networks to refuse, those that are
 * kept get it, too: the same version of each is read again.
 */
#pragma once

#include "serving/live.h"

/* After the files were read and their history was opened; NULL is fine. */
void last_good_revive(const struct history *history, struct publisher *publisher);
/* After a global file that means something else was read, and the history has looked at the files.
 * What is not in it stays as it is, and the log says so; NULL is a history of nothing. */
void last_good_renew(const struct history *history, struct publisher *publisher);
