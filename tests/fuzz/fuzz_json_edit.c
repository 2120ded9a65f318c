/* Edits of any JSON text: what was meant changes, and no other byte does.
 *
 * The first byte chooses which member of which object; the rest is the text. */
#include "fuzz/fuzz.h"
#include "json/json_edit.h"

#include <stdlib.h>

enum { TEXT_MAX_BYTES = 65536 };

static struct json *parse(struct slice text)
{
    return json_parse(text, JSON_MAX_TEXT_BYTES, NULL, NULL);
}

/* What `after` has of `before` at both ends, without overlap, in bytes. */
static size_t kept(struct slice before, struct slice after)
{
    size_t head = 0;
    size_t tail = 0;
    size_t most = size_min(before.size, after.size);
    while (head < most && before.data[head] == after.data[head])
        head++;
    while (tail < most - head &&
           before.data[before.size - 1 - tail] == after.data[after.size - 1 - tail])
        tail++;
    return head + tail;
}

/* Sets what is there already: the value alone goes. */
static void check_replacement(struct slice text, struct slice pointer, struct slice key,
                              const struct json *value)
{
    char *path = json_edit_pointer(pointer, key);
    struct json_position place;
    FUZZ_REQUIRE(json_locate(text, slice_of(path), JSON_PART_VALUE, &place));
    char *changed = json_edit_set(text, pointer, key, value);
    FUZZ_REQUIRE(changed != NULL);
    FUZZ_REQUIRE(kept(text, slice_of(changed)) + place.size >= text.size);
    struct json *again = parse(slice_of(changed));
    FUZZ_REQUIRE(again != NULL);
    json_free(again);
    char *removed = json_edit_remove(text, pointer, key);
    FUZZ_REQUIRE(removed != NULL && strlen(removed) < text.size);
    again = parse(slice_of(removed));
    FUZZ_REQUIRE(again != NULL);
    json_free(again);
    free(removed);
    free(changed);
    free(path);
}

/* Adds what is not there and takes it away again. */
static void check_addition(struct slice text, struct slice pointer, struct slice key,
                           const struct json *value)
{
    char *changed = json_edit_set(text, pointer, key, value);
    FUZZ_REQUIRE(changed != NULL);
    FUZZ_REQUIRE(kept(text, slice_of(changed)) == text.size);
    struct json *again = parse(slice_of(changed));
    FUZZ_REQUIRE(again != NULL);
    json_free(again);
    char *back = json_edit_remove(slice_of(changed), pointer, key);
    FUZZ_REQUIRE(back != NULL && slice_equal(slice_of(back), text));
    free(back);
    free(changed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    unsigned choice = data[0];
    struct slice text = slice_from(data + 1, size - 1);
    struct json *root = json_parse(text, TEXT_MAX_BYTES, NULL, NULL);
    struct json *value = json_new_object();
    json_put_text(value, "v", SLICE("\n\"x"));
    char *pointer = calloc(1, 1);
    const struct json *object = root;
    /* Down into the first object, as often as chosen. */
    for (unsigned depth = choice % 4; depth > 0; depth--) {
        for (struct json_member m = {0}; json_next(object, &m);) {
            if (json_type_of(m.value) != JSON_TYPE_OBJECT)
                continue;
            char *longer = json_edit_pointer(slice_of(pointer), m.key);
            free(pointer);
            pointer = longer;
            object = m.value;
            break;
        }
    }
    if (json_type_of(object) == JSON_TYPE_OBJECT) {
        unsigned index = 0;
        for (struct json_member m = {0}; json_next(object, &m);)
            if (index++ == choice / 4 % 8)
                check_replacement(text, slice_of(pointer), m.key, value);
        if (json_get(object, "not there") == NULL)
            check_addition(text, slice_of(pointer), SLICE("not there"), value);
    } else {
        /* Of a text that is no JSON, nothing is promised but to come back. */
        char *changed = json_edit_set(text, slice_of(pointer), SLICE("k"), value);
        FUZZ_REQUIRE(changed == NULL || root == NULL);
        free(changed);
    }
    free(pointer);
    json_free(value);
    json_free(root);
    return 0;
}
