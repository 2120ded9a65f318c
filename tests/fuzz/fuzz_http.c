/* The head of an HTTP request on hostile bytes: where it ends does not depend on how it comes, and
 * what is taken has nothing in it that another reader could take for more than one request. */
#include "fuzz/fuzz.h"
#include "http/http_head.h"

static bool is_plain(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] == '\r' || text.data[i] == '\n' || text.data[i] == '\0')
            return false;
    return true;
}

static void check_head(const struct http_head *head)
{
    unsigned lengths = 0;
    FUZZ_REQUIRE(head->method.size > 0 && head->path.size > 0 && head->path.data[0] == '/');
    FUZZ_REQUIRE(is_plain(head->method) && is_plain(head->path) && is_plain(head->query));
    FUZZ_REQUIRE(head->field_count <= HTTP_FIELDS_MAX);
    for (size_t i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];
        FUZZ_REQUIRE(field->name.size > 0 && is_plain(field->name) && is_plain(field->value));
        FUZZ_REQUIRE(memchr(field->name.data, ' ', field->name.size) == NULL);
        FUZZ_REQUIRE(!slice_equal_nocase(field->name, SLICE("Transfer-Encoding")));
        lengths += slice_equal_nocase(field->name, SLICE("Content-Length"));
        FUZZ_REQUIRE(http_head_field(head, field->name).size <= HTTP_HEAD_MAX_BYTES);
    }
    FUZZ_REQUIRE(lengths <= 1 && (lengths == 1 || head->body_bytes == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_head head;
    struct slice bytes = slice_from(data, size);
    if (size > HTTP_HEAD_MAX_BYTES)
        return 0;
    size_t whole = http_head_size(bytes, 0);
    for (size_t seen = 0, found = 0; seen <= size && found == 0; seen++) {
        found = http_head_size(slice_head(bytes, seen), seen > 0 ? seen - 1 : 0);
        FUZZ_REQUIRE(found == 0 || found == whole);
        FUZZ_REQUIRE(seen < size || found == whole);
    }
    /* Whether or not it is whole: the parser takes any bytes. */
    unsigned status = http_head_parse(whole > 0 ? slice_head(bytes, whole) : bytes, &head);
    FUZZ_REQUIRE(status == 0 || status == 400 || status == 411 || status == 417 || status == 431 ||
                 status == 505);
    if (status == 0)
        check_head(&head);
    return 0;
}
