/* Public keys and the verification of signatures: see crypto/public_key.h. */
#include "crypto/public_key.h"

#include "openssl.h"

#include "core/memory.h"
#include "crypto/base64url.h"
#include "json/json.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <stdlib.h>

enum kind { KIND_RSA, KIND_P256, KIND_P384, KIND_P521, KIND_ED25519 };

enum {
    EXPONENT_MAX_BYTES = 8,
    COORDINATE_MAX_BYTES = 66, /* of P-521 */
    ED25519_BYTES = 32,
};

struct crypto_public_key {
    EVP_PKEY *pkey;
    enum kind kind;
};

static const struct algorithm {
    const char *name;
    const char *digest; /* NULL: the algorithm has its own */
    enum kind kind;
} ALGORITHMS[] = {
#define X(NAME, DIGEST, KIND) [CRYPTO_##NAME] = {#NAME, DIGEST, KIND_##KIND},
    CRYPTO_ALGORITHM_TABLE(X)
#undef X
};
static_assert(COUNT_OF(ALGORITHMS) == CRYPTO_ALGORITHM__MAX, "an algorithm has no row");

static const struct curve {
    const char *name; /* as a JWK has it */
    const char *group;
    enum kind kind;
    size_t bytes; /* of a coordinate */
} CURVES[] = {
    {"P-256", "P-256", KIND_P256, 32},
    {"P-384", "P-384", KIND_P384, 48},
    {"P-521", "P-521", KIND_P521, COORDINATE_MAX_BYTES},
};

const char *crypto_algorithm_name(enum crypto_algorithm algorithm)
{
    assert(algorithm < CRYPTO_ALGORITHM__MAX);
    return ALGORITHMS[algorithm].name;
}

bool crypto_algorithm_parse(struct slice name, enum crypto_algorithm *algorithm)
{
    for (size_t i = 0; i < COUNT_OF(ALGORITHMS); i++) {
        if (slice_equal(name, slice_of(ALGORITHMS[i].name))) {
            *algorithm = (enum crypto_algorithm)i;
            return true;
        }
    }
    return false;
}

/* -- Keys -- */

/* A member in base64url, as bytes. */
static bool read_member(const struct json *jwk, const char *name, struct bytes *raw,
                        struct error_text *why)
{
    struct slice text;
    if (json_read_text(json_get(jwk, name), &text) && text.size > 0 && base64url_decode(text, raw))
        return true;
    error_set(why, ERROR_INVALID, "\"%s\" is missing or not base64url", name);
    return false;
}

static EVP_PKEY *from_parameters(const char *kind, OSSL_PARAM_BLD *builder)
{
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM *parameters = builder != NULL ? OSSL_PARAM_BLD_to_param(builder) : NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
    if (parameters == NULL || context == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &pkey, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
        pkey = NULL;
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(parameters);
    return pkey;
}

static BIGNUM *number_of(const struct bytes *raw)
{
    return BN_bin2bn((const uint8_t *)raw->data, (int)raw->size, NULL);
}

static EVP_PKEY *rsa_key(const struct json *jwk, struct error_text *why)
{
    struct bytes modulus = {0}, exponent = {0};
    EVP_PKEY *pkey = NULL;
    BIGNUM *n = NULL, *e = NULL;
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();

    if (!read_member(jwk, "n", &modulus, why) || !read_member(jwk, "e", &exponent, why))
        goto out;
    error_set(why, ERROR_UNSUPPORTED, "not an RSA key of %d to %d bits", RSA_MIN_BITS,
              RSA_MAX_BITS);
    /* Some libraries put a zero octet in front (RFC 7518 6.3.1.1). */
    if (modulus.size > RSA_MAX_BITS / 8 + 1 || exponent.size > EXPONENT_MAX_BYTES)
        goto out;
    n = number_of(&modulus);
    e = number_of(&exponent);
    if (n == NULL || e == NULL || BN_num_bits(n) < RSA_MIN_BITS || BN_num_bits(n) > RSA_MAX_BITS ||
        !BN_is_odd(n) || !BN_is_odd(e) || BN_is_one(e) || builder == NULL ||
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) != 1 ||
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) != 1)
        goto out;
    pkey = from_parameters("RSA", builder);
out:
    OSSL_PARAM_BLD_free(builder);
    BN_free(n);
    BN_free(e);
    bytes_free(&modulus);
    bytes_free(&exponent);
    return pkey;
}

static const struct curve *find_curve(struct slice name)
{
    for (size_t i = 0; i < COUNT_OF(CURVES); i++)
        if (slice_equal(name, slice_of(CURVES[i].name)))
            return &CURVES[i];
    return NULL;
}

/* OpenSSL refuses a point that is not on the curve. */
static EVP_PKEY *ec_key(const struct json *jwk, const struct curve *curve, struct error_text *why)
{
    uint8_t point[1 + 2 * COORDINATE_MAX_BYTES] = {POINT_CONVERSION_UNCOMPRESSED};
    struct bytes x = {0}, y = {0};
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();

    if (!read_member(jwk, "x", &x, why) || !read_member(jwk, "y", &y, why))
        goto out;
    error_set(why, ERROR_INVALID, "not a point of %s", curve->name);
    if (x.size != curve->bytes || y.size != curve->bytes || builder == NULL)
        goto out;
    memcpy(point + 1, x.data, x.size);
    memcpy(point + 1 + x.size, y.data, y.size);
    if (OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, curve->group, 0) ==
            1 &&
        OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point,
                                         1 + 2 * curve->bytes) == 1)
        pkey = from_parameters("EC", builder);
out:
    OSSL_PARAM_BLD_free(builder);
    bytes_free(&x);
    bytes_free(&y);
    return pkey;
}

static EVP_PKEY *ed25519_key(const struct json *jwk, struct error_text *why)
{
    struct bytes x = {0};
    EVP_PKEY *pkey = NULL;
    if (read_member(jwk, "x", &x, why)) {
        error_set(why, ERROR_INVALID, "not an Ed25519 key");
        if (x.size == ED25519_BYTES)
            pkey = EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, (const uint8_t *)x.data,
                                                  x.size);
    }
    bytes_free(&x);
    return pkey;
}

struct crypto_public_key *crypto_public_key_from_jwk(const struct json *jwk, struct error_text *why)
{
    struct slice type = {0}, name = {0};
    EVP_PKEY *pkey = NULL;
    enum kind kind = KIND_RSA;
    bool has_type = json_read_text(json_get(jwk, "kty"), &type);
    const struct curve *curve =
        json_read_text(json_get(jwk, "crv"), &name) ? find_curve(name) : NULL;

    openssl_begin();
    if (has_type && slice_equal(type, SLICE("RSA"))) {
        pkey = rsa_key(jwk, why);
    } else if (has_type && slice_equal(type, SLICE("EC")) && curve != NULL) {
        kind = curve->kind;
        pkey = ec_key(jwk, curve, why);
    } else if (has_type && slice_equal(type, SLICE("OKP")) && slice_equal(name, SLICE("Ed25519"))) {
        kind = KIND_ED25519;
        pkey = ed25519_key(jwk, why);
    } else {
        error_set(why, ERROR_UNSUPPORTED, "not an RSA, P-256, P-384, P-521 or Ed25519 key");
    }
    ERR_clear_error();
    if (openssl_ran_out()) {
        error_set(why, ERROR_NO_MEMORY, "out of memory");
        EVP_PKEY_free(pkey);
        return NULL;
    }
    if (pkey == NULL)
        return NULL;
    struct crypto_public_key *key = memory_new(sizeof(*key));
    *key = (struct crypto_public_key){pkey, kind};
    return key;
}

void crypto_public_key_free(struct crypto_public_key *key)
{
    if (key == NULL)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

bool crypto_public_key_fits(const struct crypto_public_key *key, enum crypto_algorithm algorithm)
{
    assert(algorithm < CRYPTO_ALGORITHM__MAX);
    return ALGORITHMS[algorithm].kind == key->kind;
}

/* -- Signatures -- */

static bool is_pss(enum crypto_algorithm algorithm)
{
    return algorithm == CRYPTO_PS256 || algorithm == CRYPTO_PS384 || algorithm == CRYPTO_PS512;
}

/* JWS puts the two numbers of ECDSA side by side; OpenSSL wants a DER sequence. */
static int pair_to_der(struct slice pair, uint8_t **der)
{
    int half = (int)pair.size / 2;
    int size = -1;
    ECDSA_SIG *numbers = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn((const uint8_t *)pair.data, half, NULL);
    BIGNUM *s = BN_bin2bn((const uint8_t *)pair.data + half, half, NULL);
    if (numbers != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(numbers, r, s) == 1) {
        r = s = NULL; /* they have moved */
        size = i2d_ECDSA_SIG(numbers, der);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(numbers);
    return size;
}

static size_t pair_bytes(enum kind kind)
{
    for (size_t i = 0; i < COUNT_OF(CURVES); i++)
        if (CURVES[i].kind == kind)
            return 2 * CURVES[i].bytes;
    return 0;
}

static bool verify(const struct crypto_public_key *key, enum crypto_algorithm algorithm,
                   struct slice message, const uint8_t *signature, size_t signature_size)
{
    const struct algorithm *about = &ALGORITHMS[algorithm];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *options = NULL;
    bool is_good = context != NULL && EVP_DigestVerifyInit_ex(context, &options, about->digest,
                                                              NULL, NULL, key->pkey, NULL) == 1;
    if (is_good && is_pss(algorithm)) /* the salt is as long as the digest (RFC 7518 3.5) */
        is_good = EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1 &&
                  EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) == 1;
    is_good = is_good && EVP_DigestVerify(context, signature, signature_size,
                                          (const uint8_t *)message.data, message.size) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return is_good;
}

bool crypto_verify(const struct crypto_public_key *key, enum crypto_algorithm algorithm,
                   struct slice message, struct slice signature)
{
    if (!crypto_public_key_fits(key, algorithm) || signature.size == 0 ||
        signature.size > CRYPTO_SIGNATURE_MAX_BYTES)
        return false;
    size_t pair = pair_bytes(key->kind);
    if (pair == 0)
        return verify(key, algorithm, message, (const uint8_t *)signature.data, signature.size);
    if (signature.size != pair)
        return false;
    uint8_t *der = NULL;
    int size = pair_to_der(signature, &der);
    bool is_good = size > 0 && verify(key, algorithm, message, der, (size_t)size);
    OPENSSL_free(der);
    return is_good;
}
