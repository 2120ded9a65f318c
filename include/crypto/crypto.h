/* Keys, signatures, certificate requests and certificates, over OpenSSL 3's provider interface.
 * This layer is the only one that includes openssl headers.
 *
 * Nothing here reads files or clocks. Times are seconds since the epoch.
 */
#pragma once

#include "core/bytes.h"

struct json;

/* Sets OpenSSL up, and ends the program when memory runs out meanwhile. Only needed before another
 * library uses OpenSSL: the functions below set it up by themselves. */
void crypto_set_up(void);

/* -- Keys -- */

#define CRYPTO_KEY_TABLE(X)  \
    X(EC_P256, "ecdsa-p256") \
    X(EC_P384, "ecdsa-p384") \
    X(RSA_2048, "rsa-2048")  \
    X(RSA_3072, "rsa-3072")  \
    X(RSA_4096, "rsa-4096")  \
    X(OTHER, "other") /* RSA of another size from 2048 to 4096: a key that we did not make */

enum crypto_key_type {
#define X(NAME, TEXT) CRYPTO_##NAME,
    CRYPTO_KEY_TABLE(X)
#undef X
        CRYPTO_KEY__MAX,
};

const char *crypto_key_type_name(enum crypto_key_type type);
static inline bool crypto_key_type_is_ec(enum crypto_key_type type)
{
    return type == CRYPTO_EC_P256 || type == CRYPTO_EC_P384;
}

struct crypto_key; /* a private key */

/* Makes one of any type but OTHER. RSA takes 50 to 500 ms: not for a thread that others wait for.
 */
MUST_CHECK struct crypto_key *crypto_key_new(enum crypto_key_type type, struct error_text *why);
/* From unencrypted PKCS #8, SEC 1 or PKCS #1; refuses other kinds and sizes than those above. On
 * failure `*key` is NULL. ERROR_NO_MEMORY says nothing about the text. */
MUST_CHECK enum error crypto_key_from_pem(struct slice pem, struct crypto_key **key,
                                          struct error_text *why);
/* Another handle of the same key, to be freed on its own. */
MUST_CHECK struct crypto_key *crypto_key_share(const struct crypto_key *key)
    __attribute__((returns_nonnull));
void crypto_key_free(struct crypto_key *key); /* NULL is fine */
enum crypto_key_type crypto_key_type_of(const struct crypto_key *key);
MUST_CHECK enum error crypto_key_to_pem(const struct crypto_key *key, struct bytes *pem,
                                        struct error_text *why);
MUST_CHECK bool crypto_key_equal(const struct crypto_key *a, const struct crypto_key *b);

/* -- Signatures -- */

enum { CRYPTO_SHA256_BYTES = 32, CRYPTO_SHA1_BYTES = 20, CRYPTO_THUMBPRINT_LENGTH = 43 };

/* The public key as a JWK (RFC 7517) with the members that RFC 7638 hashes, in its order. */
MUST_CHECK struct json *crypto_key_jwk(const struct crypto_key *key, struct error_text *why);
/* The RFC 7638 thumbprint in base64url. */
MUST_CHECK enum error crypto_key_thumbprint(const struct crypto_key *key,
                                            char text[static CRYPTO_THUMBPRINT_LENGTH + 1],
                                            struct error_text *why);
/* The JWS "alg" that the key signs with: ES256, ES384 or RS256. */
const char *crypto_key_algorithm(const struct crypto_key *key);
/* Signs as JWS wants it: r || s for the EC keys (RFC 7518 3.4). */
MUST_CHECK enum error crypto_sign(const struct crypto_key *key, struct slice message,
                                  struct bytes *signature, struct error_text *why);
MUST_CHECK enum error crypto_hmac_sha256(struct slice secret, struct slice message,
                                         uint8_t mac[static CRYPTO_SHA256_BYTES]);
/* AES-256-CMAC (NIST SP 800-38B), for the hot path: allocates in the first call of each thread, and
 * never again. */
enum { CRYPTO_SEAL_KEY_BYTES = 32, CRYPTO_SEAL_BYTES = 16 };
MUST_CHECK bool crypto_seal(const uint8_t key[static CRYPTO_SEAL_KEY_BYTES], struct slice message,
                            uint8_t mac[static CRYPTO_SEAL_BYTES]);
/* Takes as long for different bytes as for equal ones. */
MUST_CHECK bool crypto_equal(const void *a, const void *b, size_t size);
MUST_CHECK enum error crypto_sha256(struct slice message,
                                    uint8_t digest[static CRYPTO_SHA256_BYTES]);
/* For tokens and jitter; ends the program when the system has no randomness. */
void crypto_random(void *block, size_t size);

/* -- Certificate requests -- */

/* A PKCS #10 request in DER. Names are host names ("*." allowed) or IP addresses; all go into
 * subjectAltName and the subject stays empty. */
MUST_CHECK enum error crypto_csr(const struct crypto_key *key, const char *const *names,
                                 size_t name_count, struct bytes *der, struct error_text *why);

/* -- Certificates -- */

enum {
    CRYPTO_CHAIN_MAX_CERTIFICATES = 10,
    CRYPTO_CHAIN_MAX_BYTES = 128 * 1024,
    CRYPTO_SERIAL_SIZE = 44, /* of twenty bytes (RFC 5280 4.1.2.2) in hexadecimal, and a margin */
};

struct crypto_certificate {
    char **names; /* DNS names in lower case, and IP addresses */
    size_t name_count;
    char serial[CRYPTO_SERIAL_SIZE]; /* upper-case hexadecimal, as HAProxy prints it */
    char issuer[128];                /* common name, else organisation, of the issuer */
    char root[128];  /* the same of the issuer of the last certificate of the chain */
    char ari_id[96]; /* RFC 9773 4.1, "" when the certificate has no authority key id */
    int64_t not_before_s;
    int64_t not_after_s;
    uint8_t sha1[CRYPTO_SHA1_BYTES];
    uint8_t sha256[CRYPTO_SHA256_BYTES];
    enum crypto_key_type key_type; /* CRYPTO_OTHER for whatever we would not make ourselves */
    size_t chain_count;            /* certificates in the chain, this one included */
};

/* Reads the first certificate of a PEM text. On failure there is nothing to free. ERROR_NO_MEMORY
 * says nothing about the text. */
MUST_CHECK enum error crypto_certificate_read(struct slice pem,
                                              struct crypto_certificate *certificate,
                                              struct error_text *why);
void crypto_certificate_free(struct crypto_certificate *certificate);
/* Whether the certificate is for `name`: exactly, or by a wildcard for one label. */
MUST_CHECK bool crypto_certificate_covers(const struct crypto_certificate *certificate,
                                          const char *name);

/* Makes the certificates that a CA or another client left fit to be loaded: the one that belongs to
 * `key` comes first, each is followed by its issuer, roots and unrelated ones are left out, and all
 * are encoded anew (no text between them, no blank lines, LF). Refuses a text without a certificate
 * for `key`. `leaf` (may be NULL) is filled on success and must then be freed. */
MUST_CHECK enum error crypto_chain_tidy(struct slice pem, const struct crypto_key *key,
                                        struct bytes *chain, struct crypto_certificate *leaf,
                                        struct error_text *why);
/* Whether the chain of a PEM text, the server's own certificate first, leads to a root of the
 * system's, or one in `ca_files` (each may be NULL, and what is none is left out), as browsers go
 * by it; dates and names are the caller's to look at. ERROR_INVALID, with OpenSSL's word for it,
 * when it does not, or is no chain; ERROR_NO_MEMORY says nothing about it. */
MUST_CHECK enum error crypto_chain_verify(struct slice pem, const char *const *ca_files,
                                          size_t ca_file_count, struct error_text *why);
/* The first certificate of a PEM text in DER. */
MUST_CHECK enum error crypto_certificate_der(struct slice pem, struct bytes *der,
                                             struct error_text *why);

/* A certificate, in PEM, that no client trusts: HAProxy starts with it before a CA has answered. */
MUST_CHECK enum error crypto_self_signed(const struct crypto_key *key, const char *name,
                                         int64_t not_before_s, int64_t not_after_s,
                                         struct bytes *pem, struct error_text *why);
