/* JWK sets: see identity/jwk_set.h. */
#include "identity/jwk_set.h"

#include "core/memory.h"
#include "core/sorted.h"
#include "json/json.h"

#include <stdlib.h>

/* A member that is missing says nothing against a key (RFC 7517 4.2, 4.3). */
static bool is_for_signatures(const struct json *jwk)
{
    const struct json *use = json_get(jwk, "use");
    const struct json *operations = json_get(jwk, "key_ops");
    struct slice text;
    if (use != NULL && !(json_read_text(use, &text) && slice_equal(text, SLICE("sig"))))
        return false;
    if (operations == NULL)
        return true;
    for (size_t i = 0; i < json_count(operations); i++)
        if (json_read_text(json_at(operations, i), &text) && slice_equal(text, SLICE("verify")))
            return true;
    return false;
}

static bool read_algorithm(const struct json *jwk, int *algorithm)
{
    struct slice name;
    enum crypto_algorithm parsed;
    *algorithm = -1;
    if (json_get(jwk, "alg") == NULL)
        return true;
    if (!json_read_text(json_get(jwk, "alg"), &name) || !crypto_algorithm_parse(name, &parsed))
        return false;
    *algorithm = (int)parsed;
    return true;
}

static bool read_kid(const struct json *jwk, char **kid)
{
    struct slice text;
    *kid = NULL;
    if (json_get(jwk, "kid") == NULL)
        return true;
    if (!json_read_text(json_get(jwk, "kid"), &text) || text.size > JWK_KID_MAX_BYTES)
        return false;
    *kid = memory_copy_text(text);
    return true;
}

static bool read_key(const struct json *jwk, struct jwk *key, struct error_text *why)
{
    *key = (struct jwk){.algorithm = -1};
    if (!is_for_signatures(jwk) || !read_algorithm(jwk, &key->algorithm)) {
        error_set(why, ERROR_UNSUPPORTED, "a key is not for signatures that can be verified");
        return false;
    }
    key->key = crypto_public_key_from_jwk(jwk, why);
    if (key->key == NULL)
        return false;
    bool fits = key->algorithm < 0 ||
                crypto_public_key_fits(key->key, (enum crypto_algorithm)key->algorithm);
    if (fits && read_kid(jwk, &key->kid))
        return true;
    error_set(why, ERROR_INVALID, "a key's \"alg\" or \"kid\" does not fit it");
    crypto_public_key_free(key->key);
    return false;
}

static void free_set(struct jwk_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        free(set->keys[i].kid);
        crypto_public_key_free(set->keys[i].key);
    }
    free(set->keys);
    free(set);
}

struct jwk_set *jwk_set_parse(struct slice text, struct error_text *why)
{
    struct error_text reason = {"there are no \"keys\""};
    struct json *root = json_parse(text, JWK_SET_MAX_BYTES, NULL, why);
    if (root == NULL)
        return NULL;
    const struct json *keys = json_get(root, "keys");
    size_t count = json_type_of(keys) == JSON_TYPE_ARRAY ? json_count(keys) : 0;
    struct jwk_set *set = memory_new(sizeof(*set));
    set->references = 1;
    set->keys = memory_new(size_min(count, JWK_SET_MAX_KEYS) * sizeof(*set->keys));
    for (size_t i = 0; i < count; i++) {
        if (set->count < JWK_SET_MAX_KEYS &&
            read_key(json_at(keys, i), &set->keys[set->count], &reason))
            set->count++;
        else
            set->skipped++;
    }
    json_free(root);
    if (set->count > 0)
        return set;
    error_set(why, ERROR_INVALID, "no key that can verify signatures: %s", reason.text);
    free_set(set);
    return NULL;
}

static struct jwk_set *ref_set(struct jwk_set *set)
{
    if (set != NULL)
        set->references++;
    return set;
}

void jwk_set_unref(struct jwk_set *set)
{
    if (set == NULL)
        return;
    assert(set->references > 0);
    if (--set->references == 0)
        free_set(set);
}

static int compare_sources(const void *a, const void *b)
{
    return strcmp(((const struct jwk_source *)a)->name, ((const struct jwk_source *)b)->name);
}

struct jwk_table *jwk_table_new(const struct jwk_source *sources, size_t count, uint64_t generation)
{
    struct jwk_table *table = memory_new(sizeof(*table));
    assert(generation > 0);
    table->generation = generation;
    table->sources = memory_new(count * sizeof(*table->sources));
    table->count = count;
    for (size_t i = 0; i < count; i++)
        table->sources[i] = (struct jwk_source){.name = memory_copy_text(slice_of(sources[i].name)),
                                                .set = ref_set(sources[i].set)};
    if (count > 0)
        qsort(table->sources, count, sizeof(*table->sources), compare_sources);
    return table;
}

void jwk_table_free(struct jwk_table *table)
{
    if (table == NULL)
        return;
    for (size_t i = 0; i < table->count; i++) {
        free(table->sources[i].name);
        jwk_set_unref(table->sources[i].set);
    }
    free(table->sources);
    free(table);
}

static const char *name_at(const void *table, size_t index)
{
    return ((const struct jwk_table *)table)->sources[index].name;
}

struct jwk_source *jwk_table_find(struct jwk_table *table, const char *name)
{
    bool is_there;
    if (table == NULL)
        return NULL;
    size_t place = sorted_place(table, table->count, name_at, name, &is_there);
    return is_there ? &table->sources[place] : NULL;
}
