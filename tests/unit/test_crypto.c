/* crypto: keys, signatures, requests, certificates. */
#include "crypto/crypto.h"

#include "crypto/base64url.h"
#include "json/json.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct bytes load(const char *name)
{
    char path[512], buffer[8192];
    struct bytes content = {0};
    snprintf(path, sizeof(path), "%s/vectors/acme/%s", TEST_DATA_DIR, name);
    FILE *file = fopen(path, "r");
    cr_assert(ne(ptr, file, NULL), "%s", path);
    size_t size = fread(buffer, 1, sizeof(buffer), file);
    fclose(file);
    cr_assert(bytes_set(&content, slice_from(buffer, size)));
    return content;
}

static struct crypto_key *must_make(enum crypto_key_type type)
{
    struct error_text why = {0};
    struct crypto_key *key = crypto_key_new(type, &why);
    cr_assert(ne(ptr, key, NULL), "%s", why.text);
    return key;
}

static EVP_PKEY *openssl_key(const struct crypto_key *key)
{
    struct bytes pem = {0};
    cr_assert(eq(int, crypto_key_to_pem(key, &pem, NULL), ERROR_OK));
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.size);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    cr_assert(ne(ptr, pkey, NULL));
    BIO_free(bio);
    bytes_free(&pem);
    return pkey;
}

Test(crypto_key, survives_its_file)
{
    const enum crypto_key_type types[] = {CRYPTO_EC_P256, CRYPTO_EC_P384, CRYPTO_RSA_2048};
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        struct crypto_key *key = must_make(types[i]);
        struct bytes pem = {0};
        cr_assert(eq(int, crypto_key_to_pem(key, &pem, NULL), ERROR_OK));
        struct crypto_key *again;
        cr_assert(eq(int, crypto_key_from_pem(bytes_slice(&pem), &again, NULL), ERROR_OK));
        cr_expect(eq(int, crypto_key_type_of(again), types[i]));
        cr_expect(crypto_key_equal(key, again));
        crypto_key_free(key);
        crypto_key_free(again);
        bytes_free(&pem);
    }
    struct crypto_key *a = must_make(CRYPTO_EC_P256), *b = must_make(CRYPTO_EC_P256);
    cr_expect_not(crypto_key_equal(a, b));
    crypto_key_free(a);
    crypto_key_free(b);
    crypto_key_free(NULL);
}

Test(crypto_key, what_is_not_a_key_is_refused_with_a_reason)
{
    const struct slice bad[] = {
        SLICE(""), SLICE("<html>"), SLICE("-----BEGIN PRIVATE KEY-----\nAAAA\n"),
        /* Ed25519, which no public CA takes */
        SLICE("-----BEGIN PRIVATE KEY-----\n"
              "MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n"
              "-----END PRIVATE KEY-----\n")};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct error_text why = {0};
        struct crypto_key *key;
        cr_expect(ne(int, crypto_key_from_pem(bad[i], &key, &why), ERROR_OK), "%zu", i);
        cr_expect(eq(ptr, key, NULL), "%zu", i);
        cr_expect(why.text[0] != '\0', "%zu", i);
        cr_expect(eq(ulong, ERR_peek_error(), 0), "%zu", i);
    }
}

/* r || s as JWS has it, back in DER, must be what OpenSSL takes for the key. */
static void check_ec_signature(enum crypto_key_type type, const char *digest, int width,
                               const char *algorithm)
{
    struct crypto_key *key = must_make(type);
    EVP_PKEY *pkey = openssl_key(key);
    cr_expect(eq(int, strcmp(crypto_key_algorithm(key), algorithm), 0));
    for (int round = 0; round < 50; round++) { /* a leading zero byte in r or s comes up */
        struct bytes signature = {0};
        cr_assert(eq(int, crypto_sign(key, SLICE("message"), &signature, NULL), ERROR_OK));
        cr_assert(eq(sz, signature.size, (size_t)width * 2));
        const uint8_t *raw = (const uint8_t *)signature.data;
        ECDSA_SIG *pair = ECDSA_SIG_new();
        ECDSA_SIG_set0(pair, BN_bin2bn(raw, width, NULL), BN_bin2bn(raw + width, width, NULL));
        uint8_t *der = NULL;
        int size = i2d_ECDSA_SIG(pair, &der);
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        cr_assert(
            eq(int, EVP_DigestVerifyInit_ex(context, NULL, digest, NULL, NULL, pkey, NULL), 1));
        cr_assert(eq(
            int, EVP_DigestVerify(context, der, (size_t)size, (const uint8_t *)"message", 7), 1));
        EVP_MD_CTX_free(context);
        OPENSSL_free(der);
        ECDSA_SIG_free(pair);
        bytes_free(&signature);
    }
    EVP_PKEY_free(pkey);
    crypto_key_free(key);
}

Test(crypto_sign, ec_signatures_verify)
{
    check_ec_signature(CRYPTO_EC_P256, "SHA256", 32, "ES256");
    check_ec_signature(CRYPTO_EC_P384, "SHA384", 48, "ES384");
}

Test(crypto_sign, rsa_signatures_verify)
{
    struct crypto_key *key = must_make(CRYPTO_RSA_2048);
    EVP_PKEY *pkey = openssl_key(key);
    struct bytes signature = {0};
    cr_assert(eq(int, crypto_sign(key, SLICE("message"), &signature, NULL), ERROR_OK));
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    cr_assert(eq(int, EVP_DigestVerifyInit_ex(context, NULL, "SHA256", NULL, NULL, pkey, NULL), 1));
    cr_expect(eq(int,
                 EVP_DigestVerify(context, (const uint8_t *)signature.data, signature.size,
                                  (const uint8_t *)"message", 7),
                 1));
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(pkey);
    bytes_free(&signature);
    crypto_key_free(key);
}

Test(crypto_sign, hmac_is_rfc_4231)
{
    uint8_t mac[CRYPTO_SHA256_BYTES];
    cr_assert(eq(int, crypto_hmac_sha256(SLICE("Jefe"), SLICE("what do ya want for nothing?"), mac),
                 ERROR_OK));
    const uint8_t expected[] = {0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e};
    cr_expect(eq(int, memcmp(mac, expected, sizeof(expected)), 0));
}

Test(crypto_key, the_thumbprint_is_that_of_the_canonical_jwk)
{
    const enum crypto_key_type types[] = {CRYPTO_EC_P256, CRYPTO_EC_P384, CRYPTO_RSA_2048};
    const char *orders[] = {"crv kty x y ", "crv kty x y ", "e kty n "};
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        struct crypto_key *key = must_make(types[i]);
        struct json *jwk = crypto_key_jwk(key, NULL);
        char order[32] = "", thumbprint[CRYPTO_THUMBPRINT_LENGTH + 1];
        for (struct json_member m = {0}; json_next(jwk, &m);) {
            strncat(order, m.key.data, m.key.size);
            strcat(order, " ");
        }
        cr_expect(eq(int, strcmp(order, orders[i]), 0), "%s", order);
        cr_assert(eq(int, crypto_key_thumbprint(key, thumbprint, NULL), ERROR_OK));
        cr_expect(eq(sz, strlen(thumbprint), CRYPTO_THUMBPRINT_LENGTH));
        cr_expect(base64url_is_token(slice_of(thumbprint)));

        char *text = json_print(jwk, JSON_STYLE_COMPACT);
        uint8_t digest[32];
        struct bytes encoded = {0};
        EVP_Q_digest(NULL, "SHA256", NULL, text, strlen(text), digest, NULL);
        cr_assert(base64url_append(&encoded, slice_from(digest, 32)));
        cr_expect(eq(str, encoded.data, thumbprint));
        bytes_free(&encoded);
        free(text);
        json_free(jwk);
        crypto_key_free(key);
    }
}

Test(crypto_csr, carries_all_names_and_verifies)
{
    struct crypto_key *key = must_make(CRYPTO_EC_P256);
    const char *names[] = {"chat.example.test", "*.example.test", "192.0.2.7", "2001:db8::1"};
    struct bytes der = {0};
    struct error_text why = {0};
    cr_assert(eq(int, crypto_csr(key, names, COUNT_OF(names), &der, &why), ERROR_OK), "%s",
              why.text);
    const uint8_t *data = (const uint8_t *)der.data;
    X509_REQ *request = d2i_X509_REQ(NULL, &data, (long)der.size);
    EVP_PKEY *pkey = openssl_key(key);
    cr_assert(ne(ptr, request, NULL));
    cr_expect(eq(int, X509_REQ_verify(request, pkey), 1));
    cr_expect(eq(int, X509_NAME_entry_count(X509_REQ_get_subject_name(request)), 0));
    STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(request);
    GENERAL_NAMES *all = X509V3_get_d2i(extensions, NID_subject_alt_name, NULL, NULL);
    cr_assert(eq(int, sk_GENERAL_NAME_num(all), 4));
    int type;
    ASN1_STRING *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(all, 1), &type);
    cr_expect(eq(int, type, GEN_DNS));
    cr_expect(
        slice_equal(slice_from(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value)),
                    SLICE("*.example.test")));
    value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(all, 3), &type);
    cr_expect(eq(int, type, GEN_IPADD));
    cr_expect(eq(int, ASN1_STRING_length(value), 16));
    GENERAL_NAMES_free(all);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    X509_REQ_free(request);
    EVP_PKEY_free(pkey);

    const char *bad[] = {"a.example.test", "b_c/.test"};
    cr_expect(ne(int, crypto_csr(key, bad, COUNT_OF(bad), &der, &why), ERROR_OK));
    cr_expect(ne(int, crypto_csr(key, names, 0, &der, &why), ERROR_OK));
    bytes_free(&der);
    crypto_key_free(key);
}

Test(crypto_certificate, facts_are_read)
{
    struct bytes pem = load("leaf.pem");
    struct crypto_certificate facts;
    struct error_text why = {0};
    cr_assert(eq(int, crypto_certificate_read(bytes_slice(&pem), &facts, &why), ERROR_OK), "%s",
              why.text);
    cr_assert(eq(sz, facts.name_count, 3)); /* the mail address is no server's name */
    cr_expect(eq(str, facts.names[0], "chat.example.test"));
    cr_expect(eq(str, facts.names[1], "*.example.test"));
    cr_expect(eq(str, facts.names[2], "192.0.2.7"));
    cr_expect(eq(str, facts.serial, "87654321"));
    cr_expect(eq(str, facts.issuer, "Vector Intermediate"));
    cr_expect(eq(str, facts.ari_id, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"));
    cr_expect(eq(i64, facts.not_after_s - facts.not_before_s, 36500LL * 86400));
    cr_expect(eq(int, facts.key_type, CRYPTO_EC_P256));
    cr_expect(crypto_certificate_covers(&facts, "chat.example.test"));
    cr_expect(crypto_certificate_covers(&facts, "x.example.test"));
    cr_expect(crypto_certificate_covers(&facts, "192.0.2.7"));
    cr_expect_not(crypto_certificate_covers(&facts, "a.b.example.test"));
    cr_expect_not(crypto_certificate_covers(&facts, "example.test"));
    cr_expect_not(crypto_certificate_covers(&facts, ".example.test"));
    crypto_certificate_free(&facts);
    bytes_free(&pem);

    pem = load("plain.pem");
    cr_assert(eq(int, crypto_certificate_read(bytes_slice(&pem), &facts, &why), ERROR_OK));
    cr_expect(eq(str, facts.ari_id, ""));
    cr_expect(eq(str, facts.serial, "0102"));
    crypto_certificate_free(&facts);
    bytes_free(&pem);
}

static void append_file(struct bytes *all, const char *name)
{
    struct bytes more = load(name);
    cr_assert(bytes_append(all, bytes_slice(&more), 1 << 20));
    bytes_free(&more);
}

static struct crypto_key *load_key(void)
{
    struct bytes pem = load("leaf.key");
    struct crypto_key *key;
    cr_assert(eq(int, crypto_key_from_pem(bytes_slice(&pem), &key, NULL), ERROR_OK));
    bytes_free(&pem);
    return key;
}

Test(crypto_chain, is_put_in_order_and_cleaned)
{
    struct bytes mess = {0}, expected = {0}, tidy = {0};
    struct crypto_certificate leaf;
    struct crypto_key *key = load_key();
    cr_assert(bytes_append(&mess, SLICE("junk\r\n\r\n"), 100));
    append_file(&mess, "root.pem");
    append_file(&mess, "stranger.pem");
    append_file(&mess, "intermediate.pem");
    cr_assert(bytes_append(&mess, SLICE("\n\n  text between\n\n"), 100000));
    append_file(&mess, "leaf.pem");
    append_file(&mess, "leaf.key");
    append_file(&expected, "leaf.pem");
    append_file(&expected, "intermediate.pem");

    struct error_text why = {0};
    cr_assert(eq(int, crypto_chain_tidy(bytes_slice(&mess), key, &tidy, &leaf, &why), ERROR_OK),
              "%s", why.text);
    cr_expect(eq(str, tidy.data, expected.data));
    cr_expect(eq(ptr, strstr(tidy.data, "\n\n"), NULL));
    cr_expect(eq(sz, leaf.chain_count, 2));
    cr_expect(eq(str, leaf.issuer, "Vector Intermediate"));
    cr_expect(eq(str, leaf.root, "Vector Root"));
    crypto_certificate_free(&leaf);
    bytes_free(&mess);
    bytes_free(&expected);
    bytes_free(&tidy);
    crypto_key_free(key);
}

Test(crypto_chain, windows_line_ends_and_a_missing_intermediate_are_taken)
{
    struct bytes plain = load("leaf.pem"), dos = {0}, tidy = {0};
    struct crypto_key *key = load_key();
    for (size_t i = 0; i < plain.size; i++)
        cr_assert(bytes_append(
            &dos, plain.data[i] == '\n' ? SLICE("\r\n") : slice_from(plain.data + i, 1), 100000));
    cr_assert(eq(int, crypto_chain_tidy(bytes_slice(&dos), key, &tidy, NULL, NULL), ERROR_OK));
    cr_expect(eq(str, tidy.data, plain.data));
    bytes_free(&plain);
    bytes_free(&dos);
    bytes_free(&tidy);
    crypto_key_free(key);
}

static char *vector_path(const char *name)
{
    char *path = NULL;
    cr_assert(lt(int, 0, asprintf(&path, "%s/vectors/acme/%s", TEST_DATA_DIR, name)));
    return path;
}

Test(crypto_chain, leads_to_a_root_or_is_not_trusted)
{
    static const struct {
        const char *chain[2], *root, *reason;
    } CASES[] = {
        {{"leaf.pem", "intermediate.pem"}, "root.pem", NULL},
        {{"leaf.pem", "intermediate.pem"}, NULL, "local issuer"},
        {{"leaf.pem", "intermediate.pem"}, "stranger.pem", "local issuer"},
        {{"leaf.pem", "intermediate.pem"}, "intermediate.pem", "issuer certificate"},
        {{"leaf.pem", "intermediate.pem"}, "there-is-none.pem", "local issuer"},
        {{"leaf.pem", NULL}, "root.pem", "local issuer"},
        {{"intermediate.pem", "leaf.pem"}, "stranger.pem", "issuer"},
        {{NULL, NULL}, "root.pem", "there is no certificate"},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct bytes chain = {0};
        struct error_text why = {0};
        char *root = CASES[i].root != NULL ? vector_path(CASES[i].root) : NULL;
        const char *const files[] = {NULL, root};
        for (size_t k = 0; k < 2 && CASES[i].chain[k] != NULL; k++)
            append_file(&chain, CASES[i].chain[k]);
        enum error error = crypto_chain_verify(bytes_slice(&chain), files, 2, &why);
        cr_expect(eq(int, error, CASES[i].reason == NULL ? ERROR_OK : ERROR_INVALID), "%zu", i);
        cr_expect(strstr(why.text, CASES[i].reason != NULL ? CASES[i].reason : "") != NULL,
                  "%zu: %s", i, why.text);
        cr_expect(eq(ulong, ERR_peek_error(), 0), "%zu", i);
        bytes_free(&chain);
        free(root);
    }
}

/* What is over is the caller's to see. */
Test(crypto_chain, dates_have_no_part_in_trust)
{
    struct bytes pem = {0};
    struct error_text why = {0};
    char path[] = "/tmp/crypto-root-XXXXXX";
    const char *const files[] = {path};
    struct crypto_key *key = must_make(CRYPTO_EC_P256);
    cr_assert(eq(int, crypto_self_signed(key, "a.example.test", 1000, 2000, &pem, &why), ERROR_OK));
    int fd = mkstemp(path);
    cr_assert(eq(long, (long)write(fd, pem.data, pem.size), (long)pem.size));
    close(fd);
    cr_expect(eq(int, crypto_chain_verify(bytes_slice(&pem), files, 1, &why), ERROR_OK), "%s",
              why.text);
    cr_expect(eq(int, crypto_chain_verify(bytes_slice(&pem), NULL, 0, &why), ERROR_INVALID));
    unlink(path);
    bytes_free(&pem);
    crypto_key_free(key);
}

Test(crypto_chain, what_cannot_be_loaded_is_refused)
{
    struct crypto_key *key = load_key();
    struct bytes leaf = load("leaf.pem"), many = {0}, chain = {0};
    for (int i = 0; i < 11; i++)
        append_file(&many, "leaf.pem");
    struct slice cut = slice_head(bytes_slice(&leaf), leaf.size / 2);

    struct crypto_key *stranger = must_make(CRYPTO_EC_P256);
    const struct {
        struct slice pem;
        const struct crypto_key *key;
        const char *reason;
    } cases[] = {
        {SLICE(""), key, "there is no certificate"},
        {SLICE("<html><body>503</body></html>"), key, "there is no certificate"},
        {cut, key, "cannot read a certificate"},
        {SLICE("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"), key, "cannot"},
        {bytes_slice(&leaf), stranger, "none of the 1 certificates belongs"},
        {bytes_slice(&many), key, "more than 10"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct error_text why = {0};
        struct crypto_certificate facts;
        cr_expect(
            ne(int, crypto_chain_tidy(cases[i].pem, cases[i].key, &chain, &facts, &why), ERROR_OK),
            "%zu", i);
        cr_expect(strstr(why.text, cases[i].reason) != NULL, "%s", why.text);
        cr_expect(eq(ulong, ERR_peek_error(), 0), "%zu", i);
    }
    /* Every prefix, in a block of its exact size: nothing may be read behind it. */
    for (size_t size = 0; size < leaf.size - 1; size += 7) {
        char *copy = malloc(size > 0 ? size : 1);
        memcpy(copy, leaf.data, size);
        cr_expect(
            ne(int, crypto_chain_tidy(slice_from(copy, size), key, &chain, NULL, NULL), ERROR_OK));
        free(copy);
    }
    bytes_free(&leaf);
    bytes_free(&many);
    bytes_free(&chain);
    crypto_key_free(key);
    crypto_key_free(stranger);
}

Test(crypto_certificate, a_placeholder_is_made)
{
    struct crypto_key *key = must_make(CRYPTO_EC_P256);
    struct bytes pem = {0}, der = {0};
    struct crypto_certificate facts;
    cr_assert(eq(int,
                 crypto_self_signed(key, "placeholder.invalid", 1700000000, 1800000000, &pem, NULL),
                 ERROR_OK));
    cr_assert(eq(int, crypto_certificate_read(bytes_slice(&pem), &facts, NULL), ERROR_OK));
    cr_expect(eq(i64, facts.not_before_s, 1700000000));
    cr_expect(eq(i64, facts.not_after_s, 1800000000));
    cr_expect(crypto_certificate_covers(&facts, "placeholder.invalid"));
    cr_expect(eq(str, facts.issuer, "placeholder.invalid"));
    cr_assert(eq(int, crypto_certificate_der(bytes_slice(&pem), &der, NULL), ERROR_OK));
    uint8_t digest[32];
    cr_assert(eq(int, crypto_sha256(bytes_slice(&der), digest), ERROR_OK));
    cr_expect(eq(int, memcmp(digest, facts.sha256, 32), 0));
    crypto_certificate_free(&facts);
    bytes_free(&pem);
    bytes_free(&der);
    crypto_key_free(key);
}
