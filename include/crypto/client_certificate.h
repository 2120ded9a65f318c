/* Who a client certificate is for. Whether it is to be believed has been found out in the
 * handshake; here it is only read, and told by whom it was signed. */
#pragma once

#include "core/error.h"
#include "core/slice.h"

/* What of a certificate can tell something about a person. */
#define CRYPTO_FIELD_TABLE(X)                                           \
    X(SAN_EMAIL, "san_email")         /* subjectAltName, rfc822Name */  \
    X(SUBJECT_EMAIL, "subject_email") /* emailAddress of the subject */ \
    X(SUBJECT_CN, "subject_cn")       /* commonName */                  \
    X(SUBJECT_OU, "subject_ou")       /* organizationalUnitNames, by commas */

enum crypto_field {
#define X(NAME, TEXT) CRYPTO_FIELD_##NAME,
    CRYPTO_FIELD_TABLE(X)
#undef X
        CRYPTO_FIELD__MAX,
};

enum { CRYPTO_FIELD_MAX_BYTES = 255 };

struct crypto_client_certificate {
    /* UTF-8 without control bytes. Empty: not there, not fit, or (but for SUBJECT_OU) more than
     * one, of which nobody can say which one counts. */
    char text[CRYPTO_FIELD__MAX][CRYPTO_FIELD_MAX_BYTES + 1];
    int64_t not_after_s;
};

/* From DER. Allocates. */
MUST_CHECK enum error crypto_client_certificate_read(struct slice der,
                                                     struct crypto_client_certificate *certificate,
                                                     struct error_text *why);
/* Whether one of the certificates in `pem` signed it. Allocates. */
MUST_CHECK bool crypto_client_certificate_is_from(struct slice der, struct slice pem);
