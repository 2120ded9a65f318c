/* What a configuration needs of the machine that it is for: users, groups, and the files and
 * folders of others that it names. Loading looks at none of them. The daemon finds out when it
 * starts, HAProxy when it reads its file, and an admin before, by this. */
#pragma once

#include "conf/configuration.h"

/* An error is what the daemon or HAProxy would not start with, a warning what either would miss
 * later, what may not be looked at by who asks, or what HAProxy has elsewhere, as far as can be
 * seen: where neither of its files is. Places are in the global file, which is read
 * again. False when the daemon would not start. From any thread. */
bool surroundings_check(const struct configuration *configuration, struct diagnostics *diagnostics);
