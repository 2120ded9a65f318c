/* The Forwarded header: see forwarded.h. */
#include "forwarded.h"

/* RFC 9110 5.6.2 */
static bool is_token_byte(char c)
{
    return ascii_is_alphanumeric(c) || byte_is_one_of(c, "!#$%&'*+-.^_`|~");
}

/* RFC 7239 wants quotes around a value with a port or an IPv6 address; senders forget them, and
 * nothing else can be meant. */
static bool is_value_byte(char c)
{
    return is_token_byte(c) || c == ':' || c == '[' || c == ']';
}

static struct slice take_while(struct slice *text, bool (*is_wanted)(char))
{
    size_t size = 0;
    while (size < text->size && is_wanted(text->data[size]))
        size++;
    struct slice taken = slice_head(*text, size);
    *text = slice_skip(*text, size);
    return taken;
}

/* Takes a quoted string with its quotes; empty when it has no end. */
static struct slice take_quoted(struct slice *text)
{
    for (size_t i = 1; i < text->size; i++) {
        if (text->data[i] == '\\') {
            i++;
        } else if (text->data[i] == '"') {
            struct slice quoted = slice_head(*text, i + 1);
            *text = slice_skip(*text, i + 1);
            return quoted;
        }
    }
    return (struct slice){0};
}

static struct slice trim_start(struct slice text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = slice_skip(text, 1);
    return text;
}

/* Takes name=value into the element. A parameter may occur once (RFC 7239 section 4). */
static bool take_pair(struct slice *line, struct forwarded_element *element)
{
    struct slice name = take_while(line, is_token_byte);
    if (name.size == 0 || line->size < 2 || line->data[0] != '=')
        return false;
    *line = slice_skip(*line, 1);
    struct slice value = line->data[0] == '"' ? take_quoted(line) : take_while(line, is_value_byte);
    if (value.size == 0)
        return false;

    struct slice *kept = NULL;
    if (slice_equal_nocase(name, SLICE("for")))
        kept = &element->node;
    else if (slice_equal_nocase(name, SLICE("proto")))
        kept = &element->proto;
    if (kept == NULL)
        return true;
    if (kept->size > 0)
        return false;
    *kept = value;
    return true;
}

/* RFC 7239 allows no white space around ";", but senders write it. */
bool forwarded_take(struct slice *line, struct forwarded_element *element, bool *more)
{
    *more = false;
    *element = (struct forwarded_element){0};
    *line = trim_start(*line);
    for (;;) {
        bool ends = line->size == 0 || line->data[0] == ',' || line->data[0] == ';';
        if (!ends && !take_pair(line, element))
            return false;
        *line = trim_start(*line);
        if (line->size == 0)
            return true;
        char separator = line->data[0];
        if (separator != ',' && separator != ';')
            return false;
        *line = trim_start(slice_skip(*line, 1));
        if (separator == ',') {
            *more = true;
            return true;
        }
    }
}

struct slice forwarded_unquote(struct slice value, char *text, size_t size)
{
    if (value.size == 0 || value.data[0] != '"')
        return value;
    size_t used = 0;
    for (size_t i = 1; i + 1 < value.size; i++) {
        if (value.data[i] == '\\')
            i++;
        if (used == size)
            return (struct slice){0};
        text[used++] = value.data[i];
    }
    return slice_from(text, used);
}
