/* http/http_head: what is taken, and what is refused with which status. */
#include "http/http_head.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

#define H "Host: x\r\n"
#define CHECK(IS, WANTED) \
    cr_expect(slice_equal(IS, SLICE(WANTED)), "\"%.*s\", not \"" WANTED "\"", SLICE_PRINT(IS))

static unsigned parse(const char *text, struct http_head *head)
{
    struct slice bytes = slice_of(text);
    cr_assert(http_head_size(bytes, 0) == bytes.size, "%s", text);
    return http_head_parse(bytes, head);
}

Test(http_head, the_parts_of_a_request)
{
    struct http_head head;
    cr_assert(parse("POST /v1/a%20b?x=1&y=? HTTP/1.1\r\n" H "Content-Length: 42\r\n"
                    "If-Match:\t\"a b\" \r\nif-none-match:\r\n\r\n",
                    &head) == 0);
    CHECK(head.method, "POST");
    CHECK(head.path, "/v1/a%20b");
    CHECK(head.query, "x=1&y=?");
    CHECK(http_head_field(&head, SLICE("IF-MATCH")), "\"a b\"");
    CHECK(http_head_field(&head, SLICE("If-None-Match")), "");
    CHECK(http_head_field(&head, SLICE("If")), "");
    cr_assert(head.body_bytes == 42 && head.keep_alive && !head.wants_go_on);
}

Test(http_head, a_url_as_target)
{
    struct http_head head;
    cr_assert(parse("GET http://example.com:80/a?b HTTP/1.1\r\n" H "\r\n", &head) == 0);
    CHECK(head.path, "/a");
    CHECK(head.query, "b");
    cr_assert(parse("GET HTTP://example.com HTTP/1.1\r\n" H "\r\n", &head) == 0);
    CHECK(head.path, "/");
}

Test(http_head, whether_the_connection_stays)
{
    static const struct {
        const char *text;
        bool stays;
    } CASES[] = {
        {"GET / HTTP/1.1\r\n" H "\r\n", true},
        {"GET / HTTP/1.1\r\n" H "Connection: Close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\n" H "Connection: upgrade , close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\n" H "Connection: a\r\nConnection: close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\n" H "Connection: closed\r\n\r\n", true},
        {"GET / HTTP/1.0\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct http_head head;
        cr_expect(parse(CASES[i].text, &head) == 0, "%s", CASES[i].text);
        cr_expect(head.keep_alive == CASES[i].stays, "%s", CASES[i].text);
    }
}

Test(http_head, going_on_is_asked_for)
{
    struct http_head head;
    cr_assert(parse("PUT / HTTP/1.1\r\n" H "Expect: 100-Continue\r\n\r\n", &head) == 0);
    cr_assert(head.wants_go_on);
    cr_assert(parse("PUT / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", &head) == 0);
    cr_assert(head.wants_go_on == false);
}

Test(http_head, what_is_refused)
{
    static const struct {
        unsigned status;
        const char *text;
    } CASES[] = {
        {400, "GET /\r\n\r\n"},
        {400, "GET  / HTTP/1.1\r\n" H "\r\n"},
        {400, " GET / HTTP/1.1\r\n" H "\r\n"},
        {400, "G\tT / HTTP/1.1\r\n" H "\r\n"},
        {400, "GET a HTTP/1.1\r\n" H "\r\n"},
        {400, "OPTIONS * HTTP/1.1\r\n" H "\r\n"},
        {400, "CONNECT x:1 HTTP/1.1\r\n" H "\r\n"},
        {400, "GET https://x/ HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /\x7f HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /\n HTTP/1.1\r\n" H "\r\n"},
        {400, "GET / http/1.1\r\n" H "\r\n"},
        {505, "GET / HTTP/1.1 \r\n" H "\r\n"},
        {505, "GET / HTTP/1.2\r\n" H "\r\n"},
        {505, "GET / HTTP/2.0\r\n" H "\r\n"},
        {400, "GET / HTTP/1.1\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H H "\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "no colon\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "a : b\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "a: b\r\n c\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H ": b\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "a: b\rc\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "a: b\nc: d\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "a: b\x7f\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "Content-Length: +1\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "Content-Length: 1, 1\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 1\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "Content-Length: 18446744073709551617\r\n\r\n"},
        {411, "GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"},
        {411, "GET / HTTP/1.1\r\n" H "Content-Length: 1\r\nTransfer-Encoding: identity\r\n\r\n"},
        {417, "GET / HTTP/1.1\r\n" H "Expect: a miracle\r\n\r\n"},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct http_head head;
        unsigned status = parse(CASES[i].text, &head);
        cr_expect(status == CASES[i].status, "%u for %s", status, CASES[i].text);
    }
}

Test(http_head, as_many_fields_as_there_is_room_for)
{
    char text[8192] = "GET / HTTP/1.1\r\n" H;
    struct http_head head;
    for (int i = 1; i < HTTP_FIELDS_MAX; i++)
        strcat(text, "a: b\r\n");
    size_t size = strlen(text);
    strcpy(text + size, "\r\n");
    cr_assert(parse(text, &head) == 0 && head.field_count == HTTP_FIELDS_MAX);
    strcpy(text + size, "a: b\r\n\r\n");
    cr_assert(parse(text, &head) == 431);
}

Test(http_head, the_end_is_found_wherever_the_bytes_are_cut)
{
    static const char TEXT[] = "GET / HTTP/1.1\r\n" H "\r\nGET /next HTTP/1.1\r\n" H "\r\n";
    const size_t whole = strlen("GET / HTTP/1.1\r\n" H "\r\n");
    for (size_t seen = 0; seen < whole; seen++) {
        cr_expect(http_head_size(slice_from(TEXT, seen), 0) == 0);
        cr_expect(http_head_size(slice_from(TEXT, whole), seen) == whole, "after %zu", seen);
        cr_expect(http_head_size(slice_of(TEXT), seen) == whole, "after %zu", seen);
    }
    cr_expect(http_head_size((struct slice){0}, 0) == 0);
}
