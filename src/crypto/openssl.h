/* What the files of this layer have in common about OpenSSL. Its error queue is per thread and is
 * emptied by whoever reports from it, so that a later failure cannot be told with an earlier
 * reason. */
#pragma once

#include "crypto/crypto.h"

#include <openssl/bio.h>
#include <openssl/evp.h>

enum {
    OPENSSL_PEM_MAX_BYTES = CRYPTO_CHAIN_MAX_BYTES,
    RSA_MIN_BITS = 2048,
    RSA_MAX_BITS = 4096,
};

struct crypto_key {
    EVP_PKEY *pkey;
    enum crypto_key_type type;
};

/* False for a kind or size of key that no public CA takes, and for NULL. */
MUST_CHECK bool crypto_key_classify(const EVP_PKEY *pkey, enum crypto_key_type *type);

/* To be called first by functions of this layer that use OpenSSL: sets it up, and forgets what is
 * told below. */
void openssl_begin(void);
/* Whether an allocation of OpenSSL has failed since, in this thread. In places OpenSSL then goes on
 * as if a text or an extension were not there; whoever must not confuse the two asks at the end. */
MUST_CHECK bool openssl_ran_out(void);

/* Sets the reason to `what` and OpenSSL's own, and empties the queue; returns ERROR_NO_MEMORY, if
 * that is it, or ERROR_INVALID. */
enum error openssl_fail(struct error_text *why, const char *what);
/* For reading a text of at most OPENSSL_PEM_MAX_BYTES; NULL when it is longer or memory ran out. */
BIO *openssl_bio(struct slice text);
/* For PEM_read_bio_*(): OpenSSL would otherwise ask at the terminal. */
int openssl_no_passphrase(char *buffer, int size, int writing, void *context);
/* Moves what was written to a memory BIO, NULL or not, if `written` is 1; frees the BIO, which
 * wipes itself. */
MUST_CHECK enum error openssl_take_written(BIO *bio, int written, struct bytes *output,
                                           const char *what, struct error_text *why);
/* Moves DER that an i2d function allocated, or failed to. */
MUST_CHECK enum error openssl_take_der(uint8_t *data, int size, struct bytes *der, const char *what,
                                       struct error_text *why);
