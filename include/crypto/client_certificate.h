/* Reads whom a client certificate is for, and checks who signed it. That the client has its private
 * key was found out in the TLS handshake, by HAProxy. */
#pragma once

#include "core/error.h"
#include "core/slice.h"

/* The parts of a certificate that can identify a person. */
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
    /* UTF-8 without control bytes. Empty when the certificate has no such part, one that is not fit
     * for a header, or (except SUBJECT_OU) several, none of which can be preferred. */
    char text[CRYPTO_FIELD__MAX][CRYPTO_FIELD_MAX_BYTES + 1];
    bool is_unfit[CRYPTO_FIELD__MAX]; /* the subject has such a part, but the text is empty */
    int64_t not_after_s;
};

/* From DER. Allocates. */
MUST_CHECK enum error crypto_client_certificate_read(struct slice der,
                                                     struct crypto_client_certificate *certificate,
                                                     struct error_text *why);
/* Whether `pem` holds certificates, and each of them can be read. Allocates. */
MUST_CHECK enum error crypto_client_certificate_check_authorities(struct slice pem,
                                                                  struct error_text *why);
/* Whether one of the certificates in `pem` signed it. Allocates. */
MUST_CHECK bool crypto_client_certificate_is_from(struct slice der, struct slice pem);
