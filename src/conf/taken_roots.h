/* Hosts whose root more than one tenant takes over. */
#pragma once

#include "conf/diagnostics.h"

/* Warns of each path of mode "takeover" but the first on its host. */
void taken_roots_check(const struct route_table *table, struct diagnostics *diagnostics);
