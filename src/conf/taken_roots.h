/* Hosts whose root is taken over by more than one tenant, or shared with one. */
#pragma once

#include "conf/diagnostics.h"

/* Warns of each path of mode "takeover" but the first on its host, and of each where the same host
 * has one of mode "root-share". */
void taken_roots_check(const struct route_table *table, struct diagnostics *diagnostics);
