/* Digests, message authentication and randomness: see crypto/crypto.h. */
#include "openssl.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <threads.h>

enum error crypto_hmac_sha256(struct slice secret, struct slice message,
                              uint8_t mac[static CRYPTO_SHA256_BYTES])
{
    size_t size = 0;
    openssl_begin();
    if (EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, secret.data, secret.size,
                  (const uint8_t *)message.data, message.size, mac, CRYPTO_SHA256_BYTES,
                  &size) == NULL)
        return openssl_fail(NULL, "HMAC");
    return ERROR_OK;
}

/* A context of each thread's own. OpenSSL 3.0 allocates whenever a digest, and so HMAC, begins
 * anew; a cipher, and so CMAC, takes another key where it is. */
static tss_t seal_context_key;
static bool seal_context_possible;
static once_flag seal_context_once = ONCE_FLAG_INIT;

static void free_seal_context(void *context)
{
    EVP_MAC_CTX_free(context);
}

static void make_seal_context_key(void)
{
    seal_context_possible = tss_create(&seal_context_key, free_seal_context) == thrd_success;
}

static EVP_MAC_CTX *new_seal_context(void)
{
    char cipher[] = "AES-256-CBC";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, cipher, 0),
        OSSL_PARAM_construct_end()};
    openssl_begin();
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "CMAC", NULL);
    EVP_MAC_CTX *context = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;
    EVP_MAC_free(mac); /* the context has a reference of its own */
    if (context != NULL && EVP_MAC_CTX_set_params(context, parameters) != 1) {
        EVP_MAC_CTX_free(context);
        return NULL;
    }
    return context;
}

static EVP_MAC_CTX *seal_context(void)
{
    call_once(&seal_context_once, make_seal_context_key);
    EVP_MAC_CTX *context = seal_context_possible ? tss_get(seal_context_key) : NULL;
    if (context != NULL || !seal_context_possible)
        return context;
    context = new_seal_context();
    if (context != NULL && tss_set(seal_context_key, context) != thrd_success) {
        EVP_MAC_CTX_free(context);
        return NULL;
    }
    return context;
}

bool crypto_seal(const uint8_t key[static CRYPTO_SEAL_KEY_BYTES], struct slice message,
                 uint8_t mac[static CRYPTO_SEAL_BYTES])
{
    EVP_MAC_CTX *context = seal_context();
    size_t size;
    return context != NULL && EVP_MAC_init(context, key, CRYPTO_SEAL_KEY_BYTES, NULL) == 1 &&
           EVP_MAC_update(context, (const uint8_t *)message.data, message.size) == 1 &&
           EVP_MAC_final(context, mac, &size, CRYPTO_SEAL_BYTES) == 1 && size == CRYPTO_SEAL_BYTES;
}

bool crypto_equal(const void *a, const void *b, size_t size)
{
    return CRYPTO_memcmp(a, b, size) == 0;
}

enum error crypto_sha256(struct slice message, uint8_t digest[static CRYPTO_SHA256_BYTES])
{
    size_t size = 0;
    const char *data = message.size > 0 ? message.data : "";
    openssl_begin();
    if (EVP_Q_digest(NULL, "SHA256", NULL, data, message.size, digest, &size) != 1)
        return openssl_fail(NULL, "SHA-256");
    return ERROR_OK;
}

/* The kernel's. OpenSSL's generator is seeded from the same and would start all of OpenSSL, two
 * megabytes, for eight bytes in a daemon that only routes. */
void crypto_random(void *block, size_t size)
{
    char *position = block;
    while (size > 0) {
        ssize_t count = getrandom(position, size, 0);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0) {
            fputs("owui-spoa: the system gives no random numbers\n", stderr);
            abort();
        }
        position += count;
        size -= (size_t)count;
    }
}
