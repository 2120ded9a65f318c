/* Client certificates: see crypto/client_certificate.h. */
#include "crypto/client_certificate.h"

#include "core/memory.h"
#include "openssl.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>

static X509 *parse(struct slice der)
{
    const uint8_t *position = (const uint8_t *)der.data;
    if (der.size == 0 || der.size > INT32_MAX)
        return NULL;
    X509 *certificate = d2i_X509(NULL, &position, (long)der.size);
    if (certificate != NULL && position == (const uint8_t *)der.data + der.size)
        return certificate;
    X509_free(certificate);
    return NULL;
}

/* Appends to a text; false when it does not fit or holds what no header may. */
static bool append(char text[static CRYPTO_FIELD_MAX_BYTES + 1], const uint8_t *more, size_t size)
{
    size_t used = strlen(text);
    if (size == 0 || size > CRYPTO_FIELD_MAX_BYTES - used)
        return false;
    for (size_t i = 0; i < size; i++)
        if (more[i] < 0x20 || more[i] == 0x7f)
            return false;
    memcpy(text + used, more, size);
    text[used + size] = '\0';
    return true;
}

static bool append_entry(char *text, const X509_NAME *name, int index)
{
    uint8_t *utf8 = NULL;
    int size =
        ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index)));
    bool is_good = size > 0 && append(text, utf8, (size_t)size);
    OPENSSL_free(utf8);
    return is_good;
}

/* The one entry of this kind. */
static void copy_only(const X509_NAME *name, int nid, char *text)
{
    int index = X509_NAME_get_index_by_NID(name, nid, -1);
    bool is_only = index >= 0 && X509_NAME_get_index_by_NID(name, nid, index) < 0;
    if (!is_only || !append_entry(text, name, index))
        text[0] = '\0';
}

/* A comma within one would make two of it. */
static void copy_all(const X509_NAME *name, int nid, char *text)
{
    for (int index = -1; (index = X509_NAME_get_index_by_NID(name, nid, index)) >= 0;) {
        size_t used = strlen(text);
        bool is_good = (used == 0 || append(text, (const uint8_t *)",", 1)) &&
                       append_entry(text, name, index) &&
                       strchr(text + used + (used > 0), ',') == NULL;
        if (is_good)
            continue;
        text[0] = '\0';
        return;
    }
}

static void copy_san_email(const X509 *certificate, char *text)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    int count = names != NULL ? sk_GENERAL_NAME_num(names) : 0;
    bool is_good = true;
    for (int i = 0; i < count; i++) {
        int type;
        const ASN1_STRING *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
        if (type == GEN_EMAIL)
            is_good = is_good && text[0] == '\0' &&
                      append(text, ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
    }
    if (!is_good)
        text[0] = '\0';
    GENERAL_NAMES_free(names);
}

static void note_unfit(const X509_NAME *subject, struct crypto_client_certificate *certificate)
{
    static const int PARTS[CRYPTO_FIELD__MAX] = {
        [CRYPTO_FIELD_SUBJECT_EMAIL] = NID_pkcs9_emailAddress,
        [CRYPTO_FIELD_SUBJECT_CN] = NID_commonName,
        [CRYPTO_FIELD_SUBJECT_OU] = NID_organizationalUnitName,
    };
    for (size_t i = 0; i < CRYPTO_FIELD__MAX; i++)
        certificate->is_unfit[i] = PARTS[i] != NID_undef && certificate->text[i][0] == '\0' &&
                                   X509_NAME_get_index_by_NID(subject, PARTS[i], -1) >= 0;
}

enum error crypto_client_certificate_read(struct slice der,
                                          struct crypto_client_certificate *certificate,
                                          struct error_text *why)
{
    struct tm end;
    openssl_begin();
    X509 *parsed = parse(der);
    *certificate = (struct crypto_client_certificate){.not_after_s = 0};
    if (parsed == NULL || ASN1_TIME_to_tm(X509_get0_notAfter(parsed), &end) != 1) {
        X509_free(parsed);
        ERR_clear_error();
        return openssl_ran_out() ? error_set(why, ERROR_NO_MEMORY, "out of memory")
                                 : error_set(why, ERROR_INVALID, "not a certificate");
    }
    const X509_NAME *subject = X509_get_subject_name(parsed);
    certificate->not_after_s = timegm(&end);
    copy_san_email(parsed, certificate->text[CRYPTO_FIELD_SAN_EMAIL]);
    copy_only(subject, NID_pkcs9_emailAddress, certificate->text[CRYPTO_FIELD_SUBJECT_EMAIL]);
    copy_only(subject, NID_commonName, certificate->text[CRYPTO_FIELD_SUBJECT_CN]);
    copy_all(subject, NID_organizationalUnitName, certificate->text[CRYPTO_FIELD_SUBJECT_OU]);
    note_unfit(subject, certificate);
    X509_free(parsed);
    ERR_clear_error();
    /* Another of its names could be taken in place of one that was not read. */
    return openssl_ran_out() ? error_set(why, ERROR_NO_MEMORY, "out of memory") : ERROR_OK;
}

static bool is_from(X509 *certificate, X509 *authority)
{
    return X509_check_ca(authority) > 0 && X509_check_issued(authority, certificate) == X509_V_OK &&
           X509_verify(certificate, X509_get0_pubkey(authority)) == 1;
}

bool crypto_client_certificate_is_from(struct slice der, struct slice pem)
{
    bool found = false;
    openssl_begin();
    X509 *certificate = parse(der);
    BIO *bio = pem.size > 0 ? BIO_new_mem_buf(pem.data, (int)pem.size) : NULL;
    while (certificate != NULL && bio != NULL && !found) {
        X509 *authority = PEM_read_bio_X509(bio, NULL, openssl_no_passphrase, NULL);
        if (authority == NULL)
            break;
        found = is_from(certificate, authority);
        X509_free(authority);
    }
    BIO_free(bio);
    X509_free(certificate);
    ERR_clear_error();
    return found;
}

enum error crypto_client_certificate_check_authorities(struct slice pem, struct error_text *why)
{
    size_t count = 0;
    openssl_begin();
    BIO *bio = pem.size > 0 ? BIO_new_mem_buf(pem.data, (int)pem.size) : NULL;
    X509 *authority;
    while (bio != NULL &&
           (authority = PEM_read_bio_X509(bio, NULL, openssl_no_passphrase, NULL)) != NULL) {
        X509_free(authority);
        count++;
    }
    BIO_free(bio);
    enum error error = ERROR_OK;
    char *what = memory_format("certificate %zu in it cannot be read", count + 1);
    if (openssl_ran_out() ||
        (pem.size > 0 && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE))
        error = openssl_fail(why, what);
    else if (count == 0)
        error = error_set(why, ERROR_INVALID, "it holds no certificates in PEM");
    free(what);
    ERR_clear_error();
    return error;
}
