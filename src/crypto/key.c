/* Private keys, and what is signed with them: see crypto/crypto.h. */
#include "openssl.h"

#include "core/memory.h"
#include "crypto/base64url.h"
#include "json/json.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>

enum { EC_MAX_BYTES = 48 /* of a P-384 coordinate */ };

static const char *const KEY_TYPE_NAMES[] = {
#define X(NAME, TEXT) [CRYPTO_##NAME] = TEXT,
    CRYPTO_KEY_TABLE(X)
#undef X
};
static_assert(COUNT_OF(KEY_TYPE_NAMES) == CRYPTO_KEY__MAX, "a key type has no name");

/* -- Keys -- */

const char *crypto_key_type_name(enum crypto_key_type type)
{
    assert(type < CRYPTO_KEY__MAX);
    return KEY_TYPE_NAMES[type];
}

bool crypto_key_classify(const EVP_PKEY *pkey, enum crypto_key_type *type)
{
    if (pkey == NULL)
        return false;
    if (EVP_PKEY_is_a(pkey, "RSA")) {
        int bits = EVP_PKEY_get_bits(pkey);
        *type = bits == 2048   ? CRYPTO_RSA_2048
                : bits == 3072 ? CRYPTO_RSA_3072
                : bits == 4096 ? CRYPTO_RSA_4096
                               : CRYPTO_OTHER;
        return bits >= RSA_MIN_BITS && bits <= RSA_MAX_BITS;
    }
    char group[32] = "";
    if (!EVP_PKEY_is_a(pkey, "EC") ||
        EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL) != 1)
        return false;
    *type = strcmp(group, SN_secp384r1) == 0 ? CRYPTO_EC_P384 : CRYPTO_EC_P256;
    return strcmp(group, SN_secp384r1) == 0 || strcmp(group, SN_X9_62_prime256v1) == 0;
}

/* Takes `pkey`, which may be NULL, also on failure; then `*key` is NULL. One that was made without
 * memory may lack a half, and is none. */
static enum error adopt(EVP_PKEY *pkey, struct crypto_key **key, const char *what,
                        struct error_text *why)
{
    enum error error = ERROR_OK;
    enum crypto_key_type type;
    bool is_ours = crypto_key_classify(pkey, &type);
    *key = NULL;
    if (pkey == NULL || openssl_ran_out())
        error = openssl_fail(why, what);
    else if (!is_ours)
        error = error_set(why, ERROR_UNSUPPORTED,
                          "%s: not a P-256, P-384 or RSA 2048 to 4096 bit key", what);
    else if ((*key = malloc(sizeof(**key))) == NULL)
        error = error_set(why, ERROR_NO_MEMORY, "%s: out of memory", what);
    else
        **key = (struct crypto_key){.pkey = pkey, .type = type};
    if (error != ERROR_OK)
        EVP_PKEY_free(pkey);
    return error;
}

struct crypto_key *crypto_key_new(enum crypto_key_type type, struct error_text *why)
{
    EVP_PKEY *pkey = NULL;
    struct crypto_key *key;
    openssl_begin();
    switch (type) {
    case CRYPTO_EC_P256: pkey = EVP_EC_gen(SN_X9_62_prime256v1); break;
    case CRYPTO_EC_P384: pkey = EVP_EC_gen(SN_secp384r1); break;
    case CRYPTO_RSA_2048: pkey = EVP_RSA_gen(2048); break;
    case CRYPTO_RSA_3072: pkey = EVP_RSA_gen(3072); break;
    case CRYPTO_RSA_4096: pkey = EVP_RSA_gen(4096); break;
    case CRYPTO_OTHER:
    case CRYPTO_KEY__MAX: break;
    }
    return adopt(pkey, &key, "cannot make a key", why) == ERROR_OK ? key : NULL;
}

enum error crypto_key_from_pem(struct slice pem, struct crypto_key **key, struct error_text *why)
{
    EVP_PKEY *pkey = NULL;
    openssl_begin();
    BIO *bio = openssl_bio(pem);
    if (bio != NULL)
        pkey = PEM_read_bio_PrivateKey(bio, NULL, openssl_no_passphrase, NULL);
    BIO_free(bio);
    return adopt(pkey, key, "cannot read the private key", why);
}

struct crypto_key *crypto_key_share(const struct crypto_key *key)
{
    struct crypto_key *shared = memory_new(sizeof(*shared));
    int referenced = EVP_PKEY_up_ref(key->pkey);
    assert(referenced == 1); /* it only counts */
    *shared = *key;
    return shared;
}

void crypto_key_free(struct crypto_key *key)
{
    if (key == NULL)
        return;
    EVP_PKEY_free(key->pkey); /* wipes the private part */
    free(key);
}

enum crypto_key_type crypto_key_type_of(const struct crypto_key *key)
{
    return key->type;
}

bool crypto_key_equal(const struct crypto_key *a, const struct crypto_key *b)
{
    return EVP_PKEY_eq(a->pkey, b->pkey) == 1;
}

enum error crypto_key_to_pem(const struct crypto_key *key, struct bytes *pem,
                             struct error_text *why)
{
    openssl_begin();
    BIO *bio = BIO_new(BIO_s_mem());
    int written =
        bio != NULL ? PEM_write_bio_PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) : 0;
    return openssl_take_written(bio, written, pem, "cannot encode the private key", why);
}

/* -- Signatures -- */

/* Adds a number of the public key to the JWK; `width` 0 is the shortest form. */
static bool put_number(struct json *jwk, const char *member, const struct crypto_key *key,
                       const char *parameter, int width)
{
    BIGNUM *number = NULL;
    struct bytes text = {0};
    uint8_t raw[RSA_MAX_BITS / 8];
    bool done = false;

    if (EVP_PKEY_get_bn_param(key->pkey, parameter, &number) == 1) {
        int size = width > 0 ? width : BN_num_bytes(number);
        if (size <= (int)sizeof(raw) && BN_bn2binpad(number, raw, size) == size)
            done = base64url_append(&text, slice_from(raw, (size_t)size));
    }
    if (done)
        json_put_text(jwk, member, bytes_slice(&text));
    BN_free(number);
    bytes_free(&text);
    return done;
}

static int coordinate_bytes(const struct crypto_key *key)
{
    return key->type == CRYPTO_EC_P384 ? 48 : 32;
}

struct json *crypto_key_jwk(const struct crypto_key *key, struct error_text *why)
{
    struct json *jwk = json_new_object();
    bool done;
    openssl_begin();
    if (crypto_key_type_is_ec(key->type)) {
        int width = coordinate_bytes(key);
        json_put_text(jwk, "crv", key->type == CRYPTO_EC_P384 ? SLICE("P-384") : SLICE("P-256"));
        json_put_text(jwk, "kty", SLICE("EC"));
        done = put_number(jwk, "x", key, OSSL_PKEY_PARAM_EC_PUB_X, width) &&
               put_number(jwk, "y", key, OSSL_PKEY_PARAM_EC_PUB_Y, width);
    } else {
        done = put_number(jwk, "e", key, OSSL_PKEY_PARAM_RSA_E, 0);
        json_put_text(jwk, "kty", SLICE("RSA"));
        done = done && put_number(jwk, "n", key, OSSL_PKEY_PARAM_RSA_N, 0);
    }
    if (done)
        return jwk;
    openssl_fail(why, "cannot export the public key");
    json_free(jwk);
    return NULL;
}

enum error crypto_key_thumbprint(const struct crypto_key *key,
                                 char text[static CRYPTO_THUMBPRINT_LENGTH + 1],
                                 struct error_text *why)
{
    uint8_t digest[CRYPTO_SHA256_BYTES];
    struct bytes encoded = {0};
    struct json *jwk = crypto_key_jwk(key, why);
    if (jwk == NULL)
        return openssl_ran_out() ? ERROR_NO_MEMORY : ERROR_INVALID;
    char *canonical = json_print(jwk, JSON_STYLE_COMPACT);
    enum error error = crypto_sha256(slice_of(canonical), digest);
    if (error == ERROR_OK && !base64url_append(&encoded, slice_from(digest, sizeof(digest))))
        error = ERROR_NO_MEMORY;
    if (error == ERROR_OK)
        memcpy(text, encoded.data, CRYPTO_THUMBPRINT_LENGTH + 1);
    else
        error_set(why, error, "cannot compute the key's thumbprint: %s", error_name(error));
    bytes_free(&encoded);
    free(canonical);
    json_free(jwk);
    return error;
}

const char *crypto_key_algorithm(const struct crypto_key *key)
{
    return key->type == CRYPTO_EC_P256 ? "ES256" : key->type == CRYPTO_EC_P384 ? "ES384" : "RS256";
}

static const char *digest_name(const struct crypto_key *key)
{
    return key->type == CRYPTO_EC_P384 ? "SHA384" : "SHA256";
}

/* ECDSA gives a DER sequence of two numbers; JWS wants them side by side. */
static bool der_to_pair(const uint8_t *der, size_t size, int width, uint8_t *pair)
{
    ECDSA_SIG *numbers = d2i_ECDSA_SIG(NULL, &der, (long)size);
    bool done = numbers != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(numbers), pair, width) == width &&
                BN_bn2binpad(ECDSA_SIG_get0_s(numbers), pair + width, width) == width;
    ECDSA_SIG_free(numbers);
    return done;
}

enum error crypto_sign(const struct crypto_key *key, struct slice message, struct bytes *signature,
                       struct error_text *why)
{
    uint8_t raw[RSA_MAX_BITS / 8], pair[2 * EC_MAX_BYTES];
    size_t size = sizeof(raw);
    struct slice result = {(const char *)raw, 0};
    openssl_begin();
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool done =
        context != NULL &&
        EVP_DigestSignInit_ex(context, NULL, digest_name(key), NULL, NULL, key->pkey, NULL) == 1 &&
        EVP_DigestSign(context, raw, &size, (const uint8_t *)message.data, message.size) == 1;
    EVP_MD_CTX_free(context);
    result.size = size;
    if (done && crypto_key_type_is_ec(key->type)) {
        int width = coordinate_bytes(key);
        done = der_to_pair(raw, size, width, pair);
        result = slice_from(pair, 2 * (size_t)width);
    }
    if (!done)
        return openssl_fail(why, "cannot sign");
    if (!bytes_set(signature, result))
        return error_set(why, ERROR_NO_MEMORY, "out of memory");
    return ERROR_OK;
}
