/* The admin interface: what changes nothing, though some of it is no GET. */
#pragma once

#include "admin/admin_server.h"

/* Their context is a `struct live` (serving/live.h). */
extern const struct admin_operation QUESTION_OPERATIONS[];
