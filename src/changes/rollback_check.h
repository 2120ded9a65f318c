/* Whether files as they were are right today: what was good then may be refused by what the global
 * file says now, a host or name may be that of a tenant in the global file since, or the program's
 * version be a stricter one. */
#pragma once

#include "serving/live.h"

/* Reads `text`, which is to be the file's again, with the parser that will read the file. False
 * when that finds what it does not find in the file as it is now; the answer then refuses, with the
 * first finding in its error and all of them in "problems". */
MUST_CHECK bool rollback_check(const struct live *live, const char *path, struct slice text,
                               struct admin_answer *answer);
