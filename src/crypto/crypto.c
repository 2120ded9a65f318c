/* Keys, signatures, requests and certificates: see crypto/crypto.h.
 *
 * OpenSSL's error queue is per thread and is emptied by whoever reports from it, so that a later
 * failure cannot be told with an earlier reason.
 */
#include "crypto/crypto.h"

#include "core/ip.h"
#include "core/memory.h"
#include "core/utf8.h"
#include "crypto/base64url.h"
#include "json/json.h"

#include <errno.h>
#include <malloc.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <threads.h>
#include <time.h>

struct crypto_key {
    EVP_PKEY *pkey;
    enum crypto_key_type type;
};

static const char *const KEY_TYPE_NAMES[] = {
#define X(NAME, TEXT) [CRYPTO_##NAME] = TEXT,
    CRYPTO_KEY_TABLE(X)
#undef X
};
static_assert(COUNT_OF(KEY_TYPE_NAMES) == CRYPTO_KEY__MAX, "a key type has no name");

enum {
    RSA_MIN_BITS = 2048,
    RSA_MAX_BITS = 4096,
    EC_MAX_BYTES = 48,     /* of a P-384 coordinate */
    SERIAL_MAX_BYTES = 21, /* RFC 5280 4.1.2.2: 20 octets, and a sign octet */
    KEY_ID_MAX_BYTES = 32,
    PEM_MAX_BYTES = CRYPTO_CHAIN_MAX_BYTES,
};

/* OpenSSL wipes a key when it is freed, but not what its decoders and encoders have made of it on
 * the way: text, DER, copies of DER. So every block of its memory is wiped. */
static void free_wiped(void *block, const char *file, int line)
{
    (void)file, (void)line;
    memory_wipe(block, malloc_usable_size(block));
    free(block);
}

static void *allocate(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return size > 0 ? malloc(size) : NULL;
}

static void *resize_wiped(void *block, size_t size, const char *file, int line)
{
    void *resized = allocate(size, file, line);
    if (resized != NULL && block != NULL)
        memcpy(resized, block, size_min(size, malloc_usable_size(block)));
    if (resized != NULL || size == 0)
        free_wiped(block, file, line);
    return resized;
}

/* Before OpenSSL's first allocation; where another library came first, what OpenSSL wipes by itself
 * has to do. And by default it takes itself apart when the process exits,
 * and a key that is just being made in another thread (key_maker.c) with it. There is nothing that
 * needs to be given back then. */
__attribute__((constructor)) static void set_openssl_up(void)
{
    (void)CRYPTO_set_mem_functions(allocate, resize_wiped, free_wiped);
    OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
}

static enum error fail(struct error_text *why, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    enum error error =
        error_set(why, ERROR_INVALID, "%s: %s", what, reason != NULL ? reason : "not valid");
    ERR_clear_error();
    return error;
}

/* -- Keys -- */

const char *crypto_key_type_name(enum crypto_key_type type)
{
    assert(type < CRYPTO_KEY__MAX);
    return KEY_TYPE_NAMES[type];
}

bool crypto_key_type_parse(struct slice name, enum crypto_key_type *type)
{
    for (size_t i = 0; i < CRYPTO_OTHER; i++) {
        if (slice_equal(name, slice_of(KEY_TYPE_NAMES[i]))) {
            *type = (enum crypto_key_type)i;
            return true;
        }
    }
    return false;
}

/* False for a kind or size of key that no public CA takes. */
static bool classify(const EVP_PKEY *pkey, enum crypto_key_type *type)
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

/* Takes `pkey`, which may be NULL, also on failure. */
static struct crypto_key *adopt(EVP_PKEY *pkey, const char *what, struct error_text *why)
{
    struct crypto_key *key = NULL;
    enum crypto_key_type type;
    if (pkey == NULL) {
        fail(why, what);
    } else if (!classify(pkey, &type)) {
        error_set(why, ERROR_UNSUPPORTED, "%s: not a P-256, P-384 or RSA 2048 to 4096 bit key",
                  what);
    } else if ((key = malloc(sizeof(*key))) == NULL) {
        error_set(why, ERROR_NO_MEMORY, "out of memory");
    } else {
        *key = (struct crypto_key){.pkey = pkey, .type = type};
        return key;
    }
    EVP_PKEY_free(pkey);
    return NULL;
}

struct crypto_key *crypto_key_new(enum crypto_key_type type, struct error_text *why)
{
    EVP_PKEY *pkey = NULL;
    switch (type) {
    case CRYPTO_EC_P256: pkey = EVP_EC_gen(SN_X9_62_prime256v1); break;
    case CRYPTO_EC_P384: pkey = EVP_EC_gen(SN_secp384r1); break;
    case CRYPTO_RSA_2048: pkey = EVP_RSA_gen(2048); break;
    case CRYPTO_RSA_3072: pkey = EVP_RSA_gen(3072); break;
    case CRYPTO_RSA_4096: pkey = EVP_RSA_gen(4096); break;
    case CRYPTO_OTHER:
    case CRYPTO_KEY__MAX: break;
    }
    return adopt(pkey, "cannot make a key", why);
}

static BIO *bio_over(struct slice text)
{
    const char *data = text.size > 0 ? text.data : "";
    return text.size > PEM_MAX_BYTES ? NULL : BIO_new_mem_buf(data, (int)text.size);
}

/* OpenSSL would otherwise ask at the terminal. */
static int no_passphrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer, (void)size, (void)writing, (void)context;
    return -1;
}

struct crypto_key *crypto_key_from_pem(struct slice pem, struct error_text *why)
{
    EVP_PKEY *pkey = NULL;
    BIO *bio = bio_over(pem);
    if (bio != NULL)
        pkey = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    return adopt(pkey, "cannot read the private key", why);
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

/* Moves what was written to a memory BIO; frees the BIO, which wipes itself. */
static enum error take_written(BIO *bio, int written, struct bytes *output, const char *what,
                               struct error_text *why)
{
    enum error error = ERROR_OK;
    char *data = NULL;
    if (bio == NULL || written != 1) {
        error = fail(why, what);
    } else {
        long size = BIO_get_mem_data(bio, &data);
        if (!bytes_set(output, slice_from(data, (size_t)size)))
            error = error_set(why, ERROR_NO_MEMORY, "out of memory");
    }
    BIO_free(bio);
    return error;
}

enum error crypto_key_to_pem(const struct crypto_key *key, struct bytes *pem,
                             struct error_text *why)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int written =
        bio != NULL ? PEM_write_bio_PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) : 0;
    return take_written(bio, written, pem, "cannot encode the private key", why);
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
    fail(why, "cannot export the public key");
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
        return ERROR_INVALID;
    char *canonical = json_print(jwk, JSON_STYLE_COMPACT);
    enum error error = crypto_sha256(slice_of(canonical), digest);
    if (error == ERROR_OK && !base64url_append(&encoded, slice_from(digest, sizeof(digest))))
        error = ERROR_NO_MEMORY;
    if (error == ERROR_OK)
        memcpy(text, encoded.data, CRYPTO_THUMBPRINT_LENGTH + 1);
    else
        error_set(why, error, "cannot compute the key's thumbprint");
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
        return fail(why, "cannot sign");
    if (!bytes_set(signature, result))
        return error_set(why, ERROR_NO_MEMORY, "out of memory");
    return ERROR_OK;
}

enum error crypto_hmac_sha256(struct slice secret, struct slice message,
                              uint8_t mac[static CRYPTO_SHA256_BYTES])
{
    size_t size = 0;
    if (EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, secret.data, secret.size,
                  (const uint8_t *)message.data, message.size, mac, CRYPTO_SHA256_BYTES,
                  &size) == NULL)
        return fail(NULL, "HMAC");
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
    if (EVP_Q_digest(NULL, "SHA256", NULL, data, message.size, digest, &size) != 1)
        return fail(NULL, "SHA-256");
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

/* -- Certificate requests -- */

/* Configuration has checked the names; this is the last gate before a CA sees them. */
static bool is_dns_name(struct slice name)
{
    if (slice_starts_with(name, SLICE("*.")))
        name = slice_skip(name, 2);
    for (size_t i = 0; i < name.size; i++) {
        char c = ascii_lower(name.data[i]);
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '.')
            return false;
    }
    return name.size > 0 && name.size <= 253;
}

static GENERAL_NAME *general_name(struct slice text)
{
    struct ip ip;
    bool is_ip = ip_parse(text, &ip);
    if (!is_ip && !is_dns_name(text))
        return NULL;
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value = is_ip ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    const void *data = is_ip ? (const void *)ip.bytes : text.data;
    int size = !is_ip ? (int)text.size : ip.family == IP_V4 ? 4 : 16;
    if (name == NULL || value == NULL || ASN1_STRING_set(value, data, size) != 1) {
        GENERAL_NAME_free(name);
        ASN1_STRING_free(value);
        return NULL;
    }
    GENERAL_NAME_set0_value(name, is_ip ? GEN_IPADD : GEN_DNS, value);
    return name;
}

static GENERAL_NAMES *general_names(const char *const *names, size_t count)
{
    GENERAL_NAMES *all = GENERAL_NAMES_new();
    for (size_t i = 0; all != NULL && i < count; i++) {
        GENERAL_NAME *name = general_name(slice_of(names[i]));
        if (name == NULL || sk_GENERAL_NAME_push(all, name) == 0) {
            GENERAL_NAME_free(name);
            GENERAL_NAMES_free(all);
            return NULL;
        }
    }
    return all;
}

static const EVP_MD *digest_of(const struct crypto_key *key)
{
    return key->type == CRYPTO_EC_P384 ? EVP_sha384() : EVP_sha256();
}

/* Moves DER that an i2d function allocated. */
static enum error take_der(uint8_t *data, int size, struct bytes *der, const char *what,
                           struct error_text *why)
{
    if (data == NULL || size <= 0)
        return fail(why, what);
    bool done = bytes_set(der, slice_from(data, (size_t)size));
    OPENSSL_free(data);
    return done ? ERROR_OK : error_set(why, ERROR_NO_MEMORY, "out of memory");
}

enum error crypto_csr(const struct crypto_key *key, const char *const *names, size_t name_count,
                      struct bytes *der, struct error_text *why)
{
    uint8_t *data = NULL;
    int size = 0;
    STACK_OF(X509_EXTENSION) *extensions = NULL;
    GENERAL_NAMES *alternatives = name_count > 0 ? general_names(names, name_count) : NULL;
    X509_REQ *request = X509_REQ_new();

    if (alternatives != NULL && request != NULL && X509_REQ_set_version(request, 0) == 1 &&
        X509_REQ_set_pubkey(request, key->pkey) == 1 &&
        X509V3_add1_i2d(&extensions, NID_subject_alt_name, alternatives, 0, 0) == 1 &&
        X509_REQ_add_extensions(request, extensions) == 1 &&
        X509_REQ_sign(request, key->pkey, digest_of(key)) > 0)
        size = i2d_X509_REQ(request, &data);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    GENERAL_NAMES_free(alternatives);
    X509_REQ_free(request);
    return take_der(data, size, der, "cannot make the certificate request", why);
}

/* -- Certificates -- */

static void free_all(X509 **certificates, size_t count)
{
    for (size_t i = 0; i < count; i++)
        X509_free(certificates[i]);
}

/* Every certificate of a PEM text; other blocks and the text between are skipped. */
static enum error read_all(struct slice pem,
                           X509 *certificates[static CRYPTO_CHAIN_MAX_CERTIFICATES], size_t *count,
                           struct error_text *why)
{
    enum error error = ERROR_OK;
    BIO *bio = bio_over(pem);
    *count = 0;
    if (bio == NULL)
        return error_set(why, ERROR_TOO_BIG, "more than %d bytes of certificates", PEM_MAX_BYTES);
    for (;;) {
        X509 *certificate = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
        if (certificate == NULL)
            break;
        if (*count == CRYPTO_CHAIN_MAX_CERTIFICATES) {
            X509_free(certificate);
            error = error_set(why, ERROR_TOO_BIG, "more than %d certificates",
                              CRYPTO_CHAIN_MAX_CERTIFICATES);
            break;
        }
        certificates[(*count)++] = certificate;
    }
    BIO_free(bio);
    if (error == ERROR_OK && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        error = fail(why, "cannot read a certificate");
    else if (error == ERROR_OK && *count == 0)
        error = error_set(why, ERROR_INVALID, "there is no certificate in %zu bytes", pem.size);
    ERR_clear_error();
    if (error != ERROR_OK)
        free_all(certificates, *count);
    return error;
}

static bool read_first(struct slice pem, X509 **first, struct error_text *why)
{
    X509 *all[CRYPTO_CHAIN_MAX_CERTIFICATES];
    size_t count;
    if (read_all(pem, all, &count, why) != ERROR_OK)
        return false;
    assert(count > 0);
    *first = all[0];
    free_all(all + 1, count - 1);
    return true;
}

/* One entry of a distinguished name, cut to fit; control bytes become '?'. */
static bool copy_entry(const X509_NAME *name, int nid, char *text, size_t size)
{
    int index = X509_NAME_get_index_by_NID(name, nid, -1);
    uint8_t *utf8 = NULL;
    if (index < 0 ||
        ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index))) < 0)
        return false;
    struct slice fits = utf8_head(slice_of((const char *)utf8), size - 1);
    memcpy(text, fits.data, fits.size);
    text[fits.size] = '\0';
    OPENSSL_free(utf8);
    for (char *p = text; *p != '\0'; p++)
        if ((uint8_t)*p < 0x20 || *p == 0x7f)
            *p = '?';
    return true;
}

static void copy_issuer(const X509 *certificate, char *text, size_t size)
{
    const X509_NAME *name = X509_get_issuer_name(certificate);
    text[0] = '\0';
    if (!copy_entry(name, NID_commonName, text, size) &&
        !copy_entry(name, NID_organizationName, text, size))
        ERR_clear_error();
}

static bool copy_time(const ASN1_TIME *time, int64_t *seconds)
{
    struct tm parts;
    if (ASN1_TIME_to_tm(time, &parts) != 1)
        return false;
    *seconds = timegm(&parts);
    return true;
}

static bool copy_serial(X509 *certificate, struct crypto_certificate *facts)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(certificate);
    int size = ASN1_STRING_length(serial);
    if (size <= 0 || size > SERIAL_MAX_BYTES)
        return false;
    for (int i = 0; i < size; i++)
        snprintf(facts->serial + 2 * i, 3, "%02X", ASN1_STRING_get0_data(serial)[i]);
    return true;
}

/* RFC 9773 4.1: the authority key id, a dot, and the serial number's DER content (with the zero
 * that keeps a number positive, which the printed serial lacks). */
static bool copy_ari_id(X509 *certificate, struct crypto_certificate *facts)
{
    const ASN1_OCTET_STRING *key_id = X509_get0_authority_key_id(certificate);
    facts->ari_id[0] = '\0';
    if (key_id == NULL || ASN1_STRING_length(key_id) > KEY_ID_MAX_BYTES)
        return true;
    uint8_t *der = NULL;
    int size = i2d_ASN1_INTEGER(X509_get0_serialNumber(certificate), &der);
    if (size < 2)
        return false;
    struct bytes text = {0};
    bool done = base64url_append(&text, slice_from(ASN1_STRING_get0_data(key_id),
                                                   (size_t)ASN1_STRING_length(key_id))) &&
                bytes_append(&text, SLICE("."), sizeof(facts->ari_id)) &&
                base64url_append(&text, slice_from(der + 2, (size_t)size - 2)) &&
                text.size < sizeof(facts->ari_id);
    if (done)
        memcpy(facts->ari_id, text.data, text.size + 1);
    bytes_free(&text);
    OPENSSL_free(der);
    return done;
}

/* The text of one alternative name, for free(). NULL for kinds that no server uses, and for names
 * with bytes that could mean something else to a C string. */
static char *name_text(const GENERAL_NAME *name)
{
    int type;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
    struct slice raw = {0};
    if (type == GEN_DNS || type == GEN_IPADD)
        raw = slice_from(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
    if (type == GEN_DNS && is_dns_name(raw)) {
        char *text = strndup(raw.data, raw.size);
        for (char *p = text; p != NULL && *p != '\0'; p++)
            *p = ascii_lower(*p);
        return text;
    }
    struct ip ip;
    char text[IP_TEXT_SIZE];
    if (type == GEN_IPADD && ip_from_bytes(raw, &ip))
        return strdup(ip_print(&ip, text));
    return NULL;
}

static bool copy_names(X509 *certificate, struct crypto_certificate *facts)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    int count = all != NULL ? sk_GENERAL_NAME_num(all) : 0;
    facts->names = calloc((size_t)count + 1, sizeof(*facts->names));
    for (int i = 0; facts->names != NULL && i < count; i++) {
        char *text = name_text(sk_GENERAL_NAME_value(all, i));
        if (text != NULL)
            facts->names[facts->name_count++] = text;
    }
    GENERAL_NAMES_free(all);
    return facts->names != NULL;
}

static bool copy_fingerprints(const X509 *certificate, struct crypto_certificate *facts)
{
    return X509_digest(certificate, EVP_sha1(), facts->sha1, NULL) == 1 &&
           X509_digest(certificate, EVP_sha256(), facts->sha256, NULL) == 1;
}

static enum error read_facts(X509 *const *chain, size_t count, struct crypto_certificate *facts,
                             struct error_text *why)
{
    X509 *leaf = chain[0];
    *facts = (struct crypto_certificate){.chain_count = count};
    copy_issuer(leaf, facts->issuer, sizeof(facts->issuer));
    copy_issuer(chain[count - 1], facts->root, sizeof(facts->root));
    if (!classify(X509_get0_pubkey(leaf), &facts->key_type))
        facts->key_type = CRYPTO_OTHER;
    if (copy_time(X509_get0_notBefore(leaf), &facts->not_before_s) &&
        copy_time(X509_get0_notAfter(leaf), &facts->not_after_s) && copy_serial(leaf, facts) &&
        copy_ari_id(leaf, facts) && copy_fingerprints(leaf, facts) && copy_names(leaf, facts)) {
        ERR_clear_error();
        return ERROR_OK;
    }
    crypto_certificate_free(facts);
    return fail(why, "cannot read the certificate");
}

enum error crypto_certificate_read(struct slice pem, struct crypto_certificate *certificate,
                                   struct error_text *why)
{
    X509 *all[CRYPTO_CHAIN_MAX_CERTIFICATES];
    size_t count;
    enum error error = read_all(pem, all, &count, why);
    if (error != ERROR_OK)
        return error;
    error = read_facts(all, count, certificate, why);
    free_all(all, count);
    return error;
}

void crypto_certificate_free(struct crypto_certificate *certificate)
{
    for (size_t i = 0; i < certificate->name_count; i++)
        free(certificate->names[i]);
    free(certificate->names);
    *certificate = (struct crypto_certificate){0};
}

bool crypto_certificate_covers(const struct crypto_certificate *certificate, const char *name)
{
    const char *dot = strchr(name, '.');
    for (size_t i = 0; i < certificate->name_count; i++) {
        const char *own = certificate->names[i];
        if (strcmp(own, name) == 0)
            return true;
        if (own[0] == '*' && dot != NULL && dot != name && strcmp(own + 1, dot) == 0)
            return true;
    }
    return false;
}

/* Moves the certificate of `key` to the front; false when there is none. */
static bool pull_leaf(X509 **all, size_t count, const struct crypto_key *key)
{
    for (size_t i = 0; i < count; i++) {
        if (EVP_PKEY_eq(X509_get0_pubkey(all[i]), key->pkey) == 1) {
            X509 *leaf = all[i];
            all[i] = all[0];
            all[0] = leaf;
            return true;
        }
    }
    return false;
}

/* Moves the issuer of the certificate before `at` to place `at`. A root is no help to a client,
 * which either has it or does not trust it. */
static bool pull_issuer(X509 **all, size_t count, size_t at)
{
    for (size_t i = at; i < count; i++) {
        bool is_root = X509_check_issued(all[i], all[i]) == X509_V_OK;
        if (!is_root && X509_check_issued(all[i], all[at - 1]) == X509_V_OK) {
            X509 *issuer = all[i];
            all[i] = all[at];
            all[at] = issuer;
            return true;
        }
    }
    return false;
}

static enum error write_chain(X509 *const *all, size_t count, struct bytes *chain,
                              struct error_text *why)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int written = bio != NULL;
    for (size_t i = 0; written == 1 && i < count; i++)
        written = PEM_write_bio_X509(bio, all[i]);
    return take_written(bio, written, chain, "cannot encode the certificate chain", why);
}

enum error crypto_chain_tidy(struct slice pem, const struct crypto_key *key, struct bytes *chain,
                             struct crypto_certificate *leaf, struct error_text *why)
{
    X509 *all[CRYPTO_CHAIN_MAX_CERTIFICATES];
    size_t count, used = 1;
    enum error error = read_all(pem, all, &count, why);
    if (error != ERROR_OK)
        return error;
    if (!pull_leaf(all, count, key)) {
        error = error_set(why, ERROR_INVALID,
                          "none of the %zu certificates belongs to the private key", count);
    } else {
        while (used < count && pull_issuer(all, count, used))
            used++;
        error = write_chain(all, used, chain, why);
    }
    if (error == ERROR_OK && leaf != NULL)
        error = read_facts(all, used, leaf, why);
    ERR_clear_error();
    free_all(all, count);
    return error;
}

enum error crypto_certificate_der(struct slice pem, struct bytes *der, struct error_text *why)
{
    X509 *first;
    uint8_t *data = NULL;
    if (!read_first(pem, &first, why))
        return ERROR_INVALID;
    int size = i2d_X509(first, &data);
    X509_free(first);
    return take_der(data, size, der, "cannot encode the certificate", why);
}

static bool set_identity(X509 *certificate, const char *name)
{
    uint64_t serial;
    crypto_random(&serial, sizeof(serial));
    X509_NAME *subject = X509_get_subject_name(certificate);
    return ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1 | 1) == 1 &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const uint8_t *)name, -1, -1,
                                      0) == 1 &&
           X509_set_issuer_name(certificate, subject) == 1;
}

enum error crypto_self_signed(const struct crypto_key *key, const char *name, int64_t not_before_s,
                              int64_t not_after_s, struct bytes *pem, struct error_text *why)
{
    GENERAL_NAMES *alternatives = general_names(&name, 1);
    X509 *certificate = X509_new();
    enum error error;

    if (alternatives != NULL && certificate != NULL && X509_set_version(certificate, 2) == 1 &&
        set_identity(certificate, name) &&
        ASN1_TIME_set(X509_getm_notBefore(certificate), (time_t)not_before_s) != NULL &&
        ASN1_TIME_set(X509_getm_notAfter(certificate), (time_t)not_after_s) != NULL &&
        X509_set_pubkey(certificate, key->pkey) == 1 &&
        X509_add1_ext_i2d(certificate, NID_subject_alt_name, alternatives, 0, 0) == 1 &&
        X509_sign(certificate, key->pkey, digest_of(key)) > 0)
        error = write_chain(&certificate, 1, pem, why);
    else
        error = fail(why, "cannot make a self-signed certificate");
    GENERAL_NAMES_free(alternatives);
    X509_free(certificate);
    return error;
}
