/* Labels with an upstream each, from a file of lines: see labels_read.h.
 *
 * Lines are what spreadsheets and scripts write (RFC 4180, as far as it has a meaning here): two
 * fields, quoted or not, CR or none, a first line of names. One that is wrong is reported where it
 * stands and does not touch the others, as a wrong tenant does not touch other tenants.
 */
#include "labels_read.h"

#include "conf/text_file.h"
#include "core/hash.h"
#include "core/memory.h"
#include "file.h"
#include "room.h"
#include "route/label.h"
#include "route/label_map.h"

#include <stdlib.h>

enum {
    REPORTED_MAX = 50, /* of one file: who has more such lines has mended none yet */
    TO_MAX_BYTES = 200,
    TO_MAX_LABELS = 2,
};

/* -- The keys ---------------------------------------------------------------------------------- */

void labels_read_map(const struct node *node, struct labels_draft *labels)
{
    if (!node_file_name(node, &labels->path) || node->document->named == NULL)
        return;
    texts_add(node->document->named, memory_copy_text(slice_of(labels->path)));
}

static void read_action(const struct node *node, void *target)
{
    static const struct choice ACTIONS[] = {{"deny", 0}, {"redirect", 1}};
    int action;
    (void)target;
    (void)node_choice(node, ACTIONS, COUNT_OF(ACTIONS), &action);
}

static void read_status(const struct node *node, void *target)
{
    node_denial_status(node, &((struct labels_draft *)target)->unknown_status);
}

/* It stands in a Location: nothing that ends it, and nothing that HAProxy's formats know. */
static bool is_place(struct slice url)
{
    for (size_t i = 0; i < url.size; i++)
        if (url.data[i] <= ' ' || url.data[i] > '~' || byte_is_one_of(url.data[i], "\"\\%<>"))
            return false;
    return slice_starts_with(url, SLICE("https://")) && url.size > 8 && url.size <= TO_MAX_BYTES;
}

static void read_to(const struct node *node, void *target)
{
    struct labels_draft *labels = target;
    struct slice url;
    struct error_text why = {.text = "it must be an https URL of up to 200 bytes"};
    size_t count = 0;
    if (!node_text(node, &url))
        return;
    bool good = is_place(url) && template_parse(url, &labels->unknown_to, &why) == ERROR_OK;
    for (size_t i = 0; good && i < labels->unknown_to.part_count; i++) {
        int placeholder = labels->unknown_to.parts[i].placeholder;
        good = placeholder < 0 || (placeholder == HEADER_LABEL && ++count <= TO_MAX_LABELS);
        if (!good)
            error_set(&why, ERROR_INVALID, "{1}, the label, is all that can be filled in");
    }
    if (good)
        return;
    template_fini(&labels->unknown_to);
    labels->unknown_to = (struct template){0};
    node_report(node, JSON_PART_VALUE, CODE_BAD_URL,
                memory_format("for example \"https://example.com/signup?name={1}\""),
                "\"%.*s\" is not a place to redirect to: %s", SLICE_PRINT(url), why.text);
}

void labels_read_unknown(const struct node *node, struct labels_draft *labels)
{
    static const struct option OPTIONS[] = {
        {"action", read_action}, {"status", read_status}, {"to", read_to}};
    struct diagnostics *diagnostics = node->document->diagnostics;
    size_t errors = diagnostics->errors;
    struct node action, status, to;
    struct slice text = {0};
    if (!node_is(node, JSON_TYPE_OBJECT))
        return;
    options_read(node, OPTIONS, COUNT_OF(OPTIONS), labels);
    if (diagnostics->errors != errors)
        return;
    bool redirects = node_member(node, "action", &action) && json_read_text(action.value, &text) &&
                     slice_equal(text, SLICE("redirect"));
    if (redirects && node_member(node, "status", &status))
        node_report(&status, JSON_PART_KEY, CODE_MEANINGLESS_KEY,
                    memory_format("remove it, or write \"action\": \"deny\""),
                    "\"status\" has no meaning with this action");
    bool has_to = node_member(node, "to", &to);
    if (redirects && !has_to)
        node_report(node, JSON_PART_VALUE, CODE_MISSING_KEY, NULL,
                    "\"action\": \"redirect\" needs \"to\"");
    if (!redirects && has_to)
        node_report(&to, JSON_PART_KEY, CODE_MEANINGLESS_KEY,
                    memory_format("remove it, or write \"action\": \"redirect\""),
                    "\"to\" has no meaning with this action");
}

/* -- The file ---------------------------------------------------------------------------------- */

struct reading {
    const struct configuration *configuration;
    const struct upstream_tls *tls;
    const struct tenant *tenant;
    struct label_map *map;
    struct document document;  /* the file, for reports */
    struct diagnostics untold; /* what is not reported any more */
    struct diagnostics *told;
    size_t errors; /* before the first line */
};

struct line {
    const char *start;
    size_t number;
};

/* A field as a node, so that what is wrong with it is reported as for any other value. */
struct field {
    struct node node;
    struct node_place place;
    struct slice text;
};

static void field_init(struct reading *reading, const struct line *line, struct slice text,
                       struct field *field)
{
    struct json_position position = {
        .offset = (size_t)(text.data - reading->document.text.data),
        .size = text.size,
        .line = line->number,
        .column = (size_t)(text.data - line->start) + 1,
    };
    field->text = text;
    field->place = (struct node_place){position, position};
    field->node = (struct node){.document = &reading->document, .place = &field->place};
}

static struct slice unquote(struct slice text)
{
    text = slice_trim(text);
    if (text.size >= 2 && text.data[0] == '"' && text.data[text.size - 1] == '"')
        return slice_trim(slice_head(slice_skip(text, 1), text.size - 2));
    return text;
}

/* A label as requests have it: in lower case, an international one in its ASCII form. */
static bool read_label(struct reading *reading, const struct field *field,
                       char label[static LABEL_MAX_BYTES + 1])
{
    if (!host_label_parse(field->text, label)) {
        node_report(&field->node, JSON_PART_VALUE, CODE_LABEL_LINE,
                    memory_format("the label is what \"*\" of the host stands for: letters, digits "
                                  "and \"-\""),
                    "\"%.*s\" is not a label", SLICE_PRINT(field->text));
        return false;
    }
    if (reading->tenant->label == NULL ||
        label_pattern_matches(reading->tenant->label, slice_of(label)))
        return true;
    node_report(&field->node, JSON_PART_VALUE, CODE_LABEL_LINE, NULL,
                "label \"%s\" does not match the tenant's \"label\", so that no request has it",
                label);
    return false;
}

/* False for one that is wrong, and reported. */
static bool read_row(struct reading *reading, const struct field *field, struct upstream *upstream)
{
    size_t errors = reading->document.diagnostics->errors;
    if (!upstream_read_server(&field->node, field->text, reading->configuration, upstream))
        return false;
    if (upstream->per_label) {
        node_report(&field->node, JSON_PART_VALUE, CODE_UPSTREAM_SYNTAX, NULL,
                    "{1} cannot stand in a list of labels");
        return false;
    }
    upstream_apply_tls(&field->node, reading->tls, upstream);
    return reading->document.diagnostics->errors == errors;
}

static void tell_twice(const struct reading *reading, const struct label_row *kept, size_t line)
{
    struct place place = {reading->document.file, (uint32_t)line, 1};
    const char *label = label_map_text(reading->map, kept->label);
    diagnostics_add_code(reading->document.diagnostics, CODE_LISTED_TWICE, &place, NULL,
                         "%s: label \"%s\" is in line %u already, which stays",
                         reading->document.subject, label, kept->line);
}

static void read_fields(struct reading *reading, const struct line *line, struct slice label_text,
                        struct slice url)
{
    struct field label, server;
    struct upstream upstream = {0};
    char name[LABEL_MAX_BYTES + 1];
    struct label_row row = {.line = (uint32_t)line->number};
    field_init(reading, line, label_text, &label);
    field_init(reading, line, url, &server);
    if (!read_label(reading, &label, name))
        return;
    bool good = read_row(reading, &server, &upstream);
    if (good) {
        row.address = upstream.address;
        row.port = upstream.port;
        row.scheme = (uint8_t)upstream.scheme;
    }
    struct slice host = good ? slice_of(upstream.host) : SLICE("");
    const struct label_row *kept = label_map_add(reading->map, slice_of(name), host, &row);
    if (kept != NULL)
        tell_twice(reading, kept, line->number);
    upstream_fini(&upstream);
}

static void read_line(struct reading *reading, const struct line *line, struct slice text)
{
    struct slice rest = text;
    struct slice label = unquote(slice_cut(&rest, ','));
    struct slice url = unquote(rest);
    if (text.size == 0 || text.data[0] == '#')
        return;
    if (line->number == 1 && slice_equal_nocase(label, SLICE("label")) &&
        slice_equal_nocase(url, SLICE("upstream")))
        return;
    /* From here on there is no more to be said than can be read. */
    if (reading->told->errors - reading->errors >= REPORTED_MAX)
        reading->document.diagnostics = &reading->untold;
    if (url.size > 0 && !slice_has(url, ',')) {
        read_fields(reading, line, label, url);
        return;
    }
    struct field whole;
    field_init(reading, line, text, &whole);
    node_report(&whole.node, JSON_PART_VALUE, CODE_LABEL_LINE,
                memory_format("for example \"acme,http://10.1.0.11:3000\""),
                "a line is a label, a comma and an upstream");
}

static void read_lines(struct reading *reading)
{
    struct slice rest = reading->document.text;
    if (slice_starts_with(rest, SLICE("\xef\xbb\xbf")))
        rest = slice_skip(rest, 3);
    for (struct line line = {.number = 1}; rest.size > 0; line.number++) {
        line.start = rest.data;
        struct slice text = slice_cut(&rest, '\n');
        if (slice_ends_with(text, SLICE("\r")))
            text.size--;
        read_line(reading, &line, slice_trim(text));
    }
    if (reading->untold.errors > 0) {
        struct place place = {reading->document.file, 0, 0};
        diagnostics_add_code(reading->told, CODE_LABEL_LINE, &place, NULL,
                             "%s: %zu more lines are wrong", reading->document.subject,
                             reading->untold.errors);
    }
    diagnostics_fini(&reading->untold);
}

static size_t count_lines(struct slice text)
{
    size_t count = 1;
    const char *end = text.data + text.size;
    for (const char *at = text.data; at < end && (at = memchr(at, '\n', (size_t)(end - at)));)
        count++, at++;
    return count;
}

/* Those that are not empty and no comments. */
static size_t count_rows(struct slice text)
{
    size_t count = 0;
    for (struct slice rest = text; rest.size > 0;) {
        struct slice line = slice_cut(&rest, '\n');
        count += line.size > 0 && line.data[0] != '\r' && line.data[0] != '#';
    }
    return count;
}

static void read_text(struct reading *reading, struct tenant *tenant)
{
    const struct slice text = reading->document.text;
    const char *file = reading->document.file;
    if (!room_check(room_needed_by_labels(count_rows(text)), file, reading->told))
        return;
    tenant->labels = reading->map = label_map_new(file, count_lines(text), text.size);
    read_lines(reading);
    tenant->labels->content_hash = hash_content(text, 0);
}

/* Everything that a tenant is told apart by is in its hash. */
static void read_file(const struct node *node, struct reading *reading, const char *path,
                      struct tenant *tenant)
{
    struct error_text why;
    reading->document.file = file_name_keep(path);
    enum error error = text_file_read(path, node->document->diagnostics,
                                      &reading->document.text_block, &reading->document.text, &why);
    if (error != ERROR_OK) {
        node_report_unreadable(
            node, "make it, with a line such as \"acme,http://10.1.0.11:3000\" for each label",
            error, &why);
        return;
    }
    read_text(reading, tenant);
    free(reading->document.text_block);
}

size_t labels_apply(const struct node *tenant_node, const struct configuration *configuration,
                    const struct upstream_tls *tls, struct labels_draft *labels,
                    struct tenant *tenant)
{
    struct node node;
    struct diagnostics *diagnostics = tenant_node->document->diagnostics;
    if (node_member(tenant_node, "unknown_label", &node) && labels->path == NULL)
        node_report(&node, JSON_PART_KEY, CODE_MEANINGLESS_KEY,
                    memory_format("without a list of labels, the name that {1} leads to decides"),
                    "\"unknown_label\" has no meaning without an \"upstream_map\"");
    if (labels->path == NULL || !node_member(tenant_node, "upstream_map", &node))
        return 0;
    struct reading reading = {
        .configuration = configuration,
        .tls = tls,
        .tenant = tenant,
        .document = {.diagnostics = diagnostics, .subject = tenant_node->document->subject},
        .told = diagnostics,
        .errors = diagnostics->errors,
    };
    size_t errors = diagnostics->errors;
    read_file(&node, &reading, labels->path, tenant);
    if (tenant->labels == NULL)
        return 0;
    tenant->labels->unknown_status = labels->unknown_status != 0 ? labels->unknown_status : 404;
    tenant->labels->unknown_to = labels->unknown_to;
    labels->unknown_to = (struct template){0};
    tenant->upstream.per_label = true;
    if (tls->server_name != NULL)
        tenant->upstream.server_name = memory_copy_text(slice_of(tls->server_name));
    tenant->labels->has_wrong_lines = diagnostics->errors > errors;
    return diagnostics->errors - errors;
}

void labels_draft_fini(struct labels_draft *labels)
{
    free(labels->path);
    template_fini(&labels->unknown_to);
}
