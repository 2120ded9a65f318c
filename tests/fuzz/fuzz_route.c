/* What a client controls of a routing decision: Host, path, and the headers that name an address.
 *
 * The input is taken as a Host, as a path and, line by line, as the values of each header that
 * trusted proxies may use. What passes validation must be in a form that validates to itself, and
 * hold nothing that two parsers could read in two ways. It is also a tenant's header, name and
 * value, the label of a wildcard host, and a file of the zone database.
 */
#include "core/cursor.h"
#include "fuzz/fuzz.h"
#include "route/client.h"
#include "route/header.h"
#include "route/host.h"
#include "route/label.h"
#include "route/path.h"
#include "route/zone.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* ---- Host ---- */

static void check_host(struct slice raw)
{
    static const char NAME[] = "abcdefghijklmnopqrstuvwxyz0123456789-._";
    static const char ADDRESS[] = "abcdef0123456789.:";
    uint8_t written[HOST_MAX_BYTES + 16];
    struct host host, again;
    enum refusal refusal = host_parse(raw, &host);
    FUZZ_REQUIRE(refusal < REFUSAL__MAX);
    if (refusal != REFUSAL_NONE)
        return;

    struct slice name = host_name(&host);
    FUZZ_REQUIRE(name.size > 0 && name.size <= HOST_MAX_BYTES);
    for (size_t i = 0; i < name.size; i++)
        FUZZ_REQUIRE(is_one_of(name.data[i], host.is_address ? ADDRESS : NAME));
    FUZZ_REQUIRE(name.data[0] != '.' && name.data[name.size - 1] != '.');

    struct writer writer = writer_of(written, sizeof(written));
    host_write(&host, &writer);
    FUZZ_REQUIRE(!writer.failed);
    FUZZ_REQUIRE(host_parse(writer_written(&writer), &again) == REFUSAL_NONE);
    FUZZ_REQUIRE(!again.changed);
    FUZZ_REQUIRE(again.port == host.port && again.is_address == host.is_address);
    FUZZ_REQUIRE(slice_equal(host_name(&again), name));
    FUZZ_REQUIRE(host.changed == !slice_equal(writer_written(&writer), raw));
}

/* A pattern's name is the name that a request for it would have. */
static void check_pattern(struct slice text)
{
    char name[HOST_MAX_BYTES + 1];
    char bracketed[HOST_MAX_BYTES + 3];
    struct host host;
    bool wildcard;
    if (!host_pattern_parse(text, name, &wildcard))
        return;
    FUZZ_REQUIRE(strlen(name) > 0);
    struct slice asked = slice_of(name);
    if (strchr(name, ':') != NULL) {
        FUZZ_REQUIRE(asked.size < IP_TEXT_SIZE && !wildcard);
        asked.size = (size_t)snprintf(bracketed, sizeof(bracketed), "[%s]", name);
        asked.data = bracketed;
    }
    FUZZ_REQUIRE(host_parse(asked, &host) == REFUSAL_NONE);
    FUZZ_REQUIRE(slice_equal(host_name(&host), slice_of(name)));
}

/* ---- Path ---- */

static bool has_segment(struct slice path, struct slice wanted)
{
    for (size_t i = 0; i < path.size; i++) {
        if (path.data[i] != '/')
            continue;
        struct slice rest = slice_skip(path, i + 1);
        if (slice_starts_with(rest, wanted) &&
            (rest.size == wanted.size || rest.data[wanted.size] == '/'))
            return true;
    }
    return false;
}

static unsigned hex_digit(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

/* What a parser makes of it that decodes whatever looks encoded. */
static size_t decode_laxly(struct slice text, char *decoded)
{
    size_t size = 0;
    while (text.size > 0) {
        bool encoded = text.size >= 3 && text.data[0] == '%' && isxdigit((uint8_t)text.data[1]) &&
                       isxdigit((uint8_t)text.data[2]);
        char c = text.data[0];
        if (encoded)
            c = (char)(hex_digit(text.data[1]) << 4 | hex_digit(text.data[2]));
        decoded[size++] = c;
        text = slice_skip(text, encoded ? 3 : 1);
    }
    return size;
}

static size_t count_byte(struct slice text, char byte)
{
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += text.data[i] == byte;
    return count;
}

static bool has_control(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (iscntrl((uint8_t)text.data[i]))
            return true;
    return false;
}

/* Decoded once or twice, the path still has the segments that it had, and ends where it ended. */
static void check_meaning(struct slice normal)
{
    char *decoded = malloc(normal.size);
    struct slice text = normal;
    for (unsigned times = 0; times < 2; times++) {
        text = slice_from(decoded, decode_laxly(text, decoded));
        FUZZ_REQUIRE(count_byte(text, '/') == count_byte(normal, '/'));
        FUZZ_REQUIRE(count_byte(text, '\\') == 0 && !has_control(text));
        FUZZ_REQUIRE(!has_segment(text, SLICE(".")) && !has_segment(text, SLICE("..")));
    }
    free(decoded);
}

static void check_path(struct slice raw)
{
    char buffer[PATH_CHANGED_MAX_BYTES];
    char buffer_again[PATH_CHANGED_MAX_BYTES];
    struct slice normal, again;
    if (path_normalise(raw, buffer, &normal) != REFUSAL_NONE)
        return;
    FUZZ_REQUIRE(path_normalise(normal, buffer_again, &again) == REFUSAL_NONE);
    FUZZ_REQUIRE(slice_equal(normal, again));
    if (slice_equal(normal, SLICE("*")))
        return;
    FUZZ_REQUIRE(slice_starts_with(normal, SLICE("/")));
    FUZZ_REQUIRE(!has_segment(normal, SLICE(".")) && !has_segment(normal, SLICE("..")));
    for (size_t i = 0; i < normal.size; i++) {
        uint8_t c = (uint8_t)normal.data[i];
        FUZZ_REQUIRE(c > 0x20 && c < 0x7f && c != '\\');
        FUZZ_REQUIRE(c != '/' || i == 0 || normal.data[i - 1] != '/');
    }
    check_meaning(normal);
}

/* ---- Client ---- */

enum { LINES_MAX = CLIENT_MAX_LINES + 1 };

static unsigned split_lines(struct slice bytes, struct slice lines[static LINES_MAX])
{
    unsigned count = 0;
    while (count < LINES_MAX) {
        const char *end = bytes.size > 0 ? memchr(bytes.data, '\n', bytes.size) : NULL;
        size_t size = end != NULL ? (size_t)(end - bytes.data) : bytes.size;
        lines[count++] = slice_head(bytes, size);
        if (end == NULL)
            break;
        bytes = slice_skip(bytes, size + 1);
    }
    return count;
}

static void check_client(struct slice bytes, enum client_source source, struct slice peer)
{
    struct ip_network network;
    struct slice lines[LINES_MAX];
    struct client_question question = {.peer_tls = true};
    struct client client = {0};
    char name[] = "edge";
    FUZZ_REQUIRE(ip_network_parse(SLICE("10.0.0.0/8"), &network));
    FUZZ_REQUIRE(ip_parse(peer, &question.peer));
    struct proxy_group group = {name, source, &network, 1};
    struct trusted_proxies trusted = {&group, 1};

    question.line_count[source] = split_lines(bytes, lines);
    for (unsigned i = 0; i < question.line_count[source] && i < CLIENT_MAX_LINES; i++)
        question.lines[source][i] = lines[i];
    question.forwarded_proto = question.request_id = lines[0];
    client_resolve(&trusted, &question, &client);

    FUZZ_REQUIRE(client.ip.family == IP_V4 || client.ip.family == IP_V6);
    bool is_listed = ip_network_contains(&network, &question.peer);
    FUZZ_REQUIRE((client.trusted_peer || client.limits_exceeded) == is_listed);
    FUZZ_REQUIRE(!client.trusted_peer || !client.limits_exceeded);
    if (!client.trusted_peer) {
        FUZZ_REQUIRE(ip_equal(&client.ip, &question.peer));
        FUZZ_REQUIRE(client.https && client.request_id.size == 0);
    }
    if (question.line_count[source] > CLIENT_MAX_LINES)
        FUZZ_REQUIRE(!client.trusted_peer);
    for (size_t i = 0; i < client.request_id.size; i++)
        FUZZ_REQUIRE(client.request_id.data[i] > 0x20 && client.request_id.data[i] < 0x7f);
}

static void check_network(struct slice text)
{
    struct ip_network network;
    struct ip ip, again;
    char printed[IP_TEXT_SIZE];
    if (ip_network_parse(text, &network))
        FUZZ_REQUIRE(ip_network_contains(&network, &network.ip));
    if (ip_parse(text, &ip)) {
        FUZZ_REQUIRE(ip_parse(slice_of(ip_print(&ip, printed)), &again));
        FUZZ_REQUIRE(ip_equal(&ip, &again));
    }
}

/* ---- Headers of tenants, labels ---- */

/* What is written ends no header line, and a value that is literal is told as it was. */
static void check_template(struct slice text)
{
    char written[4096];
    struct template template;
    struct template_values values;
    if (template_parse(text, &template, NULL) != ERROR_OK)
        return;
    for (int i = 0; i < HEADER_PLACEHOLDER__MAX; i++)
        values.value[i] = text;
    struct writer writer = writer_of(written, sizeof(written));
    template_write(&template, &values, &writer);
    FUZZ_REQUIRE(!writer.failed);
    struct slice value = writer_written(&writer);
    FUZZ_REQUIRE(count_byte(value, '\r') + count_byte(value, '\n') + count_byte(value, '\0') == 0);
    if (count_byte(text, '{') == 0)
        FUZZ_REQUIRE(slice_equal(value, text));
    template_fini(&template);
}

static void check_header_name(struct slice name)
{
    char variable[HEADER_NAME_MAX_BYTES + 3];
    if (header_name_check(name, NULL) != ERROR_OK)
        return;
    header_variable_name(name, variable);
    FUZZ_REQUIRE(strlen(variable) == 2 + name.size);
    for (const char *c = variable; *c != '\0'; c++)
        FUZZ_REQUIRE(is_one_of(*c, "abcdefghijklmnopqrstuvwxyz0123456789_"));
}

static void check_label(struct slice label)
{
    static struct label_pattern *pattern;
    if (pattern == NULL)
        pattern = label_pattern_new(SLICE("(?!admin$)[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?"), NULL);
    if (!label_pattern_matches(pattern, label))
        return;
    FUZZ_REQUIRE(label.size >= 1 && label.size <= 32 && !slice_equal(label, SLICE("admin")));
    for (size_t i = 0; i < label.size; i++)
        FUZZ_REQUIRE(is_one_of(label.data[i], "abcdefghijklmnopqrstuvwxyz0123456789-"));
}

static void check_zone_file(struct slice bytes)
{
    static const int64_t YEARS_30_S = 946684800;
    struct zone zone;
    if (!zone_parse_file(bytes, &zone))
        return;
    for (int64_t wall_s = 0; wall_s < 4 * YEARS_30_S; wall_s += YEARS_30_S / 40) {
        int64_t offset_s = zone_local_s(&zone, wall_s) - wall_s;
        FUZZ_REQUIRE(offset_s > -26 * 3600 && offset_s < 26 * 3600);
    }
    zone_fini(&zone);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_from(data, size);
    check_host(bytes);
    check_pattern(bytes);
    check_path(bytes);
    check_network(bytes);
    check_template(bytes);
    check_header_name(bytes);
    check_label(bytes);
    check_zone_file(bytes);
    for (int source = 0; source < CLIENT_SOURCE__MAX; source++) {
        check_client(bytes, (enum client_source)source, SLICE("10.1.2.3"));
        check_client(bytes, (enum client_source)source, SLICE("203.0.113.7"));
    }
    return 0;
}
