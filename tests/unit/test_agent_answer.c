/* agent/answer: requests in, decisions and the very actions out. */
#include "agent/actions.h"
#include "agent/answer.h"
#include "agent/instance.h"
#include "allocations.h"
#include "core/clock.h"
#include "core/memory.h"
#include "route/label.h"
#include "route/label_map.h"
#include "support/spop_peer.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* -- Tenants and a snapshot of them ----------------------------------------------------------- */

/* "chat.acme.com", "*.ai.acme.com", "acme.com/owui" with the mode of a path rule. */
static void add_key(struct tenant *tenant, const char *key, enum path_mode mode)
{
    bool wildcard = key[0] == '*';
    const char *host = key + (wildcard ? 2 : 0);
    const char *prefix = strchr(host, '/');
    if (prefix == NULL) {
        tenant->hosts =
            memory_resize(tenant->hosts, tenant->host_count + 1, sizeof(*tenant->hosts));
        tenant->hosts[tenant->host_count++] =
            (struct tenant_host){memory_copy_text(slice_of(host)), wildcard, {0}};
        return;
    }
    tenant->paths = memory_resize(tenant->paths, tenant->path_count + 1, sizeof(*tenant->paths));
    tenant->paths[tenant->path_count++] = (struct path_rule){
        .host = memory_copy_text(slice_from(host, (size_t)(prefix - host))),
        .wildcard = wildcard,
        .prefix = memory_copy_text(slice_of(prefix)),
        .segments = (uint8_t)path_segments(slice_of(prefix)),
        .mode = mode,
    };
}

static void add_header(struct tenant *tenant, const char *name, const char *value)
{
    tenant->headers =
        memory_resize(tenant->headers, tenant->header_count + 1, sizeof(*tenant->headers));
    struct header *header = &tenant->headers[tenant->header_count++];
    struct error_text why;
    header->name = memory_copy_text(slice_of(name));
    header_variable_name(slice_of(name), header->variable);
    cr_assert(eq(int, template_parse(slice_of(value), &header->value, &why), ERROR_OK), "%s",
              why.text);
}

static struct tenant *tenant_at(const char *name, const char *key, const char *address)
{
    struct tenant *tenant = tenant_new();
    tenant->name = memory_copy_text(slice_of(name));
    tenant->upstream.host = memory_copy_text(slice_of(address));
    tenant->upstream.port = 3000;
    if (!ip_parse(slice_of(address), &tenant->upstream.address))
        tenant->upstream.address = (struct ip){0};
    add_key(tenant, key, PATH_REDIRECT);
    return tenant;
}

static struct route_registry *registry;
static struct settings settings;
static struct snapshot snapshot;
static struct proxy_group group;
static struct ip_network group_network;

static void put(struct tenant *tenant)
{
    struct error_text why;
    cr_assert(eq(int, answer_prepare(tenant, &why), ERROR_OK), "%s", why.text);
    route_registry_put(registry, tenant, NULL, NULL);
}

/* The tenants that most tests ask for. */
static void put_everybody(void)
{
    struct tenant *acme = tenant_at("acme", "chat.acme.com", "10.1.0.11");
    acme->https_redirect = true;
    add_key(acme, "acme.com/owui", PATH_REDIRECT);
    add_key(acme, "acme.com/llm/v1", PATH_STRIP);
    add_key(acme, "acme.com/kept", PATH_KEEP);
    put(acme);

    struct tenant *plain = tenant_at("plain", "plain.test", "2001:db8::7");
    add_header(plain, "X-Team", "blue");
    add_header(plain, "X-Tenant", "<{tenant}>");
    put(plain);

    struct tenant *fancy = tenant_at("fancy", "fancy.test", "10.1.0.12");
    add_header(fancy, "X-Team", "red");
    add_header(fancy, "X-From", "{client_ip} by {proto} to {host}");
    put(fancy);

    struct tenant *big = tenant_at("bigcorp", "ai.bigcorp.com", "10.1.0.13");
    big->backend = memory_copy_text(SLICE("bigcorp"));
    put(big);

    struct tenant *secure = tenant_at("secure", "secure.test", "10.1.0.14");
    secure->upstream.scheme = UPSTREAM_HTTPS;
    secure->upstream.server_name = memory_copy_text(SLICE("owui.internal"));
    put(secure);

    struct tenant *strict = tenant_at("strict", "chat.strict.test", "10.1.0.18");
    strict->https_redirect = true;
    strict->canonical_host = true;
    strict->hsts = memory_copy_text(SLICE("max-age=60"));
    add_key(strict, "ai.strict.test", PATH_REDIRECT);
    add_key(strict, "acme.com/strict", PATH_STRIP);
    put(strict);

    struct tenant *moved = tenant_at("moved", "*.new.test", "10.1.0.19");
    moved->canonical_host = true;
    add_key(moved, "*.old.test", PATH_REDIRECT);
    put(moved);

    struct tenant *six = tenant_at("six", "2001:db8::1", "10.1.0.22");
    six->canonical_host = true;
    add_key(six, "six.test", PATH_REDIRECT);
    add_key(six, "acme.com/six", PATH_REDIRECT);
    put(six);

    struct tenant *down = tenant_at("down", "down.test", "10.1.0.20");
    down->maintenance = memory_new(sizeof(*down->maintenance));
    *down->maintenance = (struct maintenance){.on = true, .retry_after_s = 60, .allow_count = 1};
    down->maintenance->allow = memory_new(sizeof(*down->maintenance->allow));
    cr_assert(ip_network_parse(SLICE("203.0.113.0/24"), &down->maintenance->allow[0]));
    add_key(down, "acme.com/down", PATH_STRIP);
    put(down);

    struct tenant *unpaid = tenant_at("unpaid", "unpaid.test", "not.resolved.yet");
    unpaid->suspended = memory_new(sizeof(*unpaid->suspended));
    unpaid->suspended->status = 402;
    unpaid->maintenance = memory_new(sizeof(*unpaid->maintenance));
    unpaid->maintenance->has_window = true;
    unpaid->maintenance->to_s = INT64_MAX;
    put(unpaid);

    struct tenant *taker = tenant_at("taker", "taker.test", "10.1.0.21");
    taker->takes_over = true;
    add_key(taker, "plain.test/owui", PATH_TAKEOVER);
    put(taker);

    put(tenant_at("pending", "pending.test", "not.resolved.yet"));

    struct tenant *wild = tenant_at("wild", "*.ai.example.com", "10.1.0.15");
    wild->label = label_pattern_new(SLICE("[a-z]+"), NULL);
    add_header(wild, "X-Label", "{label}");
    put(wild);

    struct tenant *fleet = tenant_at("fleet", "*.fleet.example.com", "unused");
    fleet->upstream.per_label = true;
    cr_assert(eq(int, template_parse(SLICE("{1}.internal"), &fleet->upstream.host_template, NULL),
                 ERROR_OK));
    add_header(fleet, "X-Label", "{1}@{tenant}");
    put(fleet);
    struct ip address;
    cr_assert(ip_parse(SLICE("10.9.0.1"), &address));
    struct tenant *instance = instance_new(fleet, SLICE("known"), "known.internal", &address, NULL);
    cr_assert_not_null(instance);
    route_registry_put(registry, instance, NULL, NULL);
}

static void build_snapshot(void)
{
    route_table_free(snapshot.table);
    snapshot.table = route_registry_build(registry, ++snapshot.generation);
    snapshot.settings = &settings;
}

static void setup(void)
{
    registry = route_registry_new();
    cr_assert(ip_network_parse(SLICE("10.0.0.0/8"), &group_network));
    group = (struct proxy_group){
        .source = CLIENT_X_FORWARDED_FOR, .networks = &group_network, .network_count = 1};
    settings = (struct settings){.trusted_proxies = {&group, 1}, .unknown_host_status = 404};
    put_everybody();
    build_snapshot();
}

static void teardown(void)
{
    route_table_free(snapshot.table);
    route_registry_free(registry);
    snapshot.table = NULL;
    snapshot.stamp_size = 0;
}

TestSuite(answer, .init = setup, .fini = teardown);

/* -- A request as HAProxy sends it, and its answer as text ------------------------------------ */

struct question {
    const char *src;
    bool tls;
    const char *host; /* NULL: HAProxy sends NULL */
    const char *path;
    const char *up;
    const char *ck;
    bool hb;
    const char *xff[3]; /* in the order of the request */
    const char *xfp;
    const char *rid;
};

static uint8_t message_bytes[16 * 1024];

static void write_null(struct writer *writer, struct slice name)
{
    spop_write_string(writer, name);
    writer_u8(writer, SPOP_NULL);
}

static void write_text(struct writer *writer, const char *name, const char *value)
{
    if (value == NULL)
        write_null(writer, slice_of(name));
    else
        peer_write_string(writer, slice_of(name), slice_of(value));
}

static struct slice message_of(const struct question *question)
{
    struct writer writer = writer_of(message_bytes, sizeof(message_bytes));
    struct ip src;
    unsigned lines = 0;
    cr_assert(ip_parse(slice_of(question->src), &src));
    while (lines < 3 && question->xff[lines] != NULL)
        lines++;

    peer_write_message(&writer, SLICE("route"), 13);
    peer_write_ip(&writer, SLICE("src"), slice_from(src.bytes, src.family == IP_V4 ? 4 : 16));
    peer_write_boolean(&writer, SLICE("tls"), question->tls);
    write_text(&writer, "host", question->host);
    write_text(&writer, "path", question->path);
    write_text(&writer, "up", question->up);
    write_text(&writer, "ck", question->ck);
    peer_write_boolean(&writer, SLICE("hb"), question->hb);
    for (unsigned i = 0; i < 3; i++) {
        char name[] = {'x', 'f', 'f', (char)('1' + i), '\0'};
        write_text(&writer, name, i < lines ? question->xff[lines - 1 - i] : NULL);
    }
    spop_write_string(&writer, SLICE("xffn"));
    writer_u8(&writer, SPOP_INT64);
    spop_write_varint(&writer, lines);
    write_text(&writer, "xfp", question->xfp);
    write_text(&writer, "rid", question->rid);
    cr_assert_not(writer.failed);
    return writer_written(&writer);
}

static void append(char **end, const char *limit, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    *end += vsnprintf(*end, (size_t)(limit - *end), format, arguments);
    va_end(arguments);
    cr_assert(limit > *end);
}

static void print_headers(char **end, const char *limit, struct slice bytes)
{
    struct reader reader = reader_of(bytes);
    struct slice name, value;
    while (header_pair_next(&reader, &name, &value))
        append(end, limit, "[%.*s: %.*s]", SLICE_PRINT(name), SLICE_PRINT(value));
    cr_assert_not(reader.failed);
    cr_assert(eq(sz, reader_left(&reader), 0));
}

/* "tenant=acme dst=10.1.0.11 ..." */
static const char *print_actions(struct slice bytes)
{
    static char text[2048];
    char *end = text;
    const char *limit = text + sizeof(text);
    struct reader reader = reader_of(bytes);
    struct action action;
    char ip_text[IP_TEXT_SIZE];
    struct ip ip;

    text[0] = '\0';
    while (action_next(&reader, &action)) {
        bool of_session = action.scope == SPOP_SCOPE_SESSION;
        cr_expect(of_session || action.scope == SPOP_SCOPE_TRANSACTION);
        append(&end, limit, "%s%s%s%.*s", end > text ? " " : "", action.is_unset ? "-" : "",
               of_session ? "sess." : "", SLICE_PRINT(action.name));
        if (action.is_unset)
            continue;
        append(&end, limit, "=");
        switch (action.value.type) {
        case SPOP_BOOLEAN:
            append(&end, limit, "%s", action.value.boolean ? "true" : "false");
            break;
        case SPOP_STRING: append(&end, limit, "%.*s", SLICE_PRINT(action.value.bytes)); break;
        case SPOP_BINARY: print_headers(&end, limit, action.value.bytes); break;
        case SPOP_IPV4:
        case SPOP_IPV6:
            cr_assert(ip_from_bytes(action.value.bytes, &ip));
            append(&end, limit, "%s", ip_print(&ip, ip_text));
            break;
        default: append(&end, limit, "%lld", (long long)action.value.integer); break;
        }
    }
    cr_assert_not(reader.failed, "after: %s", text);
    return text;
}

static struct decision decision;
static uint8_t action_bytes[SPOP_ACTIONS_MAX_BYTES];

static const char *answer(const struct question *question)
{
    struct writer actions = writer_of(action_bytes, sizeof(action_bytes));
    const struct spop_notify notify = {1, 1, message_of(question)};
    answer_notify(&snapshot, NULL, NULL, &notify, &decision, &actions);
    cr_assert_not(actions.failed);
    return print_actions(writer_written(&actions));
}

/* -- Tests ------------------------------------------------------------------------------------ */

struct row {
    struct question question;
    enum outcome outcome;
    const char *actions;
};

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct question *question = &rows[i].question;
        const char *actions = answer(question);
        cr_expect_str_eq(actions, rows[i].actions, "%s%s:\n  got  %s\n  want %s", question->host,
                         question->path, actions, rows[i].actions);
        cr_expect_str_eq(outcome_name(decision.outcome), outcome_name(rows[i].outcome), "%s%s",
                         question->host, question->path);
    }
}

#define V4 .src = "192.0.2.1"

Test(answer, what_is_forwarded)
{
    const struct row rows[] = {
        {{V4, .tls = true, .host = "chat.acme.com", .path = "/"},
         OUTCOME_FORWARD,
         "tenant=acme dst=10.1.0.11 to_http=3000 ip=192.0.2.1 by_https=443"},
        {{V4, .tls = true, .host = "Chat.ACME.com.:8443", .path = "//api/./x"},
         OUTCOME_FORWARD,
         "tenant=acme dst=10.1.0.11 to_http=3000 ip=192.0.2.1 by_https=8443 "
         "host=chat.acme.com:8443 path=/api/x"},
        {{V4, .tls = true, .host = "acme.com", .path = "/llm/v1/models"},
         OUTCOME_FORWARD,
         "tenant=acme dst=10.1.0.11 to_http=3000 ip=192.0.2.1 by_https=443 "
         "more=true strip=2"},
        {{V4, .tls = true, .host = "acme.com", .path = "/kept/x"},
         OUTCOME_FORWARD,
         "tenant=acme dst=10.1.0.11 to_http=3000 ip=192.0.2.1 by_https=443"},
        {{.src = "2001:db8::99", .host = "plain.test", .path = "/"},
         OUTCOME_FORWARD,
         "tenant=plain dst=2001:db8::7 to_http=3000 h_x_team=blue h_x_tenant=<plain> "
         "ip=2001:db8::99"},
        {{V4, .host = "plain.test", .path = "/", .hb = true},
         OUTCOME_FORWARD,
         "tenant=plain dst=2001:db8::7 to_http=3000 ip=192.0.2.1 "
         "headers=[X-Team: blue][X-Tenant: <plain>]"},
        {{V4, .host = "fancy.test:81", .path = "/"},
         OUTCOME_FORWARD,
         "tenant=fancy dst=10.1.0.12 to_http=3000 h_x_team=red ip=192.0.2.1 "
         "by_http=81 h_x_from=192.0.2.1 by http to fancy.test"},
        {{V4, .host = "fancy.test", .path = "/", .hb = true},
         OUTCOME_FORWARD,
         "tenant=fancy dst=10.1.0.12 to_http=3000 ip=192.0.2.1 "
         "headers=[X-Team: red][X-From: 192.0.2.1 by http to fancy.test]"},
        {{V4, .host = "ai.bigcorp.com", .path = "/"},
         OUTCOME_FORWARD,
         "tenant=bigcorp backend=bigcorp ip=192.0.2.1"},
        {{V4, .host = "secure.test", .path = "/"},
         OUTCOME_FORWARD,
         "tenant=secure dst=10.1.0.14 to_https=3000 sni=owui.internal ip=192.0.2.1"},
        {{V4, .host = "bob.ai.example.com", .path = "/"},
         OUTCOME_FORWARD,
         "tenant=wild dst=10.1.0.15 to_http=3000 ip=192.0.2.1 "
         "h_x_label=bob"},
        {{V4, .host = "known.fleet.example.com", .path = "/"},
         OUTCOME_FORWARD,
         "tenant=fleet dst=10.9.0.1 to_http=3000 ip=192.0.2.1 "
         "h_x_label=known@fleet"},
    };
    check_rows(rows, COUNT_OF(rows));
}

Test(answer, who_the_client_is)
{
    const struct row rows[] = {
        {{V4, .host = "secure.test", .path = "/", .xff = {"6.6.6.6"}, .xfp = "https",
          .rid = "spoofed-id-1"},
         OUTCOME_FORWARD,
         "tenant=secure dst=10.1.0.14 to_https=3000 sni=owui.internal ip=192.0.2.1"},
        {{.src = "10.0.0.9",
          .host = "secure.test",
          .path = "/",
          .xff = {"203.0.113.9"},
          .xfp = "https",
          .rid = "id-12345678"},
         OUTCOME_FORWARD,
         "tenant=secure dst=10.1.0.14 to_https=3000 sni=owui.internal ip=203.0.113.9 "
         "by_https=443 rid=id-12345678"},
        {{.src = "10.0.0.9",
          .host = "secure.test",
          .path = "/",
          .xff = {"6.6.6.6", "203.0.113.9", "10.0.0.2"}},
         OUTCOME_FORWARD,
         "tenant=secure dst=10.1.0.14 to_https=3000 sni=owui.internal ip=203.0.113.9"},
    };
    check_rows(rows, COUNT_OF(rows));
}

Test(answer, what_is_redirected)
{
    const struct row rows[] = {
        {{V4, .host = "chat.acme.com:8080", .path = "/x"},
         OUTCOME_REDIRECT_HTTPS,
         "answer=redirect to=https://chat.acme.com tenant=acme ip=192.0.2.1"},
        {{V4, .host = "chat.acme.com", .path = "/x//y"},
         OUTCOME_REDIRECT_HTTPS,
         "answer=redirect to=https://chat.acme.com path=/x/y tenant=acme ip=192.0.2.1"},
        {{V4, .tls = true, .host = "acme.com", .path = "/owui/a"},
         OUTCOME_REDIRECT_PATH,
         "answer=redirect to=https://chat.acme.com more=true strip=1 tenant=acme "
         "ip=192.0.2.1"},
        {{V4, .host = "acme.com", .path = "/owui"},
         OUTCOME_REDIRECT_PATH,
         "answer=redirect to=https://chat.acme.com more=true strip=1 tenant=acme "
         "ip=192.0.2.1"},
        {{V4, .tls = true, .host = "acme.com:8443", .path = "/owui"},
         OUTCOME_REDIRECT_PATH,
         "answer=redirect to=https://chat.acme.com:8443 more=true strip=1 tenant=acme "
         "ip=192.0.2.1"},
    };
    check_rows(rows, COUNT_OF(rows));

    settings.https_port = 8443;
    const struct row ported[] = {
        {{V4, .host = "chat.acme.com:8080", .path = "/x"},
         OUTCOME_REDIRECT_HTTPS,
         "answer=redirect to=https://chat.acme.com:8443 tenant=acme ip=192.0.2.1"},
        {{V4, .host = "acme.com:8080", .path = "/owui"},
         OUTCOME_REDIRECT_PATH,
         "answer=redirect to=https://chat.acme.com:8443 more=true strip=1 tenant=acme "
         "ip=192.0.2.1"},
    };
    check_rows(ported, COUNT_OF(ported));
}

Test(answer, what_is_sent_to_the_canonical_host)
{
    const struct row rows[] = {
        {{V4, .tls = true, .host = "six.test", .path = "/x"},
         OUTCOME_REDIRECT_CANONICAL,
         "answer=redirect to=https://[2001:db8::1] tenant=six ip=192.0.2.1"},
        {{V4, .tls = true, .host = "acme.com:8443", .path = "/six"},
         OUTCOME_REDIRECT_PATH,
         "answer=redirect to=https://[2001:db8::1]:8443 more=true strip=1 tenant=six "
         "ip=192.0.2.1"},
        {{V4, .tls = true, .host = "ai.strict.test", .path = "/x"},
         OUTCOME_REDIRECT_CANONICAL,
         "answer=redirect to=https://chat.strict.test tenant=strict ip=192.0.2.1 "
         "hsts=max-age=60"},
        {{V4, .host = "ai.strict.test", .path = "/x"},
         OUTCOME_REDIRECT_HTTPS,
         "answer=redirect to=https://ai.strict.test tenant=strict ip=192.0.2.1"},
        {{V4, .tls = true, .host = "ai.strict.test", .path = "/ws/x", .up = "WebSocket"},
         OUTCOME_FORWARD,
         "tenant=strict dst=10.1.0.18 to_http=3000 ip=192.0.2.1 by_https=443 "
         "hsts=max-age=60"},
        {{V4, .tls = true, .host = "ai.strict.test", .path = "/ws/x", .up = "h2c"},
         OUTCOME_REDIRECT_CANONICAL,
         "answer=redirect to=https://chat.strict.test tenant=strict ip=192.0.2.1 "
         "hsts=max-age=60"},
        {{V4, .host = "chat.strict.test", .path = "/ws/x", .up = "websocket"},
         OUTCOME_REDIRECT_HTTPS,
         "answer=redirect to=https://chat.strict.test tenant=strict ip=192.0.2.1"},
        {{V4, .host = "ai.strict.test", .path = "//health"},
         OUTCOME_FORWARD,
         "tenant=strict dst=10.1.0.18 to_http=3000 ip=192.0.2.1 "
         "path=/health"},
        {{V4, .host = "ai.strict.test", .path = "/healthy"},
         OUTCOME_REDIRECT_HTTPS,
         "answer=redirect to=https://ai.strict.test tenant=strict ip=192.0.2.1"},
        {{V4, .tls = true, .host = "acme.com", .path = "/strict/x"},
         OUTCOME_FORWARD,
         "tenant=strict dst=10.1.0.18 to_http=3000 ip=192.0.2.1 by_https=443 more=true "
         "strip=1"},
        {{V4, .host = "a.old.test:81", .path = "/x"},
         OUTCOME_REDIRECT_CANONICAL,
         "answer=redirect to=http://a.new.test:81 tenant=moved ip=192.0.2.1"},
        {{V4, .host = "a.new.test", .path = "/x"},
         OUTCOME_FORWARD,
         "tenant=moved dst=10.1.0.19 to_http=3000 ip=192.0.2.1"},
    };
    check_rows(rows, COUNT_OF(rows));
}

/* What another tenant had first, or has by its exact name, is no place to send anybody. */
Test(answer, no_redirect_leads_to_another_tenant)
{
    put(tenant_at("exact", "vip.new.test", "10.1.0.23"));
    struct tenant *late = tenant_at("late", "chat.acme.com", "10.1.0.24");
    late->canonical_host = true;
    add_key(late, "late.test", PATH_REDIRECT);
    add_key(late, "also.late.test", PATH_REDIRECT);
    add_key(late, "acme.com/late", PATH_REDIRECT);
    put(late);
    struct tenant *nowhere = tenant_at("nowhere", "plain.test", "10.1.0.25");
    add_key(nowhere, "acme.com/nowhere", PATH_REDIRECT);
    put(nowhere);
    build_snapshot();
    const struct row rows[] = {
        {{V4, .host = "late.test", .path = "/x"},
         OUTCOME_FORWARD,
         "tenant=late dst=10.1.0.24 to_http=3000 ip=192.0.2.1"},
        {{V4, .host = "also.late.test", .path = "/x"},
         OUTCOME_REDIRECT_CANONICAL,
         "answer=redirect to=http://late.test tenant=late ip=192.0.2.1"},
        {{V4, .host = "acme.com", .path = "/late"},
         OUTCOME_REDIRECT_PATH,
         "answer=redirect to=http://late.test more=true strip=1 tenant=late ip=192.0.2.1"},
        {{V4, .host = "acme.com", .path = "/nowhere"},
         OUTCOME_DENY_PATH,
         "answer=deny status=404 reason=path-not-served tenant=nowhere ip=192.0.2.1"},
        {{V4, .host = "vip.old.test", .path = "/x"},
         OUTCOME_FORWARD,
         "tenant=moved dst=10.1.0.19 to_http=3000 ip=192.0.2.1"},
    };
    check_rows(rows, COUNT_OF(rows));
}

Test(answer, who_does_not_serve)
{
    const struct row rows[] = {
        {{V4, .host = "down.test", .path = "/c/1"},
         OUTCOME_MAINTENANCE,
         "answer=page status=503 retry=60 reason=maintenance tenant=down ip=192.0.2.1"},
        {{V4, .host = "down.test", .path = "/api/config"},
         OUTCOME_MAINTENANCE,
         "answer=json status=503 retry=60 reason=maintenance tenant=down ip=192.0.2.1"},
        {{V4, .host = "acme.com", .path = "/down/api/config"},
         OUTCOME_MAINTENANCE,
         "answer=json status=503 retry=60 reason=maintenance tenant=down ip=192.0.2.1"},
        {{V4, .host = "down.test", .path = "/api/v1/terminals/a", .up = "websocket"},
         OUTCOME_MAINTENANCE,
         "answer=deny status=503 retry=60 reason=maintenance tenant=down ip=192.0.2.1"},
        {{.src = "10.0.0.9", .host = "down.test", .path = "/c/1", .xff = {"203.0.113.9"}},
         OUTCOME_FORWARD,
         "tenant=down dst=10.1.0.20 to_http=3000 ip=203.0.113.9"},
        {{V4, .host = "down.test", .path = "/c/1", .xff = {"203.0.113.9"}},
         OUTCOME_MAINTENANCE,
         "answer=page status=503 retry=60 reason=maintenance tenant=down ip=192.0.2.1"},
        {{V4, .host = "unpaid.test", .path = "/"},
         OUTCOME_SUSPENDED,
         "answer=page status=402 reason=suspended tenant=unpaid ip=192.0.2.1"},
    };
    check_rows(rows, COUNT_OF(rows));
}

Test(answer, a_cookie_gives_the_root_of_a_host_away)
{
    memset(snapshot.seal.keys, 7, sizeof(snapshot.seal.keys));
    snapshot.seal.count = 1;
    struct question question = {V4, .host = "plain.test", .path = "/owui/c/1"};
    const char *entered = answer(&question);
    cr_assert(eq(int, decision.outcome, OUTCOME_TAKEOVER), "%s", entered);
    char cookie[SEAL_MAX_BYTES + 1] = "";
    cr_assert(eq(int, sscanf(strstr(entered, "cookie="), "cookie=%104[^;]", cookie), 1));
    char *expected = memory_format("answer=takeover to=http://plain.test cookie=%s; "
                                   "Max-Age=31536000 forget=true more=true strip=1 tenant=taker "
                                   "ip=192.0.2.1",
                                   cookie);
    cr_expect_str_eq(entered, expected);
    free(expected);

    static const char TAKEN[] = "tenant=taker dst=10.1.0.21 to_http=3000 "
                                "ip=192.0.2.1";
    static const char KEPT[] = "tenant=plain dst=2001:db8::7 to_http=3000 "
                               "ip=192.0.2.1 "
                               "headers=[X-Team: blue][X-Tenant: <plain>]";
    const struct row rows[] = {
        {{V4, .host = "plain.test", .path = "/api/x", .ck = cookie, .hb = true},
         OUTCOME_FORWARD,
         TAKEN},
        {{V4, .host = "plain.test", .path = "/blog", .ck = cookie, .hb = true},
         OUTCOME_FORWARD,
         KEPT},
        {{V4, .host = "plain.test", .path = "/api/x", .ck = cookie + 1, .hb = true},
         OUTCOME_FORWARD,
         KEPT},
        {{V4, .host = "plain.test", .path = "/owui/leave", .ck = cookie},
         OUTCOME_TAKEOVER_LEAVE,
         "answer=takeover to=http://plain.test cookie=gone; Max-Age=0 forget=true path=/ "
         "tenant=taker ip=192.0.2.1"},
    };
    check_rows(rows, COUNT_OF(rows));

    size_t before = allocations_count();
    struct question taken = rows[0].question;
    for (int i = 0; i < 100; i++)
        answer(&taken);
    cr_expect(eq(sz, allocations_count(), before));

    snapshot.seal.count = 0;
    cr_expect_str_eq(answer(&question), "answer=deny status=503 reason=no-cookie-key "
                                        "tenant=taker ip=192.0.2.1");
    cr_expect_str_eq(answer(&taken), KEPT);
}

static void put_taker(const char *name, const char *key)
{
    char *host = memory_format("%s.test", name);
    struct tenant *tenant = tenant_at(name, host, "10.1.0.24");
    tenant->takes_over = true;
    add_key(tenant, key, PATH_TAKEOVER);
    put(tenant);
    free(host);
}

/* Nor of the root's own tenant, or of who was there when the cookie was still good. What there is
 * where the root is no tenant's is a website's. */
Test(answer, who_enters_brings_nothing_of_others_along)
{
    put_taker("next", "plain.test/next");
    put_taker("first", "free.test/first");
    put_taker("second", "free.test/second");
    build_snapshot();
    memset(snapshot.seal.keys, 7, sizeof(snapshot.seal.keys));
    snapshot.seal.count = 1;
    static const struct {
        const char *host, *path, *sealed;
        int ends_in_s;
        bool forgets;
    } ROWS[] = {
        {"plain.test", "/owui", NULL, 0, true},
        {"plain.test", "/owui", "taker", 60, false},
        {"plain.test", "/owui", "taker", -60, true},
        {"plain.test", "/owui", "next", 60, true},
        {"plain.test", "/owui/leave", NULL, 0, false},
        {"plain.test", "/owui/leave", "next", -60, true},
        {"free.test", "/first", NULL, 0, false},
        {"free.test", "/first", "first", 60, false},
        {"free.test", "/first", "first", -60, false},
        {"free.test", "/first", "second", 60, true},
        {"free.test", "/first", "second", -60, true},
        {"free.test", "/first", "gone", 60, true},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        char cookie[SEAL_MAX_BYTES + 1] = "";
        struct writer writer = writer_of(cookie, SEAL_MAX_BYTES);
        if (ROWS[i].sealed != NULL)
            cr_assert(seal_write(&snapshot.seal, slice_of(ROWS[i].host), slice_of(ROWS[i].sealed),
                                 clock_wall_s() + ROWS[i].ends_in_s, &writer));
        const struct question question = {V4, .host = ROWS[i].host, .path = ROWS[i].path,
                                          .ck = cookie};
        answer(&question);
        cr_expect(eq(int, decision.status, 307), "row %zu", i);
        cr_expect(eq(int, decision.forget, ROWS[i].forgets), "row %zu", i);
    }
    const struct question spoilt = {V4, .host = "free.test", .path = "/first", .ck = "gone"};
    answer(&spoilt);
    cr_expect(decision.forget);
    snapshot.seal.count = 0;
}

/* What a wildcard stands for is one label, and one that the tenant's pattern takes; a host that is
 * named is no wildcard's. */
Test(answer, a_cookie_counts_where_the_tenant_has_a_rule)
{
    struct tenant *wild = tenant_at("wildtaker", "wildtaker.test", "10.1.0.22");
    wild->takes_over = true;
    wild->label = label_pattern_new(SLICE("[a-z.]+"), NULL);
    add_key(wild, "*.site.test/owui", PATH_TAKEOVER);
    put(wild);
    static const struct {
        const char *host, *tenant;
    } ROWS[] = {
        {"blog.site.test", "wildtaker"}, {"9.site.test", "site"},   {"a.b.site.test", "site"},
        {"a-site.test", "site"},         {"new.site.test", "site"}, {"site.test", "site"},
    };
    static const char *const KEYS[] = {"*.site.test", "new.site.test", "a.b.site.test",
                                       "a-site.test"};
    struct tenant *site = tenant_at("site", "site.test", "10.1.0.23");
    for (size_t i = 0; i < COUNT_OF(KEYS); i++)
        add_key(site, KEYS[i], PATH_REDIRECT);
    put(site);
    build_snapshot();
    memset(snapshot.seal.keys, 7, sizeof(snapshot.seal.keys));
    snapshot.seal.count = 1;

    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        char cookie[SEAL_MAX_BYTES + 1] = "";
        struct writer writer = writer_of(cookie, SEAL_MAX_BYTES);
        cr_assert(seal_write(&snapshot.seal, slice_of(ROWS[i].host), SLICE("wildtaker"),
                             clock_wall_s() + 60, &writer));
        const struct question question = {V4, .host = ROWS[i].host, .path = "/", .ck = cookie};
        answer(&question);
        cr_expect_str_eq(decision.match.tenant->name, ROWS[i].tenant, "%s", ROWS[i].host);
    }
    snapshot.seal.count = 0;
}

/* -- Decisions for more than one request ------------------------------------------------------ */

static void put_stamp(const char *stamp)
{
    snapshot.stamp_size = (uint8_t)strlen(stamp);
    memcpy(snapshot.stamp, stamp, snapshot.stamp_size);
}

/* The answer with the time that it was given at as "T". */
static const char *answer_without_time(const struct question *question)
{
    static char text[2048];
    const char *told = answer(question);
    const char *since = strstr(told, "sess.since=");
    if (since == NULL)
        return told;
    int64_t since_s = atoll(since + strlen("sess.since="));
    int64_t now_s = clock_wall_s();
    cr_expect(since_s <= now_s && since_s > now_s - 60, "%lld", (long long)since_s);
    snprintf(text, sizeof(text), "%.*ssess.since=T%s", (int)(since - told), told,
             strchr(since, ' '));
    return text;
}

Test(answer, what_holds_for_the_next_requests_too)
{
    struct tenant *tls = tenant_at("tls", "tls.test", "10.1.0.30");
    tls->hsts = memory_copy_text(SLICE("max-age=60"));
    put(tls);
    build_snapshot();
    put_stamp("id.7");

    struct question question = {V4, .host = "tls.test:8080", .path = "/api/x", .tls = true};
    cr_expect_str_eq(
        answer_without_time(&question),
        "tenant=tls dst=10.1.0.30 to_http=3000 ip=192.0.2.1 by_https=8080 "
        "hsts=max-age=60 sess.host=tls.test:8080 sess.stamp=id.7 sess.since=T sess.tenant=tls "
        "sess.dst=10.1.0.30 sess.to_http=3000 sess.ip=192.0.2.1 sess.by_https=8080 "
        "sess.hsts=max-age=60 -sess.rest");

    question.tls = false;
    cr_expect_not_null(strstr(answer(&question), "by_http=8080"));
    cr_expect_null(strstr(answer(&question), "sess."), "another port than that of plain HTTP");
    question.host = "tls.test";
    cr_expect_not_null(strstr(answer(&question), "-sess.by_https -sess.hsts"));

    question = (struct question){V4, .host = "ai.bigcorp.com", .path = "/"};
    cr_expect_str_eq(answer_without_time(&question),
                     "tenant=bigcorp backend=bigcorp ip=192.0.2.1 "
                     "sess.host=ai.bigcorp.com sess.stamp=id.7 sess.since=T sess.tenant=bigcorp "
                     "-sess.dst -sess.to_http sess.ip=192.0.2.1 -sess.by_https -sess.hsts "
                     "sess.rest=bigcorp////");

    struct tenant *hardened = tenant_at("hardened", "hardened.test", "10.1.0.32");
    hardened->nosniffs = true;
    put(hardened);
    build_snapshot();
    question = (struct question){V4, .host = "hardened.test", .path = "/"};
    cr_expect_not_null(strstr(answer(&question), " sess.rest=////2"));

    question = (struct question){V4, .host = "secure.test", .path = "/"};
    cr_expect_not_null(strstr(answer(&question), "sess.dst=10.1.0.14 -sess.to_http "));
    cr_expect_not_null(strstr(answer(&question), " sess.rest=/3000//owui.internal/"));

    struct tenant *nameless = tenant_at("nameless", "nameless.test", "10.1.0.33");
    nameless->upstream.scheme = UPSTREAM_HTTPS_NO_VERIFY;
    put(nameless);
    build_snapshot();
    question = (struct question){V4, .host = "nameless.test", .path = "/"};
    cr_expect_not_null(strstr(answer(&question), " sess.rest=//3000//"));
}

static struct tenant *ordinary(const char *name, const char *host)
{
    return tenant_at(name, host, "10.1.0.31");
}

/* With a rule for every request, which changes nothing or leads to another tenant. */
static struct tenant *with_rule(const char *name, const char *host, const char *leads_to)
{
    struct tenant *tenant = ordinary(name, host);
    tenant->policy = policy_new();
    tenant->policy->rules = memory_new(sizeof(*tenant->policy->rules));
    struct policy_rule *rule = &tenant->policy->rules[tenant->policy->rule_count++];
    rule->tenant = leads_to != NULL ? memory_copy_text(slice_of(leads_to)) : NULL;
    return tenant;
}

static struct tenant *with_a_replica(const char *name, const char *host)
{
    struct tenant *tenant = ordinary(name, host);
    struct replica_set *set = memory_new(sizeof(*set));
    set->count = 1;
    set->items = memory_new(sizeof(*set->items));
    set->items[0].upstream = tenant->upstream;
    set->items[0].health = replica_health_new();
    replica_name(&set->items[0]);
    tenant->upstream = (struct upstream){0};
    tenant->replicas = set;
    return tenant;
}

Test(answer, what_holds_for_one_request_only)
{
    struct tenant *hosts_path = ordinary("path", "path.test");
    add_key(hosts_path, "path.test/llm", PATH_KEEP);
    put(hosts_path);
    struct tenant *wild = ordinary("wildpath", "*.wp.test");
    add_key(wild, "x.wp.test/llm", PATH_KEEP);
    put(wild);
    struct tenant *header = ordinary("header", "header.test");
    add_header(header, "X-Team", "a");
    put(header);
    struct tenant *limited = ordinary("limited", "limited.test");
    limited->policy = policy_new();
    limited->policy->limits.signin_per_minute_per_ip = 10;
    put(limited);
    struct tenant *user = ordinary("user", "user.test");
    user->identity = identity_rule_new();
    user->identity->from = IDENTITY_FROM_CLIENT_CERT;
    put(user);
    put(with_rule("ruled", "ruled.test", NULL));
    put(with_rule("leads", "leads.test", "secure"));
    put(with_a_replica("spread", "spread.test"));
    struct ip_network told_generation;
    cr_assert(ip_network_parse(SLICE("198.51.100.0/24"), &told_generation));
    settings.generation_to = (struct networks){&told_generation, 1};
    snapshot.content_hash = 1;
    build_snapshot();
    put_stamp("id.7");

    const char *too_many = "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21";
    const struct question asked_again[] = {
        {V4, .host = "Secure.test", .path = "/"}, /* not in normal form */
        {V4, .host = "secure.test", .path = "/health"},
        {V4, .host = "secure.test", .path = "/ws/", .up = "websocket"},
        {V4, .host = "secure.test", .path = "/", .ck = "x"},
        {.src = "10.0.0.9", .host = "secure.test", .path = "/"}, /* a trusted proxy */
        {.src = "10.0.0.9", .host = "secure.test", .path = "/", .xff = {too_many}},
        {.src = "198.51.100.7", .host = "secure.test", .path = "/"}, /* is told what is in force */
        {.src = "203.0.113.7", .host = "down.test", .path = "/"},    /* let in all the same */
        {V4, .host = "limited.test", .path = "/"},
        {V4, .host = "user.test", .path = "/"},
        {V4, .host = "ruled.test", .path = "/"},
        {V4, .host = "leads.test", .path = "/"},
        {V4, .host = "spread.test", .path = "/"},
        {V4, .host = "path.test", .path = "/"},
        {V4, .host = "x.wp.test", .path = "/"},
        {V4, .host = "header.test", .path = "/"},
        {V4, .host = "acme.com", .path = "/kept/"},
        {V4, .host = "nobody.test", .path = "/"},
        {V4, .host = "down.test", .path = "/"},
        {V4, .host = "unpaid.test", .path = "/"},
        {V4, .host = "chat.acme.com", .path = "/"}, /* to https */
    };
    for (size_t i = 0; i < COUNT_OF(asked_again); i++) {
        const char *told = answer(&asked_again[i]);
        cr_expect_null(strstr(told, "sess."), "%s%s: %s", asked_again[i].host, asked_again[i].path,
                       told);
    }
    settings.generation_to.count = 0;
    struct question question = {V4, .host = "y.wp.test", .path = "/"};
    cr_expect_not_null(strstr(answer(&question), "sess.stamp=id.7"));
    question.host = "secure.test";
    cr_expect_not_null(strstr(answer(&question), "sess.stamp=id.7"));
    put_stamp("");
    cr_expect_null(strstr(answer(&question), "sess."));
}

Test(answer, what_is_refused)
{
    const struct row rows[] = {
        {{V4, .host = "nobody.test", .path = "/"},
         OUTCOME_DENY_UNKNOWN_HOST,
         "answer=deny status=404 reason=unknown-host ip=192.0.2.1"},
        {{V4, .host = "bob1.ai.example.com", .path = "/"},
         OUTCOME_DENY_UNKNOWN_LABEL,
         "answer=deny status=404 reason=unknown-label ip=192.0.2.1"},
        {{V4, .host = "acme.com", .path = "/"},
         OUTCOME_DENY_PATH,
         "answer=deny status=404 reason=path-not-served ip=192.0.2.1"},
        {{V4, .host = "pending.test", .path = "/"},
         OUTCOME_DENY_UNRESOLVED,
         "answer=deny status=503 reason=upstream-unresolved tenant=pending ip=192.0.2.1"},
        {{V4, .host = "new.fleet.example.com", .path = "/"},
         OUTCOME_DENY_UNRESOLVED,
         "answer=deny status=503 reason=upstream-unresolved tenant=fleet ip=192.0.2.1"},
        {{V4, .host = NULL, .path = "/"},
         OUTCOME_BAD_REQUEST,
         "answer=deny status=400 reason=host-missing"},
        {{V4, .host = "a.tld/health?x=", .path = "/"},
         OUTCOME_BAD_REQUEST,
         "answer=deny status=400 reason=host-syntax"},
        {{V4, .host = "chat.acme.com", .path = "/owui/../api"},
         OUTCOME_BAD_REQUEST,
         "answer=deny status=400 reason=path-traversal"},
        {{V4, .host = "chat.acme.com", .path = "/owui%5Capi"},
         OUTCOME_BAD_REQUEST,
         "answer=deny status=400 reason=path-encoding"},
    };
    check_rows(rows, COUNT_OF(rows));
}

Test(answer, a_route_to_a_tenant_that_is_gone_is_nobodys)
{
    put(with_rule("leads", "leads.test", "gone"));
    build_snapshot();
    const struct question question = {V4, .host = "leads.test", .path = "/"};
    cr_expect_str_eq(answer(&question), "answer=deny status=503 "
                                        "reason=upstream-unresolved tenant=leads ip=192.0.2.1");
}

Test(answer, unknown_hosts_go_where_the_settings_say)
{
    const struct question question = {V4, .tls = true, .host = "nobody.test", .path = "/x"};
    settings.unknown_host_status = 421;
    cr_expect_str_eq(answer(&question), "answer=deny status=421 reason=unknown-host ip=192.0.2.1");

    char location[] = "https://example.com";
    settings.unknown_host = UNKNOWN_HOST_REDIRECT;
    settings.unknown_host_location = location;
    cr_expect_str_eq(answer(&question), "answer=redirect to=https://example.com ip=192.0.2.1");
    cr_expect(eq(int, decision.outcome, OUTCOME_REDIRECT_UNKNOWN));

    char name[] = "secure";
    settings.unknown_host = UNKNOWN_HOST_TENANT;
    settings.unknown_host_tenant = name;
    put_stamp("id.7"); /* it holds for one request: the host may become somebody's */
    cr_expect_str_eq(answer(&question),
                     "tenant=secure dst=10.1.0.14 to_https=3000 sni=owui.internal "
                     "ip=192.0.2.1 by_https=443");
    char gone[] = "gone";
    settings.unknown_host_tenant = gone;
    cr_expect_str_eq(answer(&question), "answer=deny status=421 reason=unknown-host ip=192.0.2.1");
}

static const char *answer_bytes(struct slice message)
{
    struct writer actions = writer_of(action_bytes, sizeof(action_bytes));
    const struct spop_notify notify = {1, 1, message};
    answer_notify(&snapshot, NULL, NULL, &notify, &decision, &actions);
    return print_actions(writer_written(&actions));
}

Test(answer, a_message_that_lacks_an_argument_is_refused)
{
    static const char REFUSED[] = "answer=deny status=400 reason=message";
    const struct question question = {V4, .host = "plain.test", .path = "/"};
    struct slice whole = message_of(&question);
    for (size_t size = 0; size < whole.size; size++)
        cr_expect_str_eq(answer_bytes(slice_head(whole, size)), REFUSED, "%zu bytes", size);

    struct writer writer = writer_of(message_bytes, sizeof(message_bytes));
    peer_write_message(&writer, SLICE("other"), 0);
    cr_expect_str_eq(answer_bytes(writer_written(&writer)), REFUSED);
    cr_expect(eq(int, decision.refusal, REFUSAL_MESSAGE));
}

Test(answer, a_decision_that_does_not_fit_is_a_refusal)
{
    /* Room is reserved for a path of ordinary length; this one must be told in full. */
    struct tenant *tight = tenant_at("tight", "tight.test", "10.1.0.16");
    char value[181];
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    add_header(tight, "X-Long", value);
    put(tight);
    build_snapshot();

    char path[240];
    memset(path, 'p', sizeof(path));
    path[0] = path[1] = '/';
    path[sizeof(path) - 1] = '\0';
    struct question question = {V4, .host = "tight.test", .path = path};
    cr_expect_str_eq(answer(&question), "answer=deny status=400 reason=answer-too-big");
    cr_expect(eq(int, decision.outcome, OUTCOME_BAD_REQUEST));
    question.path = path + 1;
    answer(&question);
    cr_expect(eq(int, decision.outcome, OUTCOME_FORWARD));
}

/* It keeps no room for what the host's own tenant has to say beside. */
Test(answer, who_is_led_fits_where_the_tenants_own_requests_do)
{
    struct tenant *crowded = tenant_at("crowded", "own.test", "10.1.0.16");
    char value[181];
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    add_header(crowded, "X-Long", value);
    put(crowded);
    struct tenant *leads = with_rule("leads", "led.test", "crowded");
    leads->policy->rules[0].share = 100;
    policy_complete(leads->policy);
    leads->hsts = memory_copy_text(SLICE("max-age=63072000; includeSubDomains"));
    put(leads);
    build_snapshot();

    char path[240];
    enum outcome own = OUTCOME_FORWARD;
    unsigned with_both = 0, with_none = 0;
    memset(path, 'p', sizeof(path));
    path[0] = path[1] = '/';
    for (size_t size = 3; size < sizeof(path) && own == OUTCOME_FORWARD; size++) {
        path[size] = '\0';
        struct question question = {V4, .tls = true, .host = "own.test", .path = path};
        answer(&question);
        own = decision.outcome;
        question.host = "led.test";
        const char *told = answer(&question);
        cr_expect(eq(int, decision.outcome, own), "%zu: %s", size, told);
        bool has_share = strstr(told, " shr=") != NULL, has_hsts = strstr(told, " hsts=") != NULL;
        with_both += has_share && has_hsts;
        with_none += own == OUTCOME_FORWARD && !has_share && !has_hsts;
        path[size] = 'p';
    }
    cr_expect(eq(int, own, OUTCOME_BAD_REQUEST));
    cr_expect(with_both > 0 && with_none > 0, "%u, %u", with_both, with_none);
}

Test(answer, headers_that_cannot_fit_are_an_error_when_they_are_read)
{
    struct error_text why;
    struct tenant *tenant = tenant_at("huge", "huge.test", "10.1.0.17");
    char value[161];
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    add_header(tenant, "X-One", value);
    cr_expect(eq(int, answer_prepare(tenant, &why), ERROR_OK));
    add_header(tenant, "X-Two", value);
    cr_expect(eq(int, answer_prepare(tenant, &why), ERROR_TOO_BIG));
    cr_expect_not_null(strstr(why.text, "there is room for"), "%s", why.text);
    tenant_free(tenant);
}

/* What a name leads to changes by itself, and must not make another tenant of it. */
Test(answer, a_name_is_judged_alike_whatever_its_address_is)
{
    static const char *const ADDRESSES[] = {"", "10.1.0.20", "2001:db8::20"};
    unsigned taken = 0, refused = 0;
    char value[181];
    for (size_t size = 1; size < sizeof(value); size++) {
        unsigned good = 0;
        memset(value, 'v', size);
        value[size] = '\0';
        for (size_t i = 0; i < COUNT_OF(ADDRESSES); i++) {
            struct tenant *tenant = tenant_at("named", "named.test", "up.internal");
            cr_assert(i == 0 || ip_parse(slice_of(ADDRESSES[i]), &tenant->upstream.address));
            add_header(tenant, "X-Long", value);
            add_header(tenant, "X-Step", size % 2 != 0 ? "odd" : "even");
            add_header(tenant, "X-Same", value);
            good += answer_prepare(tenant, NULL) == ERROR_OK;
            tenant_free(tenant);
        }
        cr_expect(good == 0 || good == COUNT_OF(ADDRESSES), "%zu: %u", size, good);
        taken += good > 0;
        refused += good == 0;
    }
    cr_expect(taken > 0 && refused > 0);
}

static struct tenant *fleet_with_tls(bool is_listed, struct slice label, const char *host)
{
    struct tenant *fleet = tenant_at("fleet", "*.fleet.test", "");
    fleet->upstream.per_label = true;
    if (is_listed) {
        const struct label_row row = {.port = 65535, .scheme = UPSTREAM_HTTPS};
        fleet->upstream.port = 0;
        fleet->labels = label_map_new("fleet.csv", 1, 400);
        cr_assert_null(label_map_add(fleet->labels, label, slice_of(host), &row));
        return fleet;
    }
    fleet->upstream.scheme = UPSTREAM_HTTPS;
    cr_assert(eq(int,
                 template_parse(SLICE("{1}.tenants.internal.example.net"),
                                &fleet->upstream.host_template, NULL),
                 ERROR_OK));
    return fleet;
}

/* The name that TLS needs is known with the label only, when nobody looks. */
Test(answer, where_a_tenant_fits_its_instances_do_with_tls)
{
    char label[LABEL_MAX_BYTES], value[HEADER_VALUE_MAX_BYTES + 1];
    const struct slice key = slice_from(label, sizeof(label));
    struct ip address;
    memset(label, 'l', sizeof(label));
    cr_assert(ip_parse(SLICE("2001:db8::9"), &address));
    char *host = memory_format("%.*s.tenants.internal.example.net", SLICE_PRINT(key));
    for (unsigned is_listed = 0; is_listed < 2; is_listed++) {
        size_t taken = 0;
        bool fits = true;
        for (size_t size = 1; fits && size < sizeof(value); size++) {
            struct tenant *fleet = fleet_with_tls(is_listed, key, host);
            memset(value, 'v', size);
            value[size] = '\0';
            add_header(fleet, "X-Fixed", "some more");
            add_header(fleet, "X-Long", value);
            fits = answer_prepare(fleet, NULL) == ERROR_OK;
            if (fits) {
                struct error_text why = {""};
                struct tenant *instance = instance_new(fleet, key, host, &address, &why);
                cr_expect_not_null(instance, "%zu: %s", size, why.text);
                tenant_free(instance);
                taken = size;
            }
            tenant_free(fleet);
        }
        cr_expect_not(fits);
        cr_expect(lt(sz, 20, taken), "there is room for %zu bytes", taken);
    }
    free(host);
}

/* Whatever is asked, the answer fits, parses, says ok, and takes no memory. */
Test(answer, random_requests_are_answered_within_bounds_and_without_allocation)
{
    static const char *const HOSTS[] = {"chat.acme.com",    "acme.com",
                                        "plain.test",       "fancy.test",
                                        "down.test",        "unpaid.test",
                                        "ai.strict.test",   "nobody.test",
                                        "x.ai.example.com", "known.fleet.example.com"};
    char host[300], path[600], xff[300];
    unsigned seed = 20261123;

    put_stamp("0123456789abcdef.18446744073709551615");
    allocations_count();
    for (int round = 0; round < 20000; round++) {
        size_t path_size = (size_t)rand_r(&seed) % sizeof(path);
        size_t xff_size = (size_t)rand_r(&seed) % sizeof(xff);
        static const char BYTES[] = "abcXYZ019-._~%/:,; \"<>{}\\2fE";
        for (size_t i = 0; i < path_size; i++)
            path[i] = BYTES[(size_t)rand_r(&seed) % (sizeof(BYTES) - 1)];
        path[0] = '/';
        path[path_size > 0 ? path_size - 1 : 0] = '\0';
        for (size_t i = 0; i < xff_size; i++)
            xff[i] = "0123456789., :af"[rand_r(&seed) % 16];
        xff[xff_size > 0 ? xff_size - 1 : 0] = '\0';
        snprintf(host, sizeof(host), "%s%s", HOSTS[(size_t)rand_r(&seed) % COUNT_OF(HOSTS)],
                 rand_r(&seed) % 4 ? "" : ".:65535");
        const struct question question = {
            .src = rand_r(&seed) % 2 ? "10.0.0.9" : "2001:db8::1",
            .tls = rand_r(&seed) % 2,
            .hb = rand_r(&seed) % 2,
            .host = host,
            .path = path,
            .xff = {xff},
            .rid = "0123456789012345678901234567890123456789",
        };
        const struct spop_notify notify = {1, 1, message_of(&question)};
        struct writer actions = writer_of(action_bytes, sizeof(action_bytes));
        size_t before = allocations_count();
        answer_notify(&snapshot, NULL, NULL, &notify, &decision, &actions);
        size_t after = allocations_count();
        cr_assert(eq(sz, after, before));
        cr_assert_not(actions.failed);
        const char *text = print_actions(writer_written(&actions));
        cr_assert(strncmp(text, "answer=", 7) == 0 || strncmp(text, "tenant=", 7) == 0, "%s", text);
    }
}

Test(answer, instances_are_named_after_their_labels)
{
    const struct tenant *fleet = route_registry_find(registry, SLICE("fleet"));
    char name[INSTANCE_NAME_MAX_BYTES];
    cr_expect(slice_equal(instance_name(fleet, SLICE("a"), name), SLICE("fleet/a")));
    cr_expect(eq(sz, instance_name(fleet, (struct slice){0}, name).size, 0));
    char *host = instance_host(fleet, SLICE("acme-7"));
    cr_expect_str_eq(host, "acme-7.internal");
    free(host);
    cr_expect_null(instance_host(fleet, SLICE("a/b")));
    cr_expect_null(instance_host(fleet, SLICE("-a")));
}

/* -- Challenges ------------------------------------------------------------------------------- */

/* Of the label "new" an instance is to come, and the line of "wrong" cannot be read. */
static struct tenant *listed_tenant(void)
{
    struct tenant *tenant = tenant_at("listed", "*.listed.test", "unused");
    struct ip address;
    cr_assert(ip_parse(SLICE("10.9.0.2"), &address));
    tenant->upstream.per_label = true;
    tenant->labels = label_map_new("labels.csv", 2, 64);
    tenant->labels->unknown_status = 410;
    const struct label_row good = {.address = address, .port = 3000};
    const struct label_row wrong = {.line = 2};
    cr_assert_null(label_map_add(tenant->labels, SLICE("new"), SLICE("10.9.0.2"), &good));
    cr_assert_null(label_map_add(tenant->labels, SLICE("wrong"), SLICE(""), &wrong));
    return tenant;
}

Test(answer, labels_that_a_list_does_not_have)
{
    struct tenant *listed = listed_tenant();
    add_key(listed, "*.path.test/llm", PATH_STRIP);
    put(listed);
    build_snapshot();
    put_stamp("id.7"); /* what is refused holds for one request */
    static const char UNRESOLVED[] = "answer=deny status=503 reason=upstream-unresolved "
                                     "tenant=listed ip=192.0.2.1";
    static const char UNKNOWN[] = "answer=deny status=410 reason=unknown-label "
                                  "tenant=listed ip=192.0.2.1";
    static const char SIGN_UP[] = "answer=login to=https://sign.test/up?for=nobody "
                                  "tenant=listed ip=192.0.2.1";
    const struct row denied[] = {
        {{V4, .host = "new.listed.test", .path = "/"}, OUTCOME_DENY_UNRESOLVED, UNRESOLVED},
        {{V4, .host = "wrong.listed.test", .path = "/"}, OUTCOME_DENY_UNRESOLVED, UNRESOLVED},
        {{V4, .host = "nobody.listed.test", .path = "/"}, OUTCOME_DENY_UNKNOWN_LABEL, UNKNOWN},
    };
    check_rows(denied, COUNT_OF(denied));

    cr_assert(eq(int,
                 template_parse(SLICE("https://sign.test/up?for={label}"),
                                &listed->labels->unknown_to, NULL),
                 ERROR_OK));
    const struct row sent_on[] = {
        {{V4, .host = "wrong.listed.test", .path = "/"}, OUTCOME_DENY_UNRESOLVED, UNRESOLVED},
        {{V4, .host = "nobody.listed.test", .path = "/"}, OUTCOME_REDIRECT_UNLISTED, SIGN_UP},
        {{V4, .host = "nobody.listed.test", .path = "/blog"}, OUTCOME_REDIRECT_UNLISTED, SIGN_UP},
        {{V4, .host = "nobody.listed.test", .path = "/api/config"},
         OUTCOME_DENY_UNKNOWN_LABEL,
         UNKNOWN},
        {{V4, .host = "nobody.path.test", .path = "/llm/c/1"}, OUTCOME_REDIRECT_UNLISTED, SIGN_UP},
        {{V4, .host = "nobody.path.test", .path = "/llm/api/config"},
         OUTCOME_DENY_UNKNOWN_LABEL,
         UNKNOWN},
    };
    check_rows(sent_on, COUNT_OF(sent_on));
    cr_expect(eq(int, decision.status, 410));
}

static const char *answer_challenge(const char *path)
{
    struct writer message = writer_of(message_bytes, sizeof(message_bytes));
    struct writer actions = writer_of(action_bytes, sizeof(action_bytes));
    peer_write_message(&message, SLICE("acme"), 1);
    write_text(&message, "path", path);
    const struct spop_notify notify = {1, 1, writer_written(&message)};
    answer_notify(&snapshot, NULL, NULL, &notify, &decision, &actions);
    cr_assert_not(actions.failed);
    return print_actions(writer_written(&actions));
}

#define CHALLENGE "/.well-known/acme-challenge/"

Test(answer, a_challenge_is_answered_from_the_table)
{
    char token[129] = "";
    char authorization[257] = "";
    memset(token, 'z', 128);
    memset(authorization, 'a', 256);
    const struct challenge_answer answers[] = {
        {SLICE("bb"), SLICE("bb.print")},
        {SLICE("b"), SLICE("b.print")},
        {slice_of(token), slice_of(authorization)},
        {SLICE("aaaa"), SLICE("aaaa.print")},
    };
    struct challenge_table *table = challenge_table_new(answers, COUNT_OF(answers));
    snapshot.challenges = table;
    cr_expect_str_eq(answer_challenge(CHALLENGE "aaaa"), "acme=aaaa.print");
    cr_expect_str_eq(answer_challenge(CHALLENGE "b"), "acme=b.print");
    cr_expect_str_eq(answer_challenge(CHALLENGE "bb"), "acme=bb.print");
    cr_expect(eq(int, decision.outcome, OUTCOME_CHALLENGE));
    char *path = memory_format(CHALLENGE "%s", token);
    char *expected = memory_format("acme=%s", authorization);
    cr_expect_str_eq(answer_challenge(path), expected);
    free(path);
    free(expected);

    const char *const unknown[] = {
        CHALLENGE, CHALLENGE "a", CHALLENGE "bbb", CHALLENGE "b/", CHALLENGE "zz", "/b", "b"};
    for (size_t i = 0; i < COUNT_OF(unknown); i++) {
        cr_expect_str_eq(answer_challenge(unknown[i]), "", "%s", unknown[i]);
        cr_expect(eq(int, decision.outcome, OUTCOME_CHALLENGE_UNKNOWN), "%s", unknown[i]);
    }
    snapshot.challenges = NULL;
    challenge_table_free(table);
    cr_expect_str_eq(answer_challenge(CHALLENGE "b"), "");
}

Test(answer, a_challenge_without_a_path_is_a_bad_message)
{
    cr_expect_str_eq(answer_challenge(NULL), "answer=deny status=400 reason=message");
}
