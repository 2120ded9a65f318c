/* Each use of OpenSSL, with each of its allocations failing in turn: the outcome is as with memory,
 * or told to be for want of it, and nothing is left over. With failing_memory.c preloaded:
 *
 *     failing_crypto VECTORS TRIES
 *
 * VECTORS is tests/vectors/acme; of each use's allocations, which are printed, about TRIES fail.
 */
#include "core/memory.h"
#include "core/whole_file.h"
#include "crypto/client_certificate.h"
#include "crypto/crypto.h"
#include "crypto/public_key.h"
#include "json/json.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FILE_MAX_BYTES = 1 << 16 };

static struct {
    _Atomic int64_t first, count, seen, failed;
} * state;

static struct {
    char *key, *root, *chain, *expected;
    struct crypto_key *parsed;
    struct json *jwk;
    struct crypto_public_key *public_key;
    struct bytes der, signature;
    char thumbprint[CRYPTO_THUMBPRINT_LENGTH + 1];
} given;

static void fail(const char *what, const char *why)
{
    state->first = 0;
    fprintf(stderr, "failing_crypto: %s: %s\n", what, why);
    exit(1);
}

static void must(const char *what, enum error error)
{
    if (error != ERROR_OK)
        fail(what, error_name(error));
}

/* -- The uses: what is right with memory has to be right without ------------------------------- */

static enum error read_key(struct error_text *why)
{
    char text[CRYPTO_THUMBPRINT_LENGTH + 1];
    struct crypto_key *key;
    enum error error = crypto_key_from_pem(slice_of(given.key), &key, why);
    state->first = 0; /* what was read is whole */
    if (error == ERROR_OK && !crypto_key_equal(key, given.parsed))
        error = ERROR_INVALID;
    if (error == ERROR_OK)
        error = crypto_key_thumbprint(key, text, why);
    crypto_key_free(key);
    return error;
}

static enum error write_key(struct error_text *why)
{
    struct bytes pem = {0};
    enum error error = crypto_key_to_pem(given.parsed, &pem, why);
    bytes_free(&pem);
    return error;
}

static enum error make_key(struct error_text *why)
{
    struct crypto_key *key = crypto_key_new(CRYPTO_EC_P256, why);
    bool is_told = key != NULL || strstr(why->text, error_name(ERROR_NO_MEMORY)) != NULL;
    crypto_key_free(key);
    return is_told ? ERROR_OK : ERROR_INVALID;
}

static bool is_leaf(const struct crypto_certificate *leaf)
{
    return leaf->name_count == 3 && leaf->key_type == CRYPTO_EC_P256 && leaf->ari_id[0] != '\0' &&
           leaf->issuer[0] != '\0' && leaf->root[0] != '\0';
}

static enum error read_certificate(struct error_text *why)
{
    struct crypto_certificate leaf;
    enum error error = crypto_certificate_read(slice_of(given.chain), &leaf, why);
    if (error != ERROR_OK)
        return error;
    bool is_right = is_leaf(&leaf);
    crypto_certificate_free(&leaf);
    return is_right ? ERROR_OK : ERROR_INVALID;
}

static enum error tidy_chain(struct error_text *why)
{
    struct crypto_certificate leaf;
    struct bytes chain = {0};
    enum error error = crypto_chain_tidy(slice_of(given.chain), given.parsed, &chain, &leaf, why);
    if (error == ERROR_OK) {
        if (!slice_equal(bytes_slice(&chain), slice_of(given.expected)) || !is_leaf(&leaf))
            error = ERROR_INVALID;
        crypto_certificate_free(&leaf);
    }
    bytes_free(&chain);
    return error;
}

static enum error encode_certificate(struct error_text *why)
{
    struct bytes der = {0};
    enum error error = crypto_certificate_der(slice_of(given.chain), &der, why);
    if (error == ERROR_OK && !slice_equal(bytes_slice(&der), bytes_slice(&given.der)))
        error = ERROR_INVALID;
    bytes_free(&der);
    return error;
}

static enum error ask_for_certificate(struct error_text *why)
{
    static const char *const NAMES[] = {"a.test", "*.b.test", "192.0.2.1"};
    struct bytes der = {0};
    enum error error = crypto_csr(given.parsed, NAMES, COUNT_OF(NAMES), &der, why);
    bytes_free(&der);
    return error;
}

static enum error sign_certificate(struct error_text *why)
{
    struct bytes pem = {0};
    enum error error = crypto_self_signed(given.parsed, "a.test", 0, 86400, &pem, why);
    bytes_free(&pem);
    return error;
}

static enum error sign(struct error_text *why)
{
    struct bytes signature = {0};
    enum error error = crypto_sign(given.parsed, SLICE("text"), &signature, why);
    bytes_free(&signature);
    return error;
}

static enum error print_thumbprint(struct error_text *why)
{
    char text[CRYPTO_THUMBPRINT_LENGTH + 1];
    enum error error = crypto_key_thumbprint(given.parsed, text, why);
    return error == ERROR_OK && strcmp(text, given.thumbprint) != 0 ? ERROR_INVALID : error;
}

static enum error authenticate(struct error_text *why)
{
    uint8_t mac[CRYPTO_SHA256_BYTES];
    (void)why;
    return crypto_hmac_sha256(SLICE("secret"), SLICE("text"), mac);
}

static enum error read_client(struct error_text *why)
{
    struct crypto_client_certificate client;
    return crypto_client_certificate_read(bytes_slice(&given.der), &client, why);
}

/* Who has no memory says no, to a good signature and issuer as well, and never yes to others'. */
static enum error verify(struct error_text *why)
{
    struct crypto_public_key *key = crypto_public_key_from_jwk(given.jwk, why);
    struct slice signature = bytes_slice(&given.signature);
    bool is_fooled = (key != NULL && crypto_verify(key, CRYPTO_ES256, SLICE("other"), signature)) ||
                     crypto_verify(given.public_key, CRYPTO_ES256, SLICE("another"), signature);
    crypto_public_key_free(key);
    return is_fooled ? ERROR_INVALID : ERROR_OK;
}

static enum error look_for_issuer(struct error_text *why)
{
    struct slice der = bytes_slice(&given.der);
    bool may_be_known = crypto_client_certificate_is_from(der, slice_of(given.chain));
    (void)why;
    (void)may_be_known;
    return crypto_client_certificate_is_from(der, slice_of(given.root)) ? ERROR_INVALID : ERROR_OK;
}

/* -- The sweep --------------------------------------------------------------------------------- */

static const struct use {
    const char *name;
    enum error (*run)(struct error_text *why);
} USES[] = {
    {"reading a key", read_key},
    {"writing a key", write_key},
    {"making a key", make_key},
    {"reading a certificate", read_certificate},
    {"tidying a chain", tidy_chain},
    {"encoding a certificate", encode_certificate},
    {"a request for a certificate", ask_for_certificate},
    {"a certificate of one's own", sign_certificate},
    {"signing", sign},
    {"a thumbprint", print_thumbprint},
    {"HMAC", authenticate},
    {"a client's certificate", read_client},
    {"verifying", verify},
    {"a client's issuer", look_for_issuer},
};

static enum error run(const struct use *use, int64_t first, int64_t count)
{
    struct error_text why = {0};
    state->count = count;
    state->seen = 0;
    state->first = first;
    enum error error = use->run(&why);
    state->first = 0;
    return error;
}

static void sweep(const struct use *use, int64_t tries)
{
    must(use->name, run(use, INT64_MAX, 1));
    must(use->name, run(use, INT64_MAX, 1)); /* what is kept from the first time is there */
    int64_t total = state->seen;
    printf("%s: %lld\n", use->name, (long long)total);
    for (int64_t first = 1; first <= total; first += 1 + total / tries)
        for (int64_t count = 1; count <= 1 << 20; count <<= 20) {
            enum error error = run(use, first, count);
            if (error != ERROR_OK && error != ERROR_NO_MEMORY)
                fprintf(stderr, "failing_crypto: at %lld, %lld fail: ", (long long)first,
                        (long long)count);
            if (error != ERROR_OK && error != ERROR_NO_MEMORY)
                fail(use->name, error_name(error));
        }
    must(use->name, run(use, INT64_MAX, 1));
}

/* -- What is given ----------------------------------------------------------------------------- */

static char *load(const char *folder, const char *name)
{
    char *text = NULL;
    size_t size;
    char *path = memory_format("%s/%s", folder, name);
    must(path, whole_file_read(path, FILE_MAX_BYTES, &text, &size, NULL));
    free(path);
    return text;
}

static void prepare(const char *folder)
{
    char *leaf = load(folder, "leaf.pem"), *issuer = load(folder, "intermediate.pem");
    given.key = load(folder, "leaf.key");
    given.root = load(folder, "root.pem");
    given.chain = memory_format("%s%s%s", leaf, given.root, issuer);
    given.expected = memory_format("%s%s", leaf, issuer);
    free(leaf);
    free(issuer);
    must("key", crypto_key_from_pem(slice_of(given.key), &given.parsed, NULL));
    given.jwk = crypto_key_jwk(given.parsed, NULL);
    given.public_key = crypto_public_key_from_jwk(given.jwk, NULL);
    must("thumbprint", crypto_key_thumbprint(given.parsed, given.thumbprint, NULL));
    must("DER", crypto_certificate_der(slice_of(given.chain), &given.der, NULL));
    must("signature", crypto_sign(given.parsed, SLICE("text"), &given.signature, NULL));
}

static void clean_up(void)
{
    free(given.key);
    free(given.root);
    free(given.chain);
    free(given.expected);
    crypto_key_free(given.parsed);
    json_free(given.jwk);
    crypto_public_key_free(given.public_key);
    bytes_free(&given.der);
    bytes_free(&given.signature);
}

int main(int count, char **words)
{
    const char *path = getenv("FAILING_MEMORY");
    int fd = path != NULL && count == 3 ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *mapped = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        return 2;
    state = mapped;
    prepare(words[1]);
    for (size_t i = 0; i < COUNT_OF(USES); i++)
        sweep(&USES[i], strtoll(words[2], NULL, 10));
    clean_up();
    return 0;
}
