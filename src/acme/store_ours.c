/* Which certificates were put in service from here.
 *
 * A file below CERTS may be an admin's own, whatever its name is, and nobody but the admin may take
 * it away. So the fingerprints of what was put under a name are kept, the newest first: enough of
 * them that one which the history puts back is still known, and one that was kept from being
 * replaced by the end of the process.
 */
#include "store_ours.h"

#include "core/hex.h"
#include "json/json.h"

#include <string.h>

enum { FINGERPRINTS_MAX = 16, FINGERPRINT_SIZE = 2 * CRYPTO_SHA256_BYTES + 1 };

static void keep_issuer(const struct json *saved, struct slice fingerprint, struct json *issuers)
{
    char key[FINGERPRINT_SIZE];
    if (fingerprint.size >= sizeof(key))
        return;
    memcpy(key, fingerprint.data, fingerprint.size);
    key[fingerprint.size] = '\0';
    struct slice issuer = json_get_text(json_get(saved, "issuers"), key);
    if (issuer.size > 0)
        json_put_text(issuers, key, issuer);
}

struct json *store_ours_add(const struct json *saved, const struct crypto_certificate *certificate,
                            const char *issuer)
{
    char own[FINGERPRINT_SIZE];
    const struct json *before = json_get(saved, "sha256");
    struct json *object = json_new_object(), *list = json_new_array();
    struct json *issuers = json_new_object();
    hex_print(certificate->sha256, CRYPTO_SHA256_BYTES, own);
    json_append_text(list, slice_of(own));
    if (issuer != NULL)
        json_put_text(issuers, own, slice_of(issuer));
    for (size_t i = 0; i < json_count(before) && json_count(list) < FINGERPRINTS_MAX; i++) {
        struct slice text;
        if (!json_read_text(json_at(before, i), &text) || slice_equal(text, slice_of(own)))
            continue;
        json_append_text(list, text);
        keep_issuer(saved, text, issuers);
    }
    json_put(object, "sha256", list);
    json_put(object, "issuers", issuers);
    return object;
}

struct json *store_ours_none(void)
{
    struct json *object = json_new_object();
    json_put(object, "sha256", json_new_array());
    return object;
}

bool store_ours_has(const struct json *saved, const struct crypto_certificate *certificate)
{
    char own[FINGERPRINT_SIZE];
    const struct json *list = json_get(saved, "sha256");
    hex_print(certificate->sha256, CRYPTO_SHA256_BYTES, own);
    for (size_t i = 0; i < json_count(list); i++) {
        struct slice text;
        if (json_read_text(json_at(list, i), &text) && slice_equal(text, slice_of(own)))
            return true;
    }
    return false;
}

struct slice store_ours_issuer(const struct json *saved,
                               const struct crypto_certificate *certificate)
{
    char own[FINGERPRINT_SIZE];
    hex_print(certificate->sha256, CRYPTO_SHA256_BYTES, own);
    return json_get_text(json_get(saved, "issuers"), own);
}
