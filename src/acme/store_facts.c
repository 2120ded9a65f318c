/* What is known of a certificate in service without reading it again.
 *
 * Decoding a key and a certificate takes most of a millisecond, which at a start with 100,000 of
 * them is more than a minute. So what was found is kept beside, with the stamp of the file: its
 * inode, size, and both times to the nanosecond.
 */
#include "store_facts.h"

#include "core/hex.h"
#include "json/json.h"

#include <stdio.h>
#include <stdlib.h>

enum { NAMES_MAX = 1000, STAMP_TEXT_SIZE = 128 };

static void print_stamp(const struct file_stamp *file, char text[static STAMP_TEXT_SIZE])
{
    snprintf(text, STAMP_TEXT_SIZE, "%llu-%lld-%lld.%09ld-%lld.%09ld",
             (unsigned long long)file->inode, (long long)file->size,
             (long long)file->modified.tv_sec, file->modified.tv_nsec,
             (long long)file->changed.tv_sec, file->changed.tv_nsec);
}

static void put_hex(struct json *saved, const char *member, const uint8_t *bytes, size_t size)
{
    char text[2 * CRYPTO_SHA256_BYTES + 1];
    hex_print(bytes, size, text);
    json_put_text(saved, member, slice_of(text));
}

struct json *store_facts_to_json(const struct crypto_certificate *certificate,
                                 const struct file_stamp *file)
{
    char stamp[STAMP_TEXT_SIZE];
    struct json *saved = json_new_object(), *names = json_new_array();
    print_stamp(file, stamp);
    json_put_text(saved, "file", slice_of(stamp));
    json_put_text(saved, "serial", slice_of(certificate->serial));
    json_put_text(saved, "issuer", slice_of(certificate->issuer));
    json_put_text(saved, "root", slice_of(certificate->root));
    json_put_text(saved, "ari_id", slice_of(certificate->ari_id));
    json_put_integer(saved, "not_before_s", certificate->not_before_s);
    json_put_integer(saved, "not_after_s", certificate->not_after_s);
    put_hex(saved, "sha1", certificate->sha1, sizeof(certificate->sha1));
    put_hex(saved, "sha256", certificate->sha256, sizeof(certificate->sha256));
    json_put_integer(saved, "key_type", (int64_t)certificate->key_type);
    json_put_integer(saved, "chain_count", (int64_t)certificate->chain_count);
    for (size_t i = 0; i < certificate->name_count; i++)
        json_append_text(names, slice_of(certificate->names[i]));
    json_put(saved, "names", names);
    return saved;
}

static bool get_text(const struct json *saved, const char *member, char *copy, size_t size)
{
    struct slice text;
    if (!json_read_text(json_get(saved, member), &text) || text.size >= size)
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    return true;
}

static bool get_hex(const struct json *saved, const char *member, uint8_t *bytes, size_t size)
{
    struct slice text;
    return json_read_text(json_get(saved, member), &text) && hex_read(text, bytes, size);
}

static bool get_names(const struct json *saved, struct crypto_certificate *certificate)
{
    const struct json *names = json_get(saved, "names");
    size_t count = json_count(names);
    if (json_type_of(names) != JSON_TYPE_ARRAY || count > NAMES_MAX)
        return false;
    certificate->names = calloc(count + 1, sizeof(*certificate->names));
    for (size_t i = 0; certificate->names != NULL && i < count; i++) {
        struct slice text;
        char *copy = NULL;
        if (json_read_text(json_at(names, i), &text))
            copy = strndup(text.data, text.size);
        if (copy == NULL)
            return false;
        certificate->names[certificate->name_count++] = copy;
    }
    return certificate->names != NULL;
}

static bool get_numbers(const struct json *saved, struct crypto_certificate *certificate)
{
    int64_t type = -1, count = 0;
    if (!json_read_integer(json_get(saved, "not_before_s"), &certificate->not_before_s) ||
        !json_read_integer(json_get(saved, "not_after_s"), &certificate->not_after_s) ||
        !json_read_integer(json_get(saved, "key_type"), &type) ||
        !json_read_integer(json_get(saved, "chain_count"), &count) || type < 0 ||
        type >= CRYPTO_KEY__MAX || count < 1)
        return false;
    certificate->key_type = (enum crypto_key_type)type;
    certificate->chain_count = (size_t)count;
    return true;
}

bool store_facts_from_json(const struct json *saved, const struct file_stamp *file,
                           struct crypto_certificate *certificate)
{
    char stamp[STAMP_TEXT_SIZE], told[STAMP_TEXT_SIZE];
    *certificate = (struct crypto_certificate){0};
    print_stamp(file, stamp);
    if (!get_text(saved, "file", told, sizeof(told)) || strcmp(told, stamp) != 0)
        return false;
    if (get_text(saved, "serial", certificate->serial, sizeof(certificate->serial)) &&
        get_text(saved, "issuer", certificate->issuer, sizeof(certificate->issuer)) &&
        get_text(saved, "root", certificate->root, sizeof(certificate->root)) &&
        get_text(saved, "ari_id", certificate->ari_id, sizeof(certificate->ari_id)) &&
        get_hex(saved, "sha1", certificate->sha1, sizeof(certificate->sha1)) &&
        get_hex(saved, "sha256", certificate->sha256, sizeof(certificate->sha256)) &&
        get_numbers(saved, certificate) && get_names(saved, certificate))
        return true;
    crypto_certificate_free(certificate);
    return false;
}
