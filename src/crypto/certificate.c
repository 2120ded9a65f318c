/* Certificates and requests for them: see crypto/crypto.h. */
#include "openssl.h"

#include "core/ip.h"
#include "core/memory.h"
#include "core/utf8.h"
#include "crypto/base64url.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    SERIAL_MAX_BYTES = 21, /* RFC 5280 4.1.2.2: 20 octets, and a sign octet */
    KEY_ID_MAX_BYTES = 32,
};

/* -- Certificate requests -- */

static bool is_name_byte(char c)
{
    return ascii_is_alphanumeric(c) || c == '-' || c == '.';
}

/* Configuration has checked the names; this is the last gate before a CA sees them. */
static bool is_dns_name(struct slice name)
{
    if (slice_starts_with(name, SLICE("*.")))
        name = slice_skip(name, 2);
    return name.size > 0 && name.size <= 253 && slice_consists_of(name, is_name_byte);
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

enum error crypto_csr(const struct crypto_key *key, const char *const *names, size_t name_count,
                      struct bytes *der, struct error_text *why)
{
    uint8_t *data = NULL;
    int size = 0;
    STACK_OF(X509_EXTENSION) *extensions = NULL;
    openssl_begin();
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
    return openssl_take_der(data, size, der, "cannot make the certificate request", why);
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
    BIO *bio = openssl_bio(pem);
    *count = 0;
    if (bio == NULL)
        return error_set(why, ERROR_TOO_BIG, "more than %d bytes of certificates",
                         OPENSSL_PEM_MAX_BYTES);
    for (;;) {
        X509 *certificate = PEM_read_bio_X509(bio, NULL, openssl_no_passphrase, NULL);
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
        error = openssl_fail(why, "cannot read a certificate");
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
        char *text = memory_copy_text(raw);
        ascii_lower_text(text);
        return text;
    }
    struct ip ip;
    char text[IP_TEXT_SIZE];
    if (type == GEN_IPADD && ip_from_bytes(raw, &ip))
        return memory_copy_text(slice_of(ip_print(&ip, text)));
    return NULL;
}

static void copy_names(X509 *certificate, struct crypto_certificate *facts)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    int count = all != NULL ? sk_GENERAL_NAME_num(all) : 0;
    facts->names = memory_new(((size_t)count + 1) * sizeof(*facts->names));
    for (int i = 0; i < count; i++) {
        char *text = name_text(sk_GENERAL_NAME_value(all, i));
        if (text != NULL)
            facts->names[facts->name_count++] = text;
    }
    GENERAL_NAMES_free(all);
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
    if (!crypto_key_classify(X509_get0_pubkey(leaf), &facts->key_type))
        facts->key_type = CRYPTO_OTHER;
    if (copy_time(X509_get0_notBefore(leaf), &facts->not_before_s) &&
        copy_time(X509_get0_notAfter(leaf), &facts->not_after_s) && copy_serial(leaf, facts) &&
        copy_ari_id(leaf, facts) && copy_fingerprints(leaf, facts)) {
        copy_names(leaf, facts);
        ERR_clear_error();
        return ERROR_OK;
    }
    crypto_certificate_free(facts);
    return openssl_fail(why, "cannot read the certificate");
}

/* What was read without memory may lack names, a key or an issuer, and is none. */
static enum error whole(enum error error, struct crypto_certificate *facts, struct error_text *why)
{
    if (!openssl_ran_out())
        return error;
    if (error == ERROR_OK && facts != NULL)
        crypto_certificate_free(facts);
    return error_set(why, ERROR_NO_MEMORY, "cannot read the certificate: out of memory");
}

enum error crypto_certificate_read(struct slice pem, struct crypto_certificate *certificate,
                                   struct error_text *why)
{
    X509 *all[CRYPTO_CHAIN_MAX_CERTIFICATES];
    size_t count;
    openssl_begin();
    enum error error = read_all(pem, all, &count, why);
    if (error == ERROR_OK) {
        error = read_facts(all, count, certificate, why);
        free_all(all, count);
    }
    return whole(error, certificate, why);
}

void crypto_certificate_free(struct crypto_certificate *certificate)
{
    memory_free_texts(certificate->names, certificate->name_count);
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
    return openssl_take_written(bio, written, chain, "cannot encode the certificate chain", why);
}

enum error crypto_chain_tidy(struct slice pem, const struct crypto_key *key, struct bytes *chain,
                             struct crypto_certificate *leaf, struct error_text *why)
{
    X509 *all[CRYPTO_CHAIN_MAX_CERTIFICATES];
    size_t count, used = 1;
    openssl_begin();
    enum error error = read_all(pem, all, &count, why);
    if (error != ERROR_OK)
        return whole(error, NULL, why);
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
    return whole(error, leaf, why);
}

/* NULL: there is no memory. Of the system's roots, which may lie in a folder, those are read that
 * are asked for. */
static X509_STORE *new_roots(const char *const *ca_files, size_t count)
{
    X509_STORE *roots = X509_STORE_new();
    if (roots == NULL)
        return NULL;
    X509_STORE_set_default_paths(roots);
    for (size_t i = 0; i < count; i++)
        if (ca_files[i] != NULL)
            X509_STORE_load_file(roots, ca_files[i]);
    ERR_clear_error();
    return roots;
}

static enum error verify(X509 *leaf, STACK_OF(X509) * chain, X509_STORE *roots,
                         struct error_text *why)
{
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    enum error error = ERROR_OK;
    if (context == NULL || X509_STORE_CTX_init(context, roots, leaf, chain) != 1 ||
        X509_STORE_CTX_set_default(context, "ssl_server") != 1) {
        error = openssl_fail(why, "cannot verify the certificate");
    } else {
        X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(context), X509_V_FLAG_NO_CHECK_TIME);
        if (X509_verify_cert(context) != 1)
            error = error_set(why, ERROR_INVALID, "%s",
                              X509_verify_cert_error_string(X509_STORE_CTX_get_error(context)));
    }
    X509_STORE_CTX_free(context);
    ERR_clear_error();
    return error;
}

enum error crypto_chain_verify(struct slice pem, const char *const *ca_files, size_t ca_file_count,
                               struct error_text *why)
{
    X509 *all[CRYPTO_CHAIN_MAX_CERTIFICATES];
    size_t count;
    openssl_begin();
    enum error error = read_all(pem, all, &count, why);
    if (error != ERROR_OK)
        return whole(error, NULL, why);
    X509_STORE *roots = new_roots(ca_files, ca_file_count);
    STACK_OF(X509) *chain = sk_X509_new_null();
    bool is_ready = roots != NULL && chain != NULL;
    for (size_t i = 1; i < count && is_ready; i++)
        is_ready = sk_X509_push(chain, all[i]) > 0;
    error = is_ready ? verify(all[0], chain, roots, why)
                     : openssl_fail(why, "cannot verify the certificate");
    sk_X509_free(chain);
    X509_STORE_free(roots);
    free_all(all, count);
    return whole(error, NULL, why);
}

enum error crypto_certificate_der(struct slice pem, struct bytes *der, struct error_text *why)
{
    X509 *first;
    uint8_t *data = NULL;
    openssl_begin();
    if (!read_first(pem, &first, why))
        return openssl_ran_out() ? ERROR_NO_MEMORY : ERROR_INVALID;
    int size = i2d_X509(first, &data);
    X509_free(first);
    return openssl_take_der(data, size, der, "cannot encode the certificate", why);
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
    openssl_begin();
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
        error = openssl_fail(why, "cannot make a self-signed certificate");
    GENERAL_NAMES_free(alternatives);
    X509_free(certificate);
    return error;
}
