/* The file with the HMAC key of an ACME account's external account binding (RFC 8555 7.3.4). */
#pragma once

#include "core/error.h"

/* The key as the CA gave it, in base64url, without the newline that an editor leaves; for
 * secret_file_drop(). On failure there is none, and the reason says what the file is for. */
MUST_CHECK enum error secret_file_read(const char *path, char **secret, struct error_text *why);
/* Wipes it; NULL is fine. */
void secret_file_drop(char *secret);
