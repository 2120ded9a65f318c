/* Typed reading of nodes: see value.h. */
#include "value.h"

#include "core/decimal.h"
#include "core/file_path.h"
#include "core/memory.h"
#include "core/nearest.h"
#include "file.h"

#include <stdio.h>
#include <stdlib.h>

/* -- Objects -- */

static const struct option *find_option(struct slice key, const struct option *options,
                                        size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (slice_equal(key, slice_of(options[i].name)))
            return &options[i];
    return NULL;
}

void options_read(const struct node *object, const struct option *options, size_t count,
                  void *target)
{
    for (struct node_iterator i = node_children(object); node_next(&i);) {
        const struct option *option = find_option(i.node.key, options, count);
        if (option == NULL) {
            node_report(&i.node, JSON_PART_KEY, CODE_UNKNOWN_KEY,
                        nearest_hint(i.node.key, options, count, sizeof(*options)),
                        "unknown key \"%.*s\"", SLICE_PRINT(i.node.key));
            continue;
        }
        option->read(&i.node, target);
    }
}

void option_read_schema_url(const struct node *node, void *target)
{
    struct slice text;
    (void)target;
    (void)!node_text(node, &text);
}

void option_read_schema(const struct node *node, void *target)
{
    unsigned version;
    (void)target;
    node_unsigned(node, 1, 1, &version);
}

void option_read_nothing(const struct node *node, void *target)
{
    (void)node;
    (void)target;
}

/* -- Single values -- */

static const char *with_article(enum json_type type)
{
    switch (type) {
    case JSON_TYPE_TEXT: return "a string";
    case JSON_TYPE_INTEGER: return "an integer";
    case JSON_TYPE_REAL: return "a fraction";
    case JSON_TYPE_ARRAY: return "a list [ ... ]";
    case JSON_TYPE_OBJECT: return "an object { ... }";
    case JSON_TYPE_BOOL: return "true or false";
    case JSON_TYPE_NULL: return "null";
    default: return "nothing";
    }
}

static void report_type(const struct node *node, enum json_type wanted)
{
    char *name = node_name(node);
    enum json_type found = json_type_of(node->value);
    char *hint = NULL;
    if (wanted == JSON_TYPE_ARRAY && found == JSON_TYPE_TEXT)
        hint = memory_format("write [ ... ] around it");
    node_report(node, JSON_PART_VALUE, CODE_WRONG_TYPE, hint, "\"%s\" must be %s, not %s", name,
                with_article(wanted), with_article(found));
    free(name);
}

bool value_is_header_byte(char c)
{
    return ascii_is_alphanumeric(c) || c == '-';
}

bool node_is(const struct node *node, enum json_type type)
{
    if (json_type_of(node->value) == type)
        return true;
    report_type(node, type);
    return false;
}

bool node_is_short(const struct node *node, size_t most)
{
    size_t count = json_count(node->value);
    if (count <= most)
        return true;
    char *name = node_name(node);
    node_report(node, JSON_PART_VALUE, CODE_OUT_OF_RANGE, NULL,
                "\"%s\" has %zu entries, and at most %zu are possible", name, count, most);
    free(name);
    return false;
}

bool node_text(const struct node *node, struct slice *text)
{
    return node_is(node, JSON_TYPE_TEXT) && json_read_text(node->value, text);
}

bool node_copy_text(const struct node *node, char **text)
{
    struct slice value;
    if (!node_text(node, &value))
        return false;
    free(*text);
    *text = memory_copy_text(value);
    return true;
}

bool node_copy_plain(const struct node *node, char **text)
{
    enum { MAX_BYTES = 500 };
    struct slice value;
    if (!node_text(node, &value))
        return false;
    bool good = value.size > 0 && value.size <= MAX_BYTES && slice_equal(slice_trim(value), value);
    for (size_t i = 0; good && i < value.size; i++)
        good = (uint8_t)value.data[i] >= 0x20 && value.data[i] != 0x7f;
    if (good)
        return node_copy_text(node, text);
    char *name = node_name(node);
    node_report(node, JSON_PART_VALUE, CODE_OUT_OF_RANGE, NULL,
                "\"%s\" must have 1 to %d bytes, without control bytes or blanks at the ends", name,
                MAX_BYTES);
    free(name);
    return false;
}

bool node_bool(const struct node *node, bool *boolean)
{
    return node_is(node, JSON_TYPE_BOOL) && json_read_bool(node->value, boolean);
}

bool node_unsigned(const struct node *node, unsigned minimum, unsigned maximum, unsigned *number)
{
    int64_t value;
    if (!node_is(node, JSON_TYPE_INTEGER) || !json_read_integer(node->value, &value))
        return false;
    if (value < minimum || value > maximum) {
        node_report(node, JSON_PART_VALUE, CODE_OUT_OF_RANGE, NULL,
                    "%lld is out of range: from %u to %u", (long long)value, minimum, maximum);
        return false;
    }
    *number = (unsigned)value;
    return true;
}

bool node_denial_status(const struct node *node, uint16_t *status)
{
    static const uint16_t STATUSES[] = {400, 403, 404, 421, 503};
    unsigned value;
    if (!node_unsigned(node, 0, 999, &value))
        return false;
    for (size_t i = 0; i < COUNT_OF(STATUSES); i++) {
        if (value == STATUSES[i]) {
            *status = STATUSES[i];
            return true;
        }
    }
    node_report(node, JSON_PART_VALUE, CODE_NOT_A_CHOICE,
                memory_format("known: 400, 403, 404, 421, 503"), "status cannot be %u", value);
    return false;
}

/* The longest unit that divides it: "90s", not "90000ms". */
static char *duration_text(uint64_t duration_ms)
{
    static const struct {
        const char *unit;
        unsigned ms;
    } UNITS[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    size_t i = 0;
    while (i + 1 < COUNT_OF(UNITS) && duration_ms % UNITS[i].ms != 0)
        i++;
    return memory_format("%llu%s", (unsigned long long)(duration_ms / UNITS[i].ms), UNITS[i].unit);
}

static bool duration_parse(struct slice text, uint64_t *duration_ms)
{
    struct slice unit = text;
    uint64_t number;
    if (!decimal_take(&unit, VALUE_MAX_DIGITS, &number))
        return false;
    uint64_t ms = slice_equal(unit, SLICE("ms"))  ? 1
                  : slice_equal(unit, SLICE("s")) ? 1000
                  : slice_equal(unit, SLICE("m")) ? 60000
                  : slice_equal(unit, SLICE("h")) ? 3600000
                  : slice_equal(unit, SLICE("d")) ? 86400000
                                                  : 0;
    *duration_ms = number * ms;
    return ms != 0;
}

bool node_long_duration(const struct node *node, uint64_t minimum_ms, uint64_t maximum_ms,
                        uint64_t *duration_ms)
{
    struct slice text;
    uint64_t value;
    if (!node_text(node, &text))
        return false;
    if (!duration_parse(text, &value)) {
        node_report(node, JSON_PART_VALUE, CODE_BAD_DURATION,
                    memory_format("a number and ms, s, m, h or d: \"500ms\", \"30s\", \"10m\""),
                    "\"%.*s\" is not a duration", SLICE_PRINT(text));
        return false;
    }
    if (value < minimum_ms || value > maximum_ms) {
        char *minimum = duration_text(minimum_ms), *maximum = duration_text(maximum_ms);
        node_report(node, JSON_PART_VALUE, CODE_OUT_OF_RANGE, NULL,
                    "\"%.*s\" is out of range: from %s to %s", SLICE_PRINT(text), minimum, maximum);
        free(minimum);
        free(maximum);
        return false;
    }
    *duration_ms = value;
    return true;
}

bool node_duration(const struct node *node, unsigned minimum_ms, unsigned maximum_ms,
                   unsigned *duration_ms)
{
    uint64_t value;
    if (!node_long_duration(node, minimum_ms, maximum_ms, &value))
        return false;
    *duration_ms = (unsigned)value;
    return true;
}

static bool is_word_byte(char c)
{
    return ascii_is_alphanumeric(c) || c == '_' || c == '-' || c == '.';
}

bool plain_name_is(struct slice text)
{
    return text.size > 0 && text.size <= 63 && text.data[0] != '-' && text.data[0] != '.' &&
           slice_consists_of(text, is_word_byte);
}

bool node_plain_name(const struct node *node, char **name)
{
    struct slice text;
    if (!node_text(node, &text))
        return false;
    if (!plain_name_is(text)) {
        node_report(node, JSON_PART_VALUE, CODE_BAD_NAME, NULL,
                    "\"%.*s\" is not a name: up to 63 letters, digits, \"_\", \"-\" and \".\"",
                    SLICE_PRINT(text));
        return false;
    }
    free(*name);
    *name = memory_copy_text(text);
    return true;
}

static bool is_file_byte(char c)
{
    return is_word_byte(c) || byte_is_one_of(c, "/@+:,=~");
}

bool node_file_name(const struct node *node, char **name)
{
    struct slice text;
    if (!node_text(node, &text))
        return false;
    if (text.size == 0 || text.size >= 4096 || !slice_consists_of(text, is_file_byte)) {
        node_report(node, JSON_PART_VALUE, CODE_BAD_FILE_NAME, NULL,
                    "\"%.*s\" cannot be used as a file name: letters, digits and / . _ - @ + : , = "
                    "~ only, because HAProxy's configuration quotes nothing else safely",
                    SLICE_PRINT(text));
        return false;
    }
    free(*name);
    *name = file_path_beside(node->document->file, text);
    return true;
}

/* What the network was probably meant to be: 10.0.0.1/8 with its host bits cleared. */
static char *network_hint(struct slice text)
{
    struct ip_network network;
    struct ip ip;
    struct slice before = slice_before(text, '/');
    if (before.size == text.size || !ip_parse(before, &ip))
        return memory_format("for example \"10.0.0.0/8\", \"fd00::/8\" or \"192.0.2.7\"");
    for (unsigned bit = ip.family == IP_V4 ? 32 : 128; bit-- > 0;) {
        char address[IP_TEXT_SIZE];
        ip.bytes[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
        char *candidate = memory_format("%s%.*s", ip_print(&ip, address),
                                        SLICE_PRINT(slice_skip(text, before.size)));
        if (ip_network_parse(slice_of(candidate), &network)) {
            char *hint =
                memory_format("bits behind the prefix are set: did you mean \"%s\"?", candidate);
            free(candidate);
            return hint;
        }
        free(candidate);
    }
    return memory_format("for example \"10.0.0.0/8\", \"fd00::/8\" or \"192.0.2.7\"");
}

bool node_network(const struct node *node, struct ip_network *network)
{
    struct slice text;
    struct ip_network parsed;
    if (!node_text(node, &text))
        return false;
    if (!ip_network_parse(text, &parsed)) {
        node_report(node, JSON_PART_VALUE, CODE_BAD_NETWORK, network_hint(text),
                    "\"%.*s\" is not an IP network", SLICE_PRINT(text));
        return false;
    }
    *network = parsed;
    return true;
}

bool node_choice(const struct node *node, const struct choice *choices, size_t count, int *value)
{
    struct slice text;
    if (!node_text(node, &text))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (slice_equal(text, slice_of(choices[i].name))) {
            *value = choices[i].value;
            return true;
        }
    }
    char *name = node_name(node);
    node_report(node, JSON_PART_VALUE, CODE_NOT_A_CHOICE,
                nearest_hint(text, choices, count, sizeof(*choices)), "\"%s\" cannot be \"%.*s\"",
                name, SLICE_PRINT(text));
    free(name);
    return false;
}

/* -- Lists -- */

void texts_add(struct texts *texts, char *text)
{
    texts->items = memory_resize(texts->items, texts->count + 1, sizeof(*texts->items));
    texts->items[texts->count++] = text;
}

void texts_fini(struct texts *texts)
{
    memory_free_texts(texts->items, texts->count);
    *texts = (struct texts){0};
}

static bool is_in(const struct texts *texts, const char *text)
{
    for (size_t i = 0; i < texts->count; i++)
        if (strcmp(texts->items[i], text) == 0)
            return true;
    return false;
}

bool node_texts(const struct node *node, size_t most, node_check_fn *check, struct texts *texts)
{
    bool good = true;
    if (!node_is(node, JSON_TYPE_ARRAY) || !node_is_short(node, most))
        return false;
    texts_fini(texts);
    for (struct node_iterator i = node_children(node); node_next(&i);) {
        struct slice text;
        char *kept = node_text(&i.node, &text) ? check(&i.node, text) : NULL;
        good = good && kept != NULL;
        if (kept == NULL)
            continue;
        if (is_in(texts, kept)) {
            node_report(&i.node, JSON_PART_VALUE, CODE_LISTED_TWICE, NULL,
                        "\"%.*s\" is in the list already", SLICE_PRINT(text));
            good = false;
        }
        texts_add(texts, kept);
    }
    return good;
}
