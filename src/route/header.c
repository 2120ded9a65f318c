/* Headers and templates: see route/header.h. */
#include "route/header.h"

#include "core/memory.h"

#include <stdlib.h>

static const char *const PLACEHOLDER_NAMES[] = {
#define X(NAME, TEXT) [HEADER_##NAME] = TEXT,
    HEADER_PLACEHOLDER_TABLE(X)
#undef X
};
static_assert(COUNT_OF(PLACEHOLDER_NAMES) == HEADER_PLACEHOLDER__MAX, "a placeholder has no name");

/* The placeholder of this name, or -1. */
static int find_placeholder(struct slice name)
{
    if (slice_equal(name, SLICE("1")))
        return HEADER_LABEL;
    for (int i = 0; i < HEADER_PLACEHOLDER__MAX; i++)
        if (slice_equal(name, slice_of(PLACEHOLDER_NAMES[i])))
            return i;
    return -1;
}

/* The next part, while it is collected. */
struct pending {
    char literal[HEADER_VALUE_MAX_BYTES];
    size_t size;
};

static enum error add_part(struct template *template, struct pending *pending, int placeholder,
                           struct error_text *text)
{
    if (template->part_count == TEMPLATE_MAX_PARTS)
        return error_set(text, ERROR_TOO_BIG, "more than %d placeholders", TEMPLATE_MAX_PARTS);
    size_t count = template->part_count + 1;
    template->parts = memory_resize(template->parts, count, sizeof(*template->parts));
    template->parts[template->part_count++] = (struct template_part){
        .literal = memory_copy_text(slice_from(pending->literal, pending->size)),
        .literal_size = pending->size,
        .placeholder = placeholder,
    };
    template->dynamic |= placeholder >= 0 && placeholder != HEADER_TENANT;
    template->has_label |= placeholder == HEADER_LABEL;
    template->has_identity |= placeholder >= HEADER_EMAIL;
    pending->size = 0;
    return ERROR_OK;
}

/* Takes "{name}" from the start of `*source`. */
static enum error take_placeholder(struct template *template, struct pending *pending,
                                   struct slice *source, struct error_text *text)
{
    const char *end = memchr(source->data, '}', source->size);
    if (end == NULL)
        return error_set(text, ERROR_INVALID,
                         "\"{\" without \"}\"; write \"{{\" for a brace that is meant as such");
    struct slice name = slice_from(source->data + 1, (size_t)(end - source->data) - 1);
    int placeholder = find_placeholder(name);
    if (placeholder < 0)
        return error_set(text, ERROR_INVALID,
#define X(NAME, TEXT) " {" TEXT "}"
                         "unknown placeholder \"{%.*s}\"; there are" HEADER_PLACEHOLDER_TABLE(X),
#undef X
                         SLICE_PRINT(name));
    *source = slice_skip(*source, name.size + 2);
    return add_part(template, pending, placeholder, text);
}

static enum error parse(struct slice source, struct template *template, struct error_text *text)
{
    struct pending pending = {.size = 0};
    while (source.size > 0) {
        char c = source.data[0];
        if ((uint8_t)c < 0x20 || c == 0x7f)
            return error_set(text, ERROR_INVALID, "a control byte (0x%02x) cannot be in a header",
                             (uint8_t)c);
        if (c == '{' && !slice_starts_with(source, SLICE("{{"))) {
            enum error error = take_placeholder(template, &pending, &source, text);
            if (error != ERROR_OK)
                return error;
            continue;
        }
        pending.literal[pending.size++] = c;
        source = slice_skip(source, c == '{' ? 2 : 1);
    }
    return pending.size > 0 ? add_part(template, &pending, -1, text) : ERROR_OK;
}

enum error template_parse(struct slice source, struct template *template, struct error_text *text)
{
    *template = (struct template){0};
    if (source.size > HEADER_VALUE_MAX_BYTES)
        return error_set(text, ERROR_TOO_BIG, "%zu bytes long; at most %d fit", source.size,
                         HEADER_VALUE_MAX_BYTES);
    enum error error = parse(source, template, text);
    if (error != ERROR_OK)
        template_fini(template);
    return error;
}

static bool ends_header(char c)
{
    return c == '\r' || c == '\n' || c == '\0';
}

/* Whether one of eight bytes is below 0x20: the borrow of a subtraction shows in its highest bit,
 * and reaches the next byte only when there is such a byte. */
static bool has_control(const char bytes[static 8])
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
    return ((word - ones * 0x20) & ~word & ones * 0x80) != 0;
}

/* Whether it surely has no byte that could end a header, at eight bytes a step. */
static bool is_clean(struct slice value)
{
    bool found = false;
    if (value.size < 8)
        return false;
    for (size_t i = 0; i < value.size - 8; i += 8)
        found |= has_control(value.data + i);
    return !found && !has_control(value.data + value.size - 8);
}

/* Values come from requests and were validated there; this is the last door before the wire. */
static uint8_t *put_value(struct slice value, uint8_t *to)
{
    if (is_clean(value)) {
        memcpy(to, value.data, value.size);
        return to + value.size;
    }
    for (size_t i = 0; i < value.size; i++)
        *to++ = ends_header(value.data[i]) ? '?' : (uint8_t)value.data[i];
    return to;
}

size_t template_size(const struct template *template, const struct template_values *values)
{
    size_t size = 0;
    for (size_t i = 0; i < template->part_count; i++) {
        const struct template_part *part = &template->parts[i];
        size += part->literal_size;
        if (part->placeholder >= 0)
            size += values->value[part->placeholder].size;
    }
    return size;
}

bool template_is_known(const struct template *template, const struct template_values *values)
{
    for (size_t i = 0; template->has_identity && i < template->part_count; i++) {
        int placeholder = template->parts[i].placeholder;
        if (placeholder >= HEADER_EMAIL && values->value[placeholder].size == 0)
            return false;
    }
    return true;
}

uint8_t *template_put(const struct template *template, const struct template_values *values,
                      uint8_t *to)
{
    for (size_t i = 0; i < template->part_count; i++) {
        const struct template_part *part = &template->parts[i];
        if (part->literal_size > 0)
            to = (uint8_t *)mempcpy(to, part->literal, part->literal_size);
        if (part->placeholder >= 0)
            to = put_value(values->value[part->placeholder], to);
    }
    return to;
}

void template_write(const struct template *template, const struct template_values *values,
                    struct writer *writer)
{
    if (writer->failed || template_size(template, values) > writer_left(writer))
        writer->failed = true;
    else
        writer->position = template_put(template, values, writer->position);
}

void template_copy(const struct template *template, struct template *copy)
{
    *copy = *template;
    copy->parts = NULL;
    if (template->part_count == 0)
        return;
    copy->parts = memory_resize(NULL, template->part_count, sizeof(*copy->parts));
    for (size_t i = 0; i < template->part_count; i++) {
        const struct template_part *part = &template->parts[i];
        copy->parts[i] = *part;
        copy->parts[i].literal = memory_copy_text(slice_from(part->literal, part->literal_size));
    }
}

void template_fini(struct template *template)
{
    for (size_t i = 0; i < template->part_count; i++)
        free(template->parts[i].literal);
    free(template->parts);
    *template = (struct template){0};
}

/* What a tenant may not set. A name that ends in "-" stands for all that begin so. */
static const char *const RESERVED_NAMES[] = {
    /* framing and connection */
    "Connection", "Content-Length", "Expect", "HTTP2-Settings", "Keep-Alive", "Proxy-Connection",
    "Sec-WebSocket-", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
    /* routing */
    "Host", "X-Owui-Hop", "X-Tenant-ID",
    /* who the client is, and how it came */
    "CF-Connecting-IP", "Fastly-Client-IP", "Forwarded", "Front-End-Https", "True-Client-IP",
    "X-Azure-ClientIP", "X-Client-IP", "X-Cluster-Client-IP", "X-Forwarded-", "X-Forwarded",
    "X-Real-IP", "X-Request-ID", "X-Scheme",
    /* what clients have to say: what one tenant sets is taken out of all others' requests */
    "Accept", "Content-Type", "Cookie", "Origin", "X-Api-Key", "X-CSRF-Token", "X-Requested-With"};

static bool is_reserved(struct slice name)
{
    for (size_t i = 0; i < COUNT_OF(RESERVED_NAMES); i++) {
        struct slice reserved = slice_of(RESERVED_NAMES[i]);
        bool is_prefix = reserved.data[reserved.size - 1] == '-';
        struct slice start =
            is_prefix ? slice_head(name, size_min(name.size, reserved.size)) : name;
        if (slice_equal_nocase(start, reserved))
            return true;
    }
    return false;
}

static bool is_name_byte(char c)
{
    return ascii_is_alphanumeric(c) || c == '-';
}

enum error header_name_check(struct slice name, struct error_text *text)
{
    if (name.size == 0)
        return error_set(text, ERROR_INVALID, "a header needs a name");
    if (name.size > HEADER_NAME_MAX_BYTES)
        return error_set(text, ERROR_TOO_BIG, "\"%.*s\" is %zu bytes long; at most %d fit",
                         SLICE_PRINT(name), name.size, HEADER_NAME_MAX_BYTES);
    if (!slice_consists_of(name, is_name_byte))
        return error_set(text, ERROR_INVALID,
                         "\"%.*s\" is not a header name that every server takes: letters, "
                         "digits and \"-\" only",
                         SLICE_PRINT(name));
    if (is_reserved(name))
        return error_set(text, ERROR_REFUSED,
                         "\"%.*s\" is not a tenant's to set: framing, routing or what the client "
                         "has to say depends on it",
                         SLICE_PRINT(name));
    return ERROR_OK;
}

void header_variable_name(struct slice name, char variable[static HEADER_NAME_MAX_BYTES + 3])
{
    assert(name.size <= HEADER_NAME_MAX_BYTES);
    variable[0] = 'h';
    variable[1] = '_';
    for (size_t i = 0; i < name.size; i++)
        variable[2 + i] = name.data[i] == '-' ? '_' : ascii_lower(name.data[i]);
    variable[2 + name.size] = '\0';
}

void header_copy(const struct header *header, struct header *copy)
{
    *copy = *header;
    copy->name = memory_copy_text(slice_of(header->name));
    template_copy(&header->value, &copy->value);
}

void header_fini(struct header *header)
{
    free(header->name);
    header->name = NULL;
    template_fini(&header->value);
}
