/* The secret of an external account: see conf/secret_file.h. */
#include "conf/secret_file.h"

#include "core/memory.h"
#include "core/whole_file.h"
#include "crypto/base64url.h"

#include <stdlib.h>

enum { SECRET_MAX_BYTES = 4096 };

void secret_file_drop(char *secret)
{
    if (secret != NULL)
        memory_wipe(secret, strlen(secret));
    free(secret);
}

/* The first order would be late to find out. */
static enum error check(const char *path, struct slice secret, struct error_text *why)
{
    struct bytes raw = {0};
    bool is_good = base64url_decode(secret, &raw) && raw.size > 0;
    bytes_free(&raw);
    if (is_good)
        return ERROR_OK;
    if (secret.size == 0)
        return error_set(why, ERROR_INVALID, "the external account's secret: %s is empty", path);
    return error_set(why, ERROR_INVALID,
                     "the external account's secret: what is in %s is not base64url: expected the "
                     "whole HMAC key, of A-Z, a-z, 0-9, \"-\" and \"_\", without \"=\" at its end",
                     path);
}

enum error secret_file_read(const char *path, char **secret, struct error_text *why)
{
    size_t size;
    struct error_text reason;
    enum error error = whole_file_read(path, SECRET_MAX_BYTES, secret, &size, &reason);
    if (error != ERROR_OK)
        return error_set(why, error, "the external account's secret: %s", reason.text);
    while (size > 0 && byte_is_one_of((*secret)[size - 1], "\r\n"))
        (*secret)[--size] = '\0';
    error = check(path, slice_from(*secret, size), why);
    if (error == ERROR_OK)
        return ERROR_OK;
    secret_file_drop(*secret);
    *secret = NULL;
    return error;
}
