/* Which file of HAProxy's folder a certificate that it shows is from. */
#pragma once

#include "crypto/crypto.h"

/* The path of one with this certificate among those that HAProxy reads in `folder`, for free().
 * NULL: none has it, or it may not be read. */
char *shown_file_find(const char *folder, const struct crypto_certificate *shown);
