/* The head of an HTTP/1.1 request: see http/http_head.h. */
#include "http/http_head.h"

#include "core/decimal.h"

enum { LENGTH_MAX_DIGITS = 18 };

static const struct slice LINE_END = {"\r\n", 2};

/* RFC 9110 section 5.6.2. */
static bool is_token_byte(char c)
{
    return ascii_is_alphanumeric(c) || byte_is_one_of(c, "!#$%&'*+-.^_`|~");
}

static bool is_token(struct slice text)
{
    return text.size > 0 && slice_consists_of(text, is_token_byte);
}

bool http_is_field_value(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* A target has no blank, no control character and nothing above ASCII in it. */
static bool is_target(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c <= ' ' || c >= 0x7f)
            return false;
    }
    return text.size > 0;
}

/* What is before the separator, which is taken off `*text` too; all of it without one. */
static struct slice cut(struct slice *text, struct slice separator, bool *found)
{
    const char *place =
        text->size > 0 ? memmem(text->data, text->size, separator.data, separator.size) : NULL;
    *found = place != NULL;
    struct slice before = place != NULL ? slice_head(*text, (size_t)(place - text->data)) : *text;
    *text = slice_skip(*text, before.size + (place != NULL ? separator.size : 0));
    return before;
}

/* -- The first line --------------------------------------------------------------------------- */

/* "/path?query", or "http://host/path?query", which a server has to take (RFC 9112 section 3.2.2)
 * and whose host nobody here looks at. */
static bool take_target(struct slice target, struct http_head *head)
{
    bool found;
    if (!is_target(target))
        return false;
    if (target.size > 7 && slice_equal_nocase(slice_head(target, 7), SLICE("http://"))) {
        target = slice_skip(target, 7);
        target = slice_skip(target, slice_before(target, '/').size);
        if (target.size == 0)
            target = SLICE("/");
    }
    if (target.data[0] != '/')
        return false;
    head->path = cut(&target, SLICE("?"), &found);
    head->query = target;
    return true;
}

static unsigned take_request_line(struct slice line, struct http_head *head, bool *is_1_0)
{
    bool first, second;
    head->method = cut(&line, SLICE(" "), &first);
    struct slice target = cut(&line, SLICE(" "), &second);
    if (!first || !second || !is_token(head->method) || !take_target(target, head))
        return 400;
    *is_1_0 = slice_equal(line, SLICE("HTTP/1.0"));
    if (*is_1_0 || slice_equal(line, SLICE("HTTP/1.1")))
        return 0;
    return slice_starts_with(line, SLICE("HTTP/")) ? 505 : 400;
}

/* -- Fields ----------------------------------------------------------------------------------- */

static unsigned take_field(struct slice line, struct http_head *head)
{
    bool found;
    struct slice name = cut(&line, SLICE(":"), &found);
    if (!found || !is_token(name) || !http_is_field_value(line))
        return 400;
    if (head->field_count == HTTP_FIELDS_MAX)
        return 431;
    head->fields[head->field_count++] = (struct http_field){name, slice_trim(line)};
    return 0;
}

/* How often the field is there; `*value` is the first one's. */
static size_t count_field(const struct http_head *head, struct slice name, struct slice *value)
{
    size_t count = 0;
    for (size_t i = 0; i < head->field_count; i++) {
        if (!slice_equal_nocase(head->fields[i].name, name))
            continue;
        if (count++ == 0)
            *value = head->fields[i].value;
    }
    return count;
}

struct slice http_head_field(const struct http_head *head, struct slice name)
{
    struct slice value = {0};
    count_field(head, name, &value);
    return value;
}

/* Whether a field that is a list, on one line or on several, has the word in it. */
static bool lists(const struct http_head *head, struct slice name, struct slice word)
{
    for (size_t i = 0; i < head->field_count; i++) {
        struct slice rest = head->fields[i].value;
        bool more = slice_equal_nocase(head->fields[i].name, name);
        while (more)
            if (slice_equal_nocase(slice_trim(cut(&rest, SLICE(","), &more)), word))
                return true;
    }
    return false;
}

/* What the fields say about the message itself. */
static unsigned take_framing(struct http_head *head, bool is_1_0)
{
    struct slice value = {0};
    if (count_field(head, SLICE("Transfer-Encoding"), &value) > 0)
        return 411;
    size_t lengths = count_field(head, SLICE("Content-Length"), &value);
    if (lengths > 1 ||
        (lengths == 1 && !decimal_parse(value, LENGTH_MAX_DIGITS, &head->body_bytes)))
        return 400;
    size_t hosts = count_field(head, SLICE("Host"), &value);
    if (hosts > 1 || (hosts == 0 && !is_1_0))
        return 400;
    head->keep_alive = !is_1_0 && !lists(head, SLICE("Connection"), SLICE("close"));
    if (is_1_0 || count_field(head, SLICE("Expect"), &value) == 0)
        return 0;
    head->wants_go_on = slice_equal_nocase(value, SLICE("100-continue"));
    return head->wants_go_on ? 0 : 417;
}

/* -- The whole -------------------------------------------------------------------------------- */

size_t http_head_size(struct slice bytes, size_t seen)
{
    static const struct slice END = {"\r\n\r\n", 4};
    size_t from = seen > END.size - 1 ? seen - (END.size - 1) : 0;
    if (from >= bytes.size)
        return 0;
    const char *end = memmem(bytes.data + from, bytes.size - from, END.data, END.size);
    return end != NULL ? (size_t)(end - bytes.data) + END.size : 0;
}

unsigned http_head_parse(struct slice bytes, struct http_head *head)
{
    bool is_1_0 = false, found;
    head->method = head->path = head->query = (struct slice){0};
    head->body_bytes = 0;
    head->keep_alive = head->wants_go_on = false;
    head->field_count = 0;

    unsigned refused = take_request_line(cut(&bytes, LINE_END, &found), head, &is_1_0);
    while (refused == 0) {
        struct slice line = cut(&bytes, LINE_END, &found);
        if (line.size == 0)
            break;
        refused = take_field(line, head);
    }
    return refused != 0 ? refused : take_framing(head, is_1_0);
}
