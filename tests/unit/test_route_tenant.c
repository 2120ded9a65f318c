/* route/header, label, tenant, settings: the values that tenants are made of. */
#include "allocations.h"
#include "core/memory.h"
#include "route/label.h"
#include "route/settings.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

static const struct template_values VALUES = {.value = {
                                                  [HEADER_CLIENT_IP] = {"203.0.113.9", 11},
                                                  [HEADER_PROTO] = {"https", 5},
                                                  [HEADER_HOST] = {"a.tld", 5},
                                                  [HEADER_TENANT] = {"acme", 4},
                                                  [HEADER_LABEL] = {"x\r\nEvil: y\0z", 12},
                                              }};

struct template_row {
    struct slice source;
    char *written; /* NULL: refused */
    bool dynamic;
    bool has_label;
};

static const struct template_row TEMPLATES[] = {
    {SLICE(""), "", false, false},
    {SLICE("plain"), "plain", false, false},
    {SLICE("{client_ip}"), "203.0.113.9", true, false},
    {SLICE("{client_ip} via {tenant}"), "203.0.113.9 via acme", true, false},
    {SLICE("{tenant}/{tenant}"), "acme/acme", false, false},
    {SLICE("{proto}://{host}/"), "https://a.tld/", true, false},
    {SLICE("{{client_ip}"), "{client_ip}", false, false},
    {SLICE("{{{tenant}}"), "{acme}", false, false},
    {SLICE("a}b"), "a}b", false, false},
    {SLICE("{label}"), "x??Evil: y?z", true, true},
    {SLICE("{1}.internal"), "x??Evil: y?z.internal", true, true},
    {SLICE("M\xc3\xbcnchen"), "M\xc3\xbcnchen", false, false},
    {SLICE("{"), NULL, false, false},
    {SLICE("{tenant"), NULL, false, false},
    {SLICE("{}"), NULL, false, false},
    {SLICE("{2}"), NULL, false, false},
    {SLICE("{Tenant}"), NULL, false, false},
    {SLICE("{ tenant }"), NULL, false, false},
    {SLICE("{ten{tenant}ant}"), NULL, false, false},
    {SLICE("a\r\nb"), NULL, false, false},
    {SLICE("a\nb"), NULL, false, false},
    {SLICE("a\0b"), NULL, false, false},
    {SLICE("a\tb"), NULL, false, false},
    {SLICE("a\x7f"), NULL, false, false},
};

Test(template, is_parsed_and_written)
{
    for (size_t i = 0; i < COUNT_OF(TEMPLATES); i++) {
        const struct template_row *row = &TEMPLATES[i];
        struct template template, copy;
        struct error_text text = {""};
        char written[300] = "";
        enum error error = template_parse(row->source, &template, &text);
        cr_expect_eq(error == ERROR_OK, row->written != NULL, "row %zu", i);
        cr_expect_eq(text.text[0] != '\0', row->written == NULL, "row %zu", i);
        template_copy(&template, &copy);
        template_fini(&template);
        struct writer writer = writer_of(written, sizeof(written) - 1);
        template_write(&copy, &VALUES, &writer);
        if (row->written != NULL)
            cr_expect_str_eq(written, row->written, "row %zu", i);
        cr_expect_eq(copy.dynamic, row->dynamic, "row %zu", i);
        cr_expect_eq(copy.has_label, row->has_label, "row %zu", i);
        template_fini(&copy);
    }
}

Test(template, limits)
{
    char source[HEADER_VALUE_MAX_BYTES + 1];
    struct template template;
    memset(source, 'a', sizeof(source));
    cr_expect_eq(template_parse(slice_from(source, sizeof(source)), &template, NULL),
                 ERROR_TOO_BIG);
    cr_expect_eq(template_parse(slice_from(source, sizeof(source) - 1), &template, NULL), ERROR_OK);
    template_fini(&template);
    for (size_t i = 0; i < TEMPLATE_MAX_PARTS + 1; i++)
        memcpy(source + 3 * i, "{1}", 3);
    cr_expect_eq(
        template_parse(slice_from(source, (size_t)TEMPLATE_MAX_PARTS * 3), &template, NULL),
        ERROR_OK);
    template_fini(&template);
    cr_expect_eq(
        template_parse(slice_from(source, (size_t)TEMPLATE_MAX_PARTS * 3 + 3), &template, NULL),
        ERROR_TOO_BIG);
}

Test(template, an_unknown_placeholder_is_answered_with_all_that_there_are)
{
    static const char *const KNOWN[] = {"{client_ip}", "{label}", "{email}", "{role}"};
    struct template template;
    struct error_text text;
    cr_assert_eq(template_parse(SLICE("{ip}"), &template, &text), ERROR_INVALID);
    for (size_t i = 0; i < COUNT_OF(KNOWN); i++)
        cr_expect_not_null(strstr(text.text, KNOWN[i]), "%s", text.text);
}

/* Wherever a byte that ends a header stands, at whatever length of the value. */
Test(template, what_ends_a_header_is_never_written)
{
    static const char ENDS[] = {'\r', '\n', '\0'};
    struct template template;
    cr_assert_eq(template_parse(SLICE("<{host}>"), &template, NULL), ERROR_OK);
    for (size_t size = 0; size <= 40; size++) {
        for (size_t at = 0; at < size; at++) {
            for (size_t end = 0; end < sizeof(ENDS); end++) {
                char value[40], written[42], wanted[42];
                memset(value, 'v', size);
                value[at] = ENDS[end];
                if (at > 0)
                    value[0] = '\t';
                const struct template_values values = {.value = {[HEADER_HOST] = {value, size}}};
                struct writer writer = writer_of(written, size + 2);
                template_write(&template, &values, &writer);
                value[at] = '?';
                memcpy(wanted, "<", 1);
                memcpy(wanted + 1, value, size);
                memcpy(wanted + 1 + size, ">", 1);
                cr_assert(not(writer.failed));
                cr_assert_eq(template_size(&template, &values), size + 2);
                cr_assert(memcmp(written, wanted, size + 2) == 0, "%zu of %zu", at, size);
            }
        }
    }
    template_fini(&template);
}

Test(template, a_value_that_does_not_fit_fails_the_writer)
{
    struct template template;
    char buffer[8];
    cr_assert_eq(template_parse(SLICE("{client_ip}"), &template, NULL), ERROR_OK);
    struct writer writer = writer_of(buffer, sizeof(buffer));
    template_write(&template, &VALUES, &writer);
    cr_expect(writer.failed);
    template_fini(&template);
}

Test(header, names)
{
    static const char *const GOOD[] = {"X-Team",        "x-openwebui-user",
                                       "Authorization", "A",
                                       "X-1",           "Hosts",
                                       "X-Forwarder",   "X-234567890123456789012345678901234567"};
    static const char *const BAD[] = {"",
                                      "X_Team",
                                      "X Team",
                                      "X-Team:",
                                      "X-Te\xc3\xa4m",
                                      "X.Team",
                                      "X-Team\r\nEvil",
                                      "X-2345678901234567890123456789012345678",
                                      "Host",
                                      "host",
                                      "CONNECTION",
                                      "Transfer-Encoding",
                                      "Content-Length",
                                      "Upgrade",
                                      "TE",
                                      "Sec-WebSocket-Key",
                                      "X-Forwarded-For",
                                      "x-forwarded-proto",
                                      "X-Forwarded-Anything",
                                      "X-Forwarded",
                                      "Forwarded",
                                      "X-Real-IP",
                                      "X-Client-IP",
                                      "True-Client-IP",
                                      "CF-Connecting-IP",
                                      "X-Request-ID",
                                      "Cookie",
                                      "origin",
                                      "Accept",
                                      "Content-Type",
                                      "x-api-key",
                                      "X-CSRF-Token",
                                      "X-Requested-With"};
    for (size_t i = 0; i < COUNT_OF(GOOD); i++)
        cr_expect_eq(header_name_check(slice_of(GOOD[i]), NULL), ERROR_OK, "%s", GOOD[i]);
    for (size_t i = 0; i < COUNT_OF(BAD); i++) {
        struct error_text text = {""};
        cr_expect_neq(header_name_check(slice_of(BAD[i]), &text), ERROR_OK, "%s", BAD[i]);
        cr_expect_neq(text.text[0], '\0', "%s", BAD[i]);
    }
}

Test(header, variables)
{
    char variable[HEADER_NAME_MAX_BYTES + 3];
    header_variable_name(SLICE("X-Team-1"), variable);
    cr_expect_str_eq(variable, "h_x_team_1");
    header_variable_name(SLICE("X-234567890123456789012345678901234567"), variable);
    cr_expect_eq(strlen(variable), 40);
}

struct label_row {
    const char *pattern;
    const char *label;
    bool matches;
};

static const struct label_row LABELS[] = {
    {"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$", "acme", true},
    {"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$", "a", true},
    {"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$", "acme-", false},
    {"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$", "", false},
    {"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", "a23456789012345678901234567890123", false},
    {"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", "a2345678901234567890123456789012", true},
    /* anchored at both ends, alternatives included */
    {"acme", "acme", true},
    {"acme", "acme2", false},
    {"acme", "myacme", false},
    {"a|b", "a", true},
    {"a|b", "ab", false},
    {"a|ab", "ab", true},
    {"(?!admin)[a-z]+", "acme", true},
    {"(?!admin)[a-z]+", "administrator", false},
    {"(?!(admin|www)$)[a-z]+", "www", false},
    {"(?!(admin|www)$)[a-z]+", "wwwx", true},
    {"(?<team>[a-z]+)-(?<stage>prod|dev)", "acme-dev", true},
    {".*", "anything_at-all", true},
    /* what takes a backtracking matcher for ever */
    {"(a*)*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
    {"(a|aa)+", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", false},
    {"(a|aa)+", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", true},
    /* too much for the workspace, or endless: no match, and no crash */
    {"(?:(?:(?:a?){60}){60})", "aaaaaaaaaaaaaaaaaaaaaaaa", false},
    {"a(?R)?b", "aabb", true},
    {"(?R)?a", "a", false},
    {"((?=a)(?1))*a", "a", false},
};

Test(label, patterns)
{
    for (size_t i = 0; i < COUNT_OF(LABELS); i++) {
        struct error_text text = {""};
        struct label_pattern *pattern = label_pattern_new(slice_of(LABELS[i].pattern), &text);
        cr_assert_not_null(pattern, "%s: %s", LABELS[i].pattern, text.text);
        bool matches = label_pattern_matches(pattern, slice_of(LABELS[i].label));
        cr_expect_eq(matches, LABELS[i].matches, "%s on %s", LABELS[i].pattern, LABELS[i].label);
        label_pattern_unref(pattern);
    }
}

Test(label, matching_allocates_nothing)
{
    free(memory_new(1 + allocations_count()));
    cr_assert_gt(allocations_count(), 0u, "allocations are not counted");
    for (size_t i = 0; i < COUNT_OF(LABELS); i++) {
        struct label_pattern *pattern = label_pattern_new(slice_of(LABELS[i].pattern), NULL);
        size_t before = allocations_count();
        bool matches = label_pattern_matches(pattern, slice_of(LABELS[i].label));
        size_t after = allocations_count();
        cr_expect_eq(after, before, "%s", LABELS[i].pattern);
        cr_expect_eq(matches, LABELS[i].matches);
        label_pattern_unref(pattern);
    }
}

Test(label, bad_patterns_are_told)
{
    static const char *const BAD[] = {
        "", "(", "[a", "a{2,1}", "(a)\\1", "(?<x>a)\\k<x>", "a\\Kb", "(*COMMIT)a", "\\C", "*"};
    for (size_t i = 0; i < COUNT_OF(BAD); i++) {
        struct error_text text = {""};
        cr_expect_null(label_pattern_new(slice_of(BAD[i]), &text), "%s", BAD[i]);
        cr_expect_neq(text.text[0], '\0', "%s", BAD[i]);
    }
    char huge[300];
    memset(huge, 'a', sizeof(huge));
    cr_expect_null(label_pattern_new(slice_from(huge, sizeof(huge)), NULL));
}

Test(tenant, names)
{
    static const char *const GOOD[] = {
        "a",  "acme",    "a1",
        "1a", "a.b_c-d", "a23456789012345678901234567890123456789012345678901234567890123"};
    static const char *const BAD[] = {
        "",    "-a",       "a-",
        ".a",  "a.",       "_",
        "A",   "a b",      "a/b",
        "a\n", "\xc3\xbc", "a234567890123456789012345678901234567890123456789012345678901234"};
    for (size_t i = 0; i < COUNT_OF(GOOD); i++)
        cr_expect(tenant_name_valid(slice_of(GOOD[i])), "%s", GOOD[i]);
    for (size_t i = 0; i < COUNT_OF(BAD); i++)
        cr_expect_not(tenant_name_valid(slice_of(BAD[i])), "%s", BAD[i]);
}

/* With something in every field. */
static struct tenant *full_tenant(void)
{
    struct tenant *tenant = tenant_new();
    tenant->name = memory_copy_text(SLICE("acme"));
    tenant->host_count = tenant->path_count = tenant->header_count = 1;
    tenant->hosts = memory_new(sizeof(*tenant->hosts));
    tenant->hosts[0].name = memory_copy_text(SLICE("a.tld"));
    tenant->paths = memory_new(sizeof(*tenant->paths));
    tenant->paths[0].host = memory_copy_text(SLICE("b.tld"));
    tenant->paths[0].prefix = memory_copy_text(SLICE("/p"));
    tenant->paths[0].only = memory_new(sizeof(*tenant->paths[0].only));
    tenant->paths[0].only[0] = memory_copy_text(SLICE("/api/"));
    tenant->paths[0].only_count = 1;
    tenant->headers = memory_new(sizeof(*tenant->headers));
    tenant->headers[0].name = memory_copy_text(SLICE("X-Team"));
    cr_assert_eq(template_parse(SLICE("{tenant}"), &tenant->headers[0].value, NULL), ERROR_OK);
    tenant->label = label_pattern_new(SLICE("[a-z]+"), NULL);
    tenant->backend = memory_copy_text(SLICE("big"));
    tenant->upstream.host = memory_copy_text(SLICE("10.0.0.1"));
    tenant->upstream.server_name = memory_copy_text(SLICE("a.internal"));
    cr_assert_eq(template_parse(SLICE("{1}.int"), &tenant->upstream.host_template, NULL), ERROR_OK);
    memset(tenant_prepare(tenant, BRIEF_NEAR_BYTES + 1), 'x', BRIEF_NEAR_BYTES + 1);
    tenant->brief->plain_size = tenant->brief->slots_size = 3;
    return tenant;
}

/* AddressSanitizer tells when the two share something, or when something leaks. */
Test(tenant, a_clone_stands_alone)
{
    struct tenant *tenant = full_tenant();
    struct tenant *clone = tenant_clone(tenant);
    tenant_free(tenant);
    cr_expect_str_eq(clone->name, "acme");
    cr_expect_str_eq(clone->hosts[0].name, "a.tld");
    cr_expect_str_eq(clone->paths[0].host, "b.tld");
    cr_expect_str_eq(clone->paths[0].prefix, "/p");
    cr_expect_str_eq(clone->paths[0].only[0], "/api/");
    cr_expect_str_eq(clone->headers[0].name, "X-Team");
    cr_expect_eq(clone->headers[0].value.parts[0].placeholder, HEADER_TENANT);
    cr_expect(label_pattern_matches(clone->label, SLICE("x")));
    cr_expect_str_eq(clone->backend, "big");
    cr_expect_str_eq(clone->upstream.host, "10.0.0.1");
    cr_expect_str_eq(clone->upstream.server_name, "a.internal");
    cr_expect_str_eq(clone->upstream.host_template.parts[1].literal, ".int");
    cr_expect(clone->brief->tenant == clone);
    cr_expect_not(clone->brief->is_far);
    cr_expect_eq(clone->brief->plain_size + clone->brief->slots_size, 0);
    tenant_free(clone);
    tenant_free(NULL);
}

Test(tenant, an_empty_one_can_be_cloned)
{
    struct tenant *tenant = tenant_new();
    tenant->name = memory_copy_text(SLICE("a"));
    struct tenant *clone = tenant_clone(tenant);
    tenant_free(tenant);
    cr_expect_null(clone->hosts);
    cr_expect_null(clone->headers);
    tenant_free(clone);
}

static bool allowed(const struct settings *settings, const char *address)
{
    struct ip ip;
    cr_assert(ip_parse(slice_of(address), &ip), "%s", address);
    return settings_upstream_allowed(settings, &ip);
}

Test(settings, upstreams)
{
    static const char *const NEVER[] = {
        "0.0.0.0", "0.1.2.3", "169.254.169.254", "224.0.0.1", "239.255.255.255", "240.0.0.1",
        "255.255.255.255", "::", "fe80::1", "febf::1", "ff02::1", "::ffff:169.254.169.254",
        /* the same in what is translated or tunnelled to IPv4 */
        "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "::ffff:0:a9fe:a9fe", "::a9fe:a9fe",
        "2002:a9fe:a9fe::1", "64:ff9b::", "2002:e000:1::",
        /* where clouds tell their machines' secrets by IPv6 */
        "fd00:ec2::254", "fd20:ce::254"};
    struct settings any = {0};
    for (size_t i = 0; i < COUNT_OF(NEVER); i++)
        cr_expect_not(allowed(&any, NEVER[i]), "%s", NEVER[i]);
    cr_expect(allowed(&any, "127.0.0.1"));
    cr_expect(allowed(&any, "::1"));
    cr_expect(allowed(&any, "203.0.113.9"));
    cr_expect(allowed(&any, "64:ff9b::cb00:7109"));
    cr_expect(allowed(&any, "2002:cb00:7109::1"));
    cr_expect(allowed(&any, "fd00:ec2::253"));
    cr_expect(allowed(&any, "2001:db8::a9fe:a9fe"));
    const struct ip nowhere = {.family = IP_NONE};
    cr_expect_not(settings_upstream_allowed(&any, &nowhere));

    struct settings *settings = memory_new(sizeof(*settings));
    settings->upstream_allow = memory_resize(NULL, 2, sizeof(*settings->upstream_allow));
    settings->upstream_allow_count = 2;
    cr_assert(ip_network_parse(SLICE("10.0.0.0/8"), &settings->upstream_allow[0]));
    cr_assert(ip_network_parse(SLICE("169.254.0.0/16"), &settings->upstream_allow[1]));
    cr_expect(allowed(settings, "10.255.0.1"));
    cr_expect_not(allowed(settings, "11.0.0.1"));
    cr_expect_not(allowed(settings, "127.0.0.1"));
    cr_expect_not(allowed(settings, "::1"));
    cr_expect_not(allowed(settings, "169.254.169.254"));
    settings_free(settings);
}
