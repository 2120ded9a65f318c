/* conf: tenants. */
#include "conf_fixture.h"

#include "core/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void assert_good(struct fixture *fixture)
{
    char *said = fixture_text(fixture);
    cr_assert(fixture->good, "%s", said);
    free(said);
}

Test(conf_tenants, the_smallest_one)
{
    struct fixture *fixture = fixture_of("{\"tenants\": {\n \"chat\": {\n  \"hosts\": "
                                         "[\"Chat.Example.COM\",\n    \"*.b\xc3\xbc.test\"],\n"
                                         "  \"upstream\": \"http://127.0.0.1:3000\"}}}");
    assert_good(fixture);
    const struct tenant *tenant = fixture_tenant(fixture, "chat");
    cr_assert(eq(sz, tenant->host_count, 2));
    cr_assert(eq(str, tenant->hosts[0].name, "chat.example.com"));
    cr_assert(eq(str, tenant->hosts[1].name, "xn--b-eha.test"));
    cr_assert(tenant->hosts[1].wildcard);
    cr_assert(eq(u32, tenant->hosts[1].place.line, 4));
    cr_assert(eq(u32, tenant->hosts[1].place.column, 5));
    cr_assert(eq(u32, tenant->place.line, 2));
    cr_assert(eq(u32, tenant->place.column, 2));
    cr_assert(tenant->https_redirect);
    cr_assert(eq(int, (int)tenant->upstream.scheme, UPSTREAM_HTTP));
    cr_assert(eq(str, tenant->upstream.host, "127.0.0.1"));
    cr_assert(eq(u16, tenant->upstream.port, 3000));
    cr_assert(eq(int, tenant->upstream.address.family, IP_V4));
    fixture_free(fixture);
}

static const struct {
    const char *text;
    enum upstream_scheme scheme;
    char *host, *server_name;
    uint16_t port;
    int family;
} UPSTREAMS[] = {
    {"\"http://chat\"", UPSTREAM_HTTP, "chat", NULL, 80, IP_NONE},
    {"\"http://open_webui:8080/\"", UPSTREAM_HTTP, "open_webui", NULL, 8080, IP_NONE},
    {"\"https://Chat.Internal\"", UPSTREAM_HTTPS, "chat.internal", "chat.internal", 443, IP_NONE},
    {"\"http://[fd00::1]:3000\"", UPSTREAM_HTTP, "fd00::1", NULL, 3000, IP_V6},
    {"\"http://[FD00:0::1]:3000\"", UPSTREAM_HTTP, "fd00::1", NULL, 3000, IP_V6},
    {"\"http://[::ffff:127.0.0.1]:3000\"", UPSTREAM_HTTP, "127.0.0.1", NULL, 3000, IP_V4},
    {"\"https://10.0.0.1:8443\", \"upstream_tls\": {\"verify\": false}", UPSTREAM_HTTPS_NO_VERIFY,
     "10.0.0.1", NULL, 8443, IP_V4},
    {"\"https://10.0.0.1\", \"upstream_tls\": {\"server_name\": \"C.i\"}", UPSTREAM_HTTPS,
     "10.0.0.1", "c.i", 443, IP_V4},
};

Test(conf_tenants, upstreams)
{
    for (size_t i = 0; i < COUNT_OF(UPSTREAMS); i++) {
        char *text = memory_format("{\"tenants\": {\"t\": {\"hosts\": [\"a.test\"], "
                                   "\"upstream\": %s}}}",
                                   UPSTREAMS[i].text);
        struct fixture *fixture = fixture_of(text);
        assert_good(fixture);
        const struct upstream *upstream = &fixture_tenant(fixture, "t")->upstream;
        cr_expect(eq(int, (int)upstream->scheme, (int)UPSTREAMS[i].scheme));
        cr_expect(eq(str, upstream->host, UPSTREAMS[i].host));
        cr_expect(eq(u16, upstream->port, UPSTREAMS[i].port));
        cr_expect(eq(int, upstream->address.family, UPSTREAMS[i].family));
        if (UPSTREAMS[i].server_name != NULL)
            cr_expect(eq(str, upstream->server_name, UPSTREAMS[i].server_name));
        else
            cr_expect(upstream->server_name == NULL);
        fixture_free(fixture);
        free(text);
    }
}

Test(conf_tenants, labels)
{
    struct fixture *fixture =
        fixture_of("{\"tenants\": {\"fleet\": {\"hosts\": [\"*.ai.test\"], \"label\": \"[a-z]+\","
                   "\"upstream\": \"https://{1}.{label}.internal:8443\","
                   "\"headers\": {\"X-Label\": \"{1}\"}}}}");
    assert_good(fixture);
    cr_assert(eq(sz, fixture->diagnostics.count, 0));
    const struct tenant *tenant = fixture_tenant(fixture, "fleet");
    cr_assert(tenant->upstream.per_label);
    cr_assert(tenant->upstream.host == NULL);
    cr_assert(tenant->upstream.host_template.has_label);
    cr_assert(tenant->label != NULL);
    fixture_free(fixture);
}

Test(conf_tenants, paths)
{
    struct fixture *fixture = fixture_of(
        "{\"tenants\": {\"home\": {\"hosts\": [\"chat.a.test\"], \"upstream\": \"http://h\","
        "\"paths\": [{\"host\": \"a.test\", \"prefix\": \"/owui/\"},\n"
        "{\"host\": \"*.b.test\", \"prefix\": \"/llm/v1\", \"mode\": \"strip\", "
        "\"only\": [\"/api/\", \"/openai/\"]}]}}}");
    assert_good(fixture);
    cr_assert(eq(sz, fixture->diagnostics.count, 0));
    const struct tenant *tenant = fixture_tenant(fixture, "home");
    cr_assert(eq(sz, tenant->path_count, 2));
    cr_assert(eq(int, (int)tenant->paths[0].mode, PATH_REDIRECT));
    cr_assert(eq(str, tenant->paths[0].prefix, "/owui"));
    cr_assert(eq(int, (int)tenant->paths[1].mode, PATH_STRIP));
    cr_assert(tenant->paths[1].wildcard);
    cr_assert(eq(int, tenant->paths[1].segments, 2));
    cr_assert(eq(str, tenant->paths[1].only[1], "/openai/"));
    cr_assert(eq(u32, tenant->paths[1].place.line, 2));
    fixture_free(fixture);
}

static const struct header *find_header(const struct tenant *tenant, const char *name)
{
    for (size_t i = 0; i < tenant->header_count; i++)
        if (strcmp(tenant->headers[i].name, name) == 0)
            return &tenant->headers[i];
    return NULL;
}

Test(conf_tenants, headers_are_inherited_changed_and_dropped)
{
    struct fixture *fixture = fixture_of(
        "{\"headers\": {\"X-Site\": \"main\"},"
        "\"defaults\": {\"https\": \"off\", \"headers\": {\"X-A\": \"1\", \"X-B\": \"2\", "
        "\"X-C\": \"3\"}},"
        "\"tenants\": {\"t\": {\"hosts\": [\"a.test\"], \"upstream\": \"http://h\", "
        "\"headers\": {\"x-a\": \"{tenant}\", \"X-B\": null, \"X-D\": \"{client_ip}\"}}}}");
    assert_good(fixture);
    const struct tenant *tenant = fixture_tenant(fixture, "t");
    cr_assert(eq(sz, tenant->header_count, 4));
    cr_assert(find_header(tenant, "X-Site") != NULL);
    cr_assert(find_header(tenant, "X-A") == NULL);
    cr_assert(find_header(tenant, "x-a") != NULL);
    cr_assert(find_header(tenant, "X-B") == NULL);
    cr_assert(find_header(tenant, "X-C") != NULL);
    cr_assert(find_header(tenant, "X-D")->value.dynamic);
    cr_assert_not(tenant->https_redirect);

    const struct hap_config *haproxy = &fixture->whole.configuration->haproxy;
    cr_assert(eq(sz, haproxy->header_count, 4));
    cr_assert(eq(str, haproxy->headers[0].name, "x-a"));
    cr_assert(eq(str, haproxy->headers[0].variable, "h_x_a"));
    fixture_free(fixture);
}

Test(conf_tenants, a_broken_one_does_not_touch_the_others)
{
    struct fixture *fixture = fixture_new();
    struct tenant_file file;
    fixture_write(fixture, "owui-spoa.json", "{}");
    fixture_write(fixture, "tenants.d/x.json",
                  "{\"tenants\": {\"a\": {\"hosts\": [\"a.test\"], \"upstream\": \"http://h\"},"
                  "\"b\": {\"hosts\": [\"b.test\"]}, \"_c\": 1,"
                  "\"d\": {\"hosts\": [\"d.test\"], \"upstream\": \"http://h\"}}}");
    fixture_load(fixture);
    cr_assert(eq(sz, fixture->whole.tenant_count, 2));
    cr_assert(eq(sz, fixture->whole.broken_count, 1));
    char *path = memory_format("%s/tenants.d/x.json", fixture->folder);
    tenant_file_load(path, fixture->whole.configuration, &file, &fixture->diagnostics);
    cr_assert(eq(sz, file.broken_count, 1));
    cr_assert(eq(str, file.broken[0], "b"));
    cr_assert_not(file.unreadable);
    tenant_file_fini(&file);

    fixture_write(fixture, "tenants.d/x.json", "{\"tenants\": {\"a\": {\"hos");
    tenant_file_load(path, fixture->whole.configuration, &file, &fixture->diagnostics);
    cr_assert(file.unreadable);
    tenant_file_fini(&file);
    free(path);
    fixture_free(fixture);
}

static uint64_t hash_of(const char *global, const char *tenant)
{
    char *text = memory_format("{%s \"tenants\": {\"t\": {%s}}}", global, tenant);
    struct fixture *fixture = fixture_of(text);
    assert_good(fixture);
    uint64_t hash = fixture_tenant(fixture, "t")->content_hash;
    fixture_free(fixture);
    free(text);
    return hash;
}

Test(conf_tenants, the_content_hash_is_one_of_meaning)
{
    uint64_t hash = hash_of("", "\"hosts\": [\"a.test\"], \"upstream\": \"http://h\"");
    cr_assert(
        eq(u64, hash, hash_of("", "\"upstream\":\"http://h\",\n\"_\":1,\"hosts\":[ \"a.test\" ]")));
    cr_assert(ne(u64, hash, hash_of("", "\"hosts\": [\"b.test\"], \"upstream\": \"http://h\"")));
    cr_assert(ne(u64, hash,
                 hash_of("\"defaults\": {\"https\": \"off\"},",
                         "\"hosts\": [\"a.test\"], \"upstream\": \"http://h\"")));
}

/* Broad bounds, and of the process's own time: nothing may be quadratic, in tenants or in errors,
 * in one line or in many. */
static void read_many(const char *separator, uint32_t line)
{
    enum { TENANTS = 20000 };
    struct fixture *fixture = fixture_new();
    char *path = memory_format("%s/owui-spoa.json", fixture->folder);
    FILE *file = fopen(path, "w");
    cr_assert(file != NULL);
    fputs("{\"tenants\": {", file);
    for (int i = 0; i < TENANTS; i++)
        fprintf(file,
                "%s%s\"t%d\": {\"hosts\": [\"t%d.test\"], \"%s\": \"http://10.0.%d.%d:3000\"}",
                i > 0 ? "," : "", separator, i, i, i % 10 == 0 ? "upsteam" : "upstream",
                i / 250 % 250, i % 250);
    fputs("}}\n", file);
    cr_assert(eq(int, fclose(file), 0));
    clock_t start = clock();
    fixture_load(fixture);
    double took_s = (double)(clock() - start) / CLOCKS_PER_SEC;
    cr_assert(eq(sz, fixture->whole.tenant_count, TENANTS - TENANTS / 10));
    cr_assert(eq(sz, fixture->whole.broken_count, TENANTS / 10));
    cr_assert(eq(sz, fixture->diagnostics.errors, TENANTS / 10));
    cr_assert(eq(u32, fixture_tenant(fixture, "t7777")->place.line, line));
    cr_assert(lt(dbl, took_s, 30));
    free(path);
    fixture_free(fixture);
}

Test(conf_tenants, many_in_lines_are_read_in_linear_time)
{
    read_many("\n  ", 7779);
}

Test(conf_tenants, many_in_one_line_are_read_in_linear_time)
{
    read_many("", 1);
}

/* A tenant with a member that has so many entries, each on a line of its own, "#" being its number.
 */
static struct fixture *fixture_of_entries(const char *opening, const char *entry, size_t count,
                                          const char *closing)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    fprintf(out, "{\"tenants\": {\"t\": {\"hosts\": [\"a.test\"], \"upstream\": \"http://h\", %s",
            opening);
    for (size_t i = 0; i < count; i++) {
        fputs(i > 0 ? ",\n" : "\n", out);
        const char *number = strchrnul(entry, '#');
        fprintf(out, "%.*s", (int)(number - entry), entry);
        if (*number != '\0')
            fprintf(out, "%zu%s", i, number + 1);
    }
    fprintf(out, "%s}}}", closing);
    fclose(out);
    struct fixture *fixture = fixture_of(text);
    free(text);
    return fixture;
}

Test(conf_tenants, a_repeated_value_is_told_of_as_often_as_it_is_repeated)
{
    struct fixture *fixture = fixture_of_entries("\"origins\": [", "\"https://x.test\"", 20, "]");
    cr_assert(fixture_said(fixture, CODE_LISTED_TWICE));
    cr_assert(eq(sz, fixture->diagnostics.count, 19));
    for (size_t i = 0; i < fixture->diagnostics.count; i++)
        cr_expect(eq(u32, fixture->diagnostics.items[i].place.line, (uint32_t)i + 3));
    fixture_free(fixture);
}

Test(conf_tenants, a_list_that_is_too_long_is_not_looked_into)
{
    static const struct {
        const char *opening, *entry, *closing;
        size_t most;
    } LISTS[] = {{"\"origins\": [", "\"nonsense #\"", "]", 64},
                 {"\"headers\": {", "\"X-H#\": 1", "}", 256},
                 {"\"routes\": [", "{\"#\": 1}", "]", 64},
                 {"\"allow_ips\": [", "\"nonsense #\"", "]", 256}};
    for (size_t i = 0; i < COUNT_OF(LISTS); i++) {
        struct fixture *fixture = fixture_of_entries(LISTS[i].opening, LISTS[i].entry,
                                                     LISTS[i].most + 1, LISTS[i].closing);
        cr_expect(fixture_said(fixture, CODE_OUT_OF_RANGE), "%s", LISTS[i].opening);
        cr_expect(le(sz, fixture->diagnostics.count, 2));
        fixture_free(fixture);
        fixture =
            fixture_of_entries(LISTS[i].opening, LISTS[i].entry, LISTS[i].most, LISTS[i].closing);
        cr_expect(ge(sz, fixture->diagnostics.count, LISTS[i].most), "%s", LISTS[i].opening);
        fixture_free(fixture);
    }
}

/* Each is found behind the one before it, and what is told of a list as a whole in between. */
Test(conf_tenants, many_wrong_values_are_each_told_of_in_their_place)
{
    struct fixture *fixture =
        fixture_of_entries("\"limits\": {", "\"nonsense_#\": 1", 300, "}, \"routes\": 1");
    cr_assert(eq(sz, fixture->diagnostics.count, 301));
    for (size_t i = 0; i < 300; i++) {
        char *expected = memory_format("nonsense_%u", (unsigned)i);
        cr_expect(eq(u32, fixture->diagnostics.items[i].place.line, (uint32_t)i + 2));
        cr_expect(eq(u32, fixture->diagnostics.items[i].place.column, 1));
        cr_expect(strstr(fixture->diagnostics.items[i].message, expected) != NULL);
        free(expected);
    }
    cr_expect(eq(u32, fixture->diagnostics.items[300].place.line, 301));
    fixture_free(fixture);
}
