/* Tokens for tests: see jwt_maker.h. */
#include "support/jwt_maker.h"

#include "core/memory.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>

struct maker_key {
    EVP_PKEY *pkey;
    enum maker_kind kind;
};

/* Tests want to know at once. */
static void must(bool is_good)
{
    if (!is_good)
        abort();
}

struct maker_key *maker_key_new(enum maker_kind kind)
{
    struct maker_key *key = memory_new(sizeof(*key));
    key->kind = kind;
    switch (kind) {
    case MAKER_RSA: key->pkey = EVP_RSA_gen(2048); break;
    case MAKER_P256: key->pkey = EVP_EC_gen("P-256"); break;
    case MAKER_P384: key->pkey = EVP_EC_gen("P-384"); break;
    case MAKER_P521: key->pkey = EVP_EC_gen("P-521"); break;
    case MAKER_ED25519: key->pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"); break;
    case MAKER__MAX: break;
    }
    must(key->pkey != NULL);
    return key;
}

void maker_key_free(struct maker_key *key)
{
    if (key == NULL)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

char *maker_base64url(struct slice bytes)
{
    char *text = memory_new(bytes.size * 4 / 3 + 8);
    int size =
        EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)bytes.data, (int)bytes.size);
    for (char *p = text; *p != '\0'; p++)
        *p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
    while (size > 0 && text[size - 1] == '=')
        text[--size] = '\0';
    return text;
}

static size_t coordinate_bytes(enum maker_kind kind)
{
    return kind == MAKER_P256 ? 32 : kind == MAKER_P384 ? 48 : 66;
}

static char *number(const struct maker_key *key, const char *parameter, size_t width)
{
    BIGNUM *value = NULL;
    uint8_t raw[512];
    must(EVP_PKEY_get_bn_param(key->pkey, parameter, &value) == 1);
    size_t size = width > 0 ? width : (size_t)BN_num_bytes(value);
    must(BN_bn2binpad(value, raw, (int)size) == (int)size);
    BN_free(value);
    return maker_base64url(slice_from(raw, size));
}

static char *type_members(const struct maker_key *key)
{
    static const char *const CURVES[] = {
        [MAKER_P256] = "P-256", [MAKER_P384] = "P-384", [MAKER_P521] = "P-521"};
    char *members = NULL, *first = NULL, *second = NULL;
    if (key->kind == MAKER_RSA) {
        first = number(key, OSSL_PKEY_PARAM_RSA_N, 0);
        second = number(key, OSSL_PKEY_PARAM_RSA_E, 0);
        members = memory_format("\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"", first, second);
    } else if (key->kind == MAKER_ED25519) {
        uint8_t raw[32];
        size_t size = sizeof(raw);
        must(EVP_PKEY_get_raw_public_key(key->pkey, raw, &size) == 1);
        first = maker_base64url(slice_from(raw, size));
        members = memory_format("\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"", first);
    } else {
        size_t width = coordinate_bytes(key->kind);
        first = number(key, OSSL_PKEY_PARAM_EC_PUB_X, width);
        second = number(key, OSSL_PKEY_PARAM_EC_PUB_Y, width);
        members = memory_format("\"kty\":\"EC\",\"crv\":\"%s\",\"x\":\"%s\",\"y\":\"%s\"",
                                CURVES[key->kind], first, second);
    }
    free(first);
    free(second);
    return members;
}

char *maker_jwk(const struct maker_key *key, const char *kid, const char *more)
{
    char *members = type_members(key);
    char *jwk =
        memory_format("{%s%s%s%s%s}", members, kid != NULL ? ",\"kid\":\"" : "",
                      kid != NULL ? kid : "", kid != NULL ? "\"" : "", more != NULL ? more : "");
    free(members);
    return jwk;
}

char *maker_jwk_set(const struct maker_key *key, const char *kid, const char *more)
{
    char *jwk = maker_jwk(key, kid, more);
    char *set = memory_format("{\"keys\":[%s]}", jwk);
    free(jwk);
    return set;
}

char *maker_public_pem(const struct maker_key *key)
{
    char *data;
    BIO *bio = BIO_new(BIO_s_mem());
    must(PEM_write_bio_PUBKEY(bio, key->pkey) == 1);
    long size = BIO_get_mem_data(bio, &data);
    char *pem = memory_copy_text(slice_from(data, (size_t)size));
    BIO_free(bio);
    return pem;
}

/* DER into two numbers side by side, as JWS has them. */
static size_t der_to_pair(const struct maker_key *key, uint8_t *bytes, size_t size)
{
    int width = (int)coordinate_bytes(key->kind);
    const uint8_t *der = bytes;
    ECDSA_SIG *numbers = d2i_ECDSA_SIG(NULL, &der, (long)size);
    must(numbers != NULL);
    BN_bn2binpad(ECDSA_SIG_get0_r(numbers), bytes, width);
    BN_bn2binpad(ECDSA_SIG_get0_s(numbers), bytes + width, width);
    ECDSA_SIG_free(numbers);
    return 2 * (size_t)width;
}

static size_t sign(const struct maker_key *key, const char *algorithm, struct slice text,
                   uint8_t bytes[static 512])
{
    size_t size = 512;
    EVP_PKEY_CTX *options;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    char digest[] = "SHA256";
    memcpy(digest + 3, algorithm + 2, 3);
    bool is_ed = strcmp(algorithm, "EdDSA") == 0;
    must(EVP_DigestSignInit_ex(context, &options, is_ed ? NULL : digest, NULL, NULL, key->pkey,
                               NULL) == 1);
    if (algorithm[0] == 'P')
        must(EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) == 1);
    must(EVP_DigestSign(context, bytes, &size, (const uint8_t *)text.data, text.size) == 1);
    EVP_MD_CTX_free(context);
    return key->kind == MAKER_RSA || is_ed ? size : der_to_pair(key, bytes, size);
}

char *maker_token(const struct maker_key *key, const char *algorithm, const char *secret,
                  const char *header, const char *payload)
{
    uint8_t signature[512];
    size_t size = 0;
    char *first = maker_base64url(slice_of(header));
    char *second = maker_base64url(slice_of(payload));
    char *text = memory_format("%s.%s", first, second);
    if (strcmp(algorithm, "HS256") == 0)
        EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, secret, strlen(secret), (uint8_t *)text,
                  strlen(text), signature, sizeof(signature), &size);
    else if (strcmp(algorithm, "none") != 0)
        size = sign(key, algorithm, slice_of(text), signature);
    char *third = maker_base64url(slice_from(signature, size));
    char *token = memory_format("%s.%s", text, third);
    free(first);
    free(second);
    free(third);
    free(text);
    return token;
}
