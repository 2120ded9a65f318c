/* Places in a JSON text: see json/json.h.
 *
 * The library behind json.c drops positions once it has parsed, so they are found again by walking
 * the text. Only texts that it accepted are walked: this file finds the ends of tokens and leaves
 * all else unchecked, but it never reads beyond the text.
 */
#include "core/decimal.h"
#include "core/hex.h"
#include "json_scan.h"

static void step(struct slice text, struct json_position *at)
{
    uint8_t c = (uint8_t)text.data[at->offset++];
    if (c == '\n') {
        at->line++;
        at->column = 1;
    } else if ((c & 0xc0) != 0x80) { /* UTF-8 continuation bytes add no column */
        at->column++;
    }
}

static char peek(struct slice text, const struct json_position *at)
{
    return at->offset < text.size ? text.data[at->offset] : '\0';
}

struct json_position json_position_at(struct slice text, size_t offset)
{
    struct json_position at = {.line = 1, .column = 1};
    while (at.offset < size_min(offset, text.size))
        step(text, &at);
    return at;
}

void json_scan_space(struct slice text, struct json_position *at)
{
    for (char c = peek(text, at); c == ' ' || c == '\t' || c == '\r' || c == '\n';
         c = peek(text, at))
        step(text, at);
}

bool json_scan_string(struct slice text, struct json_position *at)
{
    if (peek(text, at) != '"')
        return false;
    step(text, at);
    while (at->offset < text.size) {
        char c = text.data[at->offset];
        step(text, at);
        if (c == '"')
            return true;
        if (c == '\\' && at->offset < text.size)
            step(text, at);
    }
    return false;
}

/* Numbers and true, false, null: up to what may follow a value. */
static bool scan_word(struct slice text, struct json_position *at)
{
    size_t start = at->offset;
    while (at->offset < text.size && !byte_is_one_of(text.data[at->offset], ",]} \t\r\n"))
        step(text, at);
    return at->offset > start;
}

bool json_scan_value(struct slice text, struct json_position *at)
{
    size_t depth = 0;
    do {
        char c = peek(text, at);
        if (c == '"') {
            if (!json_scan_string(text, at))
                return false;
        } else if (c == '{' || c == '[') {
            depth++;
            step(text, at);
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
            step(text, at);
        } else if (depth > 0 && byte_is_one_of(c, ",: \t\r\n")) {
            step(text, at);
        } else if (!scan_word(text, at)) {
            return false;
        }
    } while (depth > 0);
    return true;
}

bool json_scan_depth(struct slice text, struct json_position *where)
{
    struct json_position at = {.line = 1, .column = 1};
    size_t depth = 0;
    while (at.offset < text.size) {
        char c = text.data[at.offset];
        if (c == '"') {
            if (!json_scan_string(text, &at))
                return true; /* the parser will say so */
            continue;
        }
        if ((c == '{' || c == '[') && ++depth > JSON_MAX_DEPTH) {
            *where = at;
            where->size = 1;
            return false;
        }
        if ((c == '}' || c == ']') && depth > 0)
            depth--;
        step(text, &at);
    }
    return true;
}

size_t json_count_marks(struct slice text)
{
    size_t count = 0;
    bool is_in_string = false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (is_in_string && c == '\\')
            i++;
        else if (c == '"')
            is_in_string = !is_in_string;
        else if (!is_in_string)
            count += c == ',' || c == ':' || c == '[' || c == '{';
    }
    return count;
}

bool json_scan_string_ending_at(struct slice text, size_t end, struct json_position *where)
{
    struct json_position at = {.line = 1, .column = 1};
    while (at.offset < text.size && at.offset < end) {
        if (text.data[at.offset] != '"') {
            step(text, &at);
            continue;
        }
        *where = at;
        if (!json_scan_string(text, &at))
            return false;
        where->size = at.offset - where->offset;
        if (at.offset == end)
            return true;
    }
    return false;
}

struct json_walk json_walk_start(struct slice text, const struct json_position *container)
{
    return (struct json_walk){.text = text, .next = *container};
}

/* Steps over '{' or '[' before the first member and over ',' before the others; false at the end.
 */
static bool enter_next(struct json_walk *walk)
{
    char c = peek(walk->text, &walk->next);
    if (!walk->started) {
        if (c != '{' && c != '[')
            return false;
        walk->started = true;
        walk->in_object = c == '{';
        step(walk->text, &walk->next);
        json_scan_space(walk->text, &walk->next);
        c = peek(walk->text, &walk->next);
        return c != '}' && c != ']';
    }
    json_scan_space(walk->text, &walk->next);
    if (peek(walk->text, &walk->next) != ',')
        return false;
    step(walk->text, &walk->next);
    json_scan_space(walk->text, &walk->next);
    return true;
}

bool json_walk_next(struct json_walk *walk)
{
    struct json_position *at = &walk->next;
    if (!enter_next(walk))
        return false;
    walk->key = *at;
    if (walk->in_object) {
        if (!json_scan_string(walk->text, at))
            return false;
        walk->key.size = at->offset - walk->key.offset;
        json_scan_space(walk->text, at);
        if (peek(walk->text, at) != ':')
            return false;
        step(walk->text, at);
        json_scan_space(walk->text, at);
    }
    walk->value = *at;
    if (!json_scan_value(walk->text, at))
        return false;
    walk->value.size = at->offset - walk->value.offset;
    if (!walk->in_object)
        walk->key = walk->value;
    return true;
}

static bool read_hex4(struct slice *raw, uint32_t *code)
{
    if (raw->size < 4)
        return false;
    *code = 0;
    for (size_t i = 0; i < 4; i++) {
        int digit = hex_digit(raw->data[i]);
        if (digit < 0)
            return false;
        *code = *code << 4 | (uint32_t)digit;
    }
    *raw = slice_skip(*raw, 4);
    return true;
}

static size_t put_utf8(uint32_t code, char bytes[static 4])
{
    if (code < 0x80) {
        bytes[0] = (char)code;
        return 1;
    }
    size_t size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint8_t LEAD[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = size - 1; i > 0; i--, code >>= 6)
        bytes[i] = (char)(0x80 | (code & 0x3f));
    bytes[0] = (char)(LEAD[size] | code);
    return size;
}

/* Takes one character, escaped or not, off the inside of a string token. Returns how many bytes of
 * UTF-8 it is, 0 for a broken escape. */
static size_t take_character(struct slice *raw, char bytes[static 4])
{
    static const char NAMES[] = "\"\\/bfnrt";
    static const char VALUES[] = "\"\\/\b\f\n\r\t";
    bytes[0] = raw->data[0];
    *raw = slice_skip(*raw, 1);
    if (bytes[0] != '\\' || raw->size == 0)
        return 1;
    char escape = raw->data[0];
    *raw = slice_skip(*raw, 1);
    const char *name = escape != '\0' ? strchr(NAMES, escape) : NULL;
    if (name != NULL) {
        bytes[0] = VALUES[name - NAMES];
        return 1;
    }
    uint32_t code, low;
    if (escape != 'u' || !read_hex4(raw, &code))
        return 0;
    if (code >= 0xd800 && code < 0xdc00) {
        if (!slice_starts_with(*raw, SLICE("\\u")))
            return 0;
        *raw = slice_skip(*raw, 2);
        if (!read_hex4(raw, &low) || low < 0xdc00 || low > 0xdfff)
            return 0;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    return put_utf8(code, bytes);
}

/* Takes one byte off a pointer's reference token, with ~0 and ~1 undone. */
static char take_pointer_byte(struct slice *token)
{
    char c = token->data[0];
    *token = slice_skip(*token, 1);
    if (c != '~' || token->size == 0)
        return c;
    c = token->data[0] == '1' ? '/' : '~';
    *token = slice_skip(*token, 1);
    return c;
}

static bool key_is(struct slice text, const struct json_position *key, struct slice token)
{
    struct slice raw = {text.data + key->offset + 1, key->size - 2};
    while (raw.size > 0) {
        char bytes[4];
        size_t count = take_character(&raw, bytes);
        if (count == 0)
            return false;
        for (size_t i = 0; i < count; i++)
            if (token.size == 0 || take_pointer_byte(&token) != bytes[i])
                return false;
    }
    return token.size == 0;
}

/* Steps `walk` to the member or element that one reference token names. */
static bool walk_to(struct json_walk *walk, struct slice token)
{
    uint64_t wanted, index = 0;
    bool is_index = decimal_parse(token, 9, &wanted);
    while (json_walk_next(walk)) {
        if (walk->in_object ? key_is(walk->text, &walk->key, token) : is_index && index == wanted)
            return true;
        index++;
    }
    return false;
}

bool json_locate(struct slice text, struct slice pointer, enum json_part part,
                 struct json_position *position)
{
    struct json_position key, value = {.line = 1, .column = 1};
    json_scan_space(text, &value);
    struct json_position end = value;
    if (pointer.size == 0 && !json_scan_value(text, &end))
        return false;
    value.size = end.offset - value.offset;
    key = value;
    while (pointer.size > 0) {
        if (pointer.data[0] != '/')
            return false;
        struct slice rest = slice_skip(pointer, 1);
        struct slice token = slice_before(rest, '/');
        struct json_walk walk = json_walk_start(text, &value);
        if (!walk_to(&walk, token))
            return false;
        key = walk.key;
        value = walk.value;
        pointer = slice_skip(rest, token.size);
    }
    *position = part == JSON_PART_KEY ? key : value;
    return true;
}
