/* "hours" and "not_hours" of a route. */
#pragma once

#include "node.h"
#include "route/hours.h"

/* For free(); NULL when something is wrong with them. */
struct hours *hours_read(const struct node *node);
