/* One upgrade of a tenant at a time: the first to be done would let people in while the other's
 * database changes. */
#pragma once

#include "core/error.h"

/* A descriptor that is to be held as long as the upgrade goes on, and is gone with the process,
 * however that ends; -1 when another process has one for this tenant of the daemon behind `socket`.
 */
int upgrade_lock(const char *socket, const char *tenant, struct error_text *why);
