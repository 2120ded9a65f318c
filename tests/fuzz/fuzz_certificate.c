/* Keys and certificates that a CA, or another client, has left.
 *
 * The input is DER, parted by lines of "%%": a key, and certificates, which the target writes as
 * PEM; so that a change of a byte is one in what OpenSSL decodes. The same bytes are PEM and
 * base64url as they are. What is read can be shown to people and told to HAProxy, and a chain that
 * was made fit is fit.
 */
#include "crypto/base64url.h"
#include "crypto/client_certificate.h"
#include "crypto/crypto.h"
#include "fuzz/fuzz.h"
#include "hap/runtime.h"
#include "support/fuzz_input.h"

static struct slice PART_END = {"\n%%\n", 4};

/* ---- PEM ---- */

static void put_base64(struct slice der, struct bytes *pem)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char line[4];
    for (size_t i = 0; i < der.size; i += 3) {
        uint32_t bits = 0;
        if (i > 0 && i % 48 == 0)
            FUZZ_REQUIRE(bytes_append(pem, SLICE("\n"), SIZE_MAX));
        for (size_t j = 0; j < 3; j++)
            bits = bits << 8 | (i + j < der.size ? (uint8_t)der.data[i + j] : 0);
        for (size_t j = 0; j < 4; j++)
            line[j] = i + j <= der.size ? DIGITS[bits >> (18 - 6 * j) & 63] : '=';
        FUZZ_REQUIRE(bytes_append(pem, slice_from(line, 4), SIZE_MAX));
    }
}

static void put_pem(struct slice der, struct slice kind, struct bytes *pem)
{
    FUZZ_REQUIRE(bytes_append(pem, SLICE("-----BEGIN "), SIZE_MAX));
    FUZZ_REQUIRE(bytes_append(pem, kind, SIZE_MAX));
    FUZZ_REQUIRE(bytes_append(pem, SLICE("-----\n"), SIZE_MAX));
    put_base64(der, pem);
    FUZZ_REQUIRE(bytes_append(pem, SLICE("\n-----END "), SIZE_MAX));
    FUZZ_REQUIRE(bytes_append(pem, kind, SIZE_MAX));
    FUZZ_REQUIRE(bytes_append(pem, SLICE("-----\n"), SIZE_MAX));
}

/* ---- What is read ---- */

static void require_printable(const char *text)
{
    for (; *text != '\0'; text++)
        FUZZ_REQUIRE((uint8_t)*text >= ' ' && *text != 0x7f);
}

static void check_facts(const struct crypto_certificate *facts)
{
    FUZZ_REQUIRE(facts->chain_count >= 1 && facts->serial[0] != '\0');
    require_printable(facts->serial);
    require_printable(facts->issuer);
    require_printable(facts->root);
    require_printable(facts->ari_id);
    for (size_t i = 0; i < facts->name_count; i++) {
        const char *name = facts->names[i];
        require_printable(name);
        FUZZ_REQUIRE(name[0] != '\0' && strchr(name, ' ') == NULL);
        if (strchr(name, '*') == NULL)
            FUZZ_REQUIRE(crypto_certificate_covers(facts, name));
    }
}

static void check_certificate(struct slice pem)
{
    struct crypto_certificate facts;
    struct bytes der = {0};
    bool readable = crypto_certificate_read(pem, &facts, NULL) == ERROR_OK;
    if (readable) {
        check_facts(&facts);
        crypto_certificate_free(&facts);
    }
    bool has_der = crypto_certificate_der(pem, &der, NULL) == ERROR_OK;
    FUZZ_REQUIRE(has_der || !readable);
    bytes_free(&der);
}

static void check_client(struct slice der)
{
    struct crypto_client_certificate certificate;
    if (crypto_client_certificate_read(der, &certificate, NULL) != ERROR_OK)
        return;
    for (unsigned i = 0; i < CRYPTO_FIELD__MAX; i++)
        require_printable(certificate.text[i]);
}

/* Decoding one takes OpenSSL milliseconds, and most inputs have the key of the one before. */
static const struct crypto_key *key_of(struct slice pem)
{
    static struct bytes known;
    static struct crypto_key *key;
    if (known.data != NULL && slice_equal(bytes_slice(&known), pem))
        return key;
    crypto_key_free(key);
    if (crypto_key_from_pem(pem, &key, NULL) != ERROR_OK)
        key = NULL;
    FUZZ_REQUIRE(bytes_set(&known, pem));
    return key;
}

/* A chain for HAProxy, whose certificate is the key's. */
static void check_chain(struct slice key_pem, struct slice pem)
{
    struct crypto_certificate leaf;
    struct bytes chain = {0}, again = {0};
    const struct crypto_key *key = key_of(key_pem);
    if (key != NULL && crypto_chain_tidy(pem, key, &chain, &leaf, NULL) == ERROR_OK) {
        check_facts(&leaf);
        if (chain.size <= RUNTIME_PEM_MAX_BYTES)
            FUZZ_REQUIRE(runtime_payload_check(bytes_slice(&chain), NULL) == ERROR_OK);
        FUZZ_REQUIRE(crypto_chain_tidy(bytes_slice(&chain), key, &again, NULL, NULL) == ERROR_OK);
        FUZZ_REQUIRE(slice_equal(bytes_slice(&again), bytes_slice(&chain)));
        crypto_certificate_free(&leaf);
    }
    bytes_free(&again);
    bytes_free(&chain);
}

static void check_base64url(struct slice text)
{
    struct bytes raw = {0}, again = {0};
    if (base64url_decode(text, &raw)) {
        FUZZ_REQUIRE(base64url_append(&again, bytes_slice(&raw)));
        FUZZ_REQUIRE(slice_equal(bytes_slice(&again), text));
    }
    bytes_free(&raw);
    bytes_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_from(data, size), rest = input;
    struct bytes key = {0}, pem = {0};
    put_pem(input_take(&rest, PART_END), SLICE("PRIVATE KEY"), &key);
    while (rest.size > 0) {
        struct slice der = input_take(&rest, PART_END);
        check_client(der);
        put_pem(der, SLICE("CERTIFICATE"), &pem);
    }
    check_certificate(bytes_slice(&pem));
    check_chain(bytes_slice(&key), bytes_slice(&pem));
    if (slice_starts_with(input, SLICE("-----"))) {
        check_certificate(input);
        check_chain(input, input);
    }
    check_base64url(input);
    bytes_free(&pem);
    bytes_free(&key);
    return 0;
}
