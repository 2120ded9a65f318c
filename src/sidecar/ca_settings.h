/* The settings of a CA, copied: the worker borrows them for its life, and they come from a
 * configuration and a secret that do not last as long. */
#pragma once

#include "acme/acme_worker.h"

void ca_settings_copy(struct acme_ca_settings *to, const struct acme_ca_settings *from);
/* The secret is wiped. */
void ca_settings_fini(struct acme_ca_settings *settings);
