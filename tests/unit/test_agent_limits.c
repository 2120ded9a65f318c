/* agent/limits: what HAProxy is told to count, and that it always fits into an ACK. */
#include "agent/actions.h"
#include "agent/answer.h"
#include "agent/instance.h"
#include "allocations.h"
#include "core/memory.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

static struct route_registry *registry;
static struct settings settings;
static struct snapshot snapshot;
static struct decision decision;

static void setup(void)
{
    registry = route_registry_new();
    settings = (struct settings){.unknown_host_status = 404};
}

static void teardown(void)
{
    route_table_free(snapshot.table);
    snapshot.table = NULL;
    route_registry_free(registry);
}

TestSuite(limits, .init = setup, .fini = teardown);

/* With "/p/q" of its host to be cut off, "/k" that its Open WebUI knows, and a policy that it takes
 * over. */
static struct tenant *tenant_with(const char *name, const char *host, struct policy *policy)
{
    struct tenant *tenant = tenant_new();
    tenant->name = memory_copy_text(slice_of(name));
    tenant->upstream.host = memory_copy_text(SLICE("10.0.0.1"));
    tenant->upstream.port = 3000;
    cr_assert(ip_parse(SLICE("10.0.0.1"), &tenant->upstream.address));
    tenant->hosts = memory_new(sizeof(*tenant->hosts));
    tenant->hosts[tenant->host_count++] =
        (struct tenant_host){memory_copy_text(slice_of(host)), false, {0}};
    tenant->paths = memory_new(2 * sizeof(*tenant->paths));
    tenant->paths[tenant->path_count++] = (struct path_rule){
        .host = memory_copy_text(slice_of(host)),
        .prefix = memory_copy_text(SLICE("/p/q")),
        .segments = 2,
        .mode = PATH_STRIP,
    };
    tenant->paths[tenant->path_count++] = (struct path_rule){
        .host = memory_copy_text(slice_of(host)),
        .prefix = memory_copy_text(SLICE("/k")),
        .segments = 1,
        .mode = PATH_KEEP,
    };
    tenant->policy = policy;
    policy_complete(policy);
    return tenant;
}

static void put(struct tenant *tenant)
{
    struct error_text why;
    cr_assert(eq(int, answer_prepare(tenant, &why), ERROR_OK), "%s", why.text);
    route_registry_put(registry, tenant, NULL, NULL);
}

static void build(void)
{
    snapshot = (struct snapshot){.generation = 1, .settings = &settings};
    snapshot.table = route_registry_build(registry, 1);
}

static struct policy_rule rule_for(const char *path)
{
    struct policy_rule rule = {
        .limits = {.requests_per_10s = (unsigned)LIMIT_INHERITED,
                   .websockets = (unsigned)LIMIT_INHERITED,
                   .max_body_bytes = (uint64_t)LIMIT_INHERITED,
                   .server_timeout_ms = (unsigned)LIMIT_INHERITED,
                   .tunnel_timeout_ms = (unsigned)LIMIT_INHERITED},
    };
    policy_rule_set_path(&rule, slice_of(path));
    return rule;
}

static struct policy *busy_policy(void)
{
    struct policy *policy = policy_new();
    policy->limits = (struct limits){.requests_per_10s = 400,
                                     .signin_per_minute_per_ip = 10,
                                     .signin_per_minute_per_subnet = 50,
                                     .websockets = 2000,
                                     .max_body_bytes = 1 << 20,
                                     .tunnel_timeout_ms = 60000};
    policy->rules = memory_new(3 * sizeof(*policy->rules));
    policy->rules[0] = rule_for("/api/chat");
    policy->rules[0].limits.requests_per_10s = 7;
    policy->rules[0].limits.server_timeout_ms = 1800000;
    policy->rules[1] = rule_for("/api/files");
    policy->rules[1].limits.requests_per_10s = 0;
    policy->rules[1].limits.max_body_bytes = 0;
    policy->rules[2] = rule_for("/ws");
    policy->rules[2].limits.websockets = 5;
    policy->rule_count = 3;
    return policy;
}

/* The variables of limits in the answer: "more=:400", or "more" where it is a boolean. */
static const char *answer(const char *host, const char *path)
{
    static char text[512];
    static const char *const NAMES[] = {"more", "strip", "ts", "tt"};
    uint8_t buffer[SPOP_ACTIONS_MAX_BYTES];
    struct writer actions = writer_of(buffer, sizeof(buffer));
    struct request request = {.host = slice_of(host), .path = slice_of(path)};
    struct action action;
    size_t end = 0;

    cr_assert(ip_parse(SLICE("2001:db8:1111:2222:3333:4444:5555:6666"), &request.client.peer));
    decide(&snapshot, &request, &decision);
    cr_assert(answer_write(&request, &decision, &actions));
    struct reader reader = reader_of(writer_written(&actions));
    text[0] = '\0';
    while (action_next(&reader, &action)) {
        bool listed = false;
        for (size_t i = 0; i < COUNT_OF(NAMES); i++)
            listed |= slice_equal(action.name, slice_of(NAMES[i]));
        if (!listed)
            continue;
        const char *blank = end > 0 ? " " : "";
        if (action.value.type == SPOP_BOOLEAN)
            end += (size_t)snprintf(text + end, sizeof(text) - end, "%s%.*s", blank,
                                    SLICE_PRINT(action.name));
        else if (action.value.type == SPOP_STRING)
            end += (size_t)snprintf(text + end, sizeof(text) - end, "%s%.*s=%.*s", blank,
                                    SLICE_PRINT(action.name), SLICE_PRINT(action.value.bytes));
        else
            end += (size_t)snprintf(text + end, sizeof(text) - end, "%s%.*s=%lld", blank,
                                    SLICE_PRINT(action.name), (long long)action.value.integer);
    }
    return text;
}

Test(limits, what_is_told)
{
    struct policy *timeouts = policy_new();
    timeouts->limits.server_timeout_ms = 5000;
    put(tenant_with("acme", "acme.test", busy_policy()));
    put(tenant_with("slow", "slow.test", timeouts));
    put(tenant_with("free", "free.test", policy_new()));
    struct policy *guesses = policy_new();
    guesses->limits.signin_per_minute_per_ip = 10;
    put(tenant_with("guesses", "guesses.test", guesses));
    put(tenant_with("a-name-of-more-than-thirty-two-bytes", "long.test", busy_policy()));
    build();
    static const char *const ROWS[][3] = {
        {"acme.test", "/", "more=:400:2000:1048576::60000"},
        {"acme.test", "/api/chat/completions", "more=:7:2000:1048576:1800000:60000:::1"},
        {"acme.test", "/api/files/x", "more=::2000:::60000"},
        {"acme.test", "/ws/socket.io/", "more=:400:5:1048576::60000::::3"},
        {"acme.test", "/api/v1/auths/signin", "more=:400:2000:1048576::60000:10:50"},
        {"acme.test", "/p/q/api/chat", "strip=2 more=:7:2000:1048576:1800000:60000:::1"},
        {"acme.test", "/p/q/oauth/google/token/exchange",
         "strip=2 more=:400:2000:1048576::60000:10:50"},
        {"acme.test", "/k/api/v1/auths/signin", "more=:400:2000:1048576::60000:10:50"},
        {"acme.test", "/k/api/chat", "more=:400:2000:1048576::60000"},
        {"slow.test", "/", "ts=5000"},
        {"guesses.test", "/", ""},
        {"guesses.test", "/api/v1/auths/signin", "more=::::::10"},
        {"free.test", "/api/v1/auths/signin", ""},
        {"free.test", "/p/q/", "more strip=2"},
        {"slow.test", "/p/q/", "more strip=2 ts=5000"},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++)
        cr_expect_str_eq(answer(ROWS[i][0], ROWS[i][1]), ROWS[i][2], "%s%s: %s", ROWS[i][0],
                         ROWS[i][1], answer(ROWS[i][0], ROWS[i][1]));
    const char *hashed = answer("long.test", "/api/files/");
    cr_expect(slice_starts_with(slice_of(hashed), SLICE("more=~")), "%s", hashed);
    cr_expect(eq(sz, strlen(hashed), strlen("more=~0123456789abcdef::2000:::60000")));
}

static struct tenant *fleet_tenant(void)
{
    struct tenant *fleet = tenant_with("fleet", "fleet.test", busy_policy());
    fleet->upstream.per_label = true;
    fleet->hosts[0].wildcard = true;
    return fleet;
}

static void put_instance(const struct tenant *fleet)
{
    struct ip address;
    cr_assert(ip_parse(SLICE("10.9.0.1"), &address));
    struct tenant *instance = instance_new(fleet, SLICE("a"), "a.internal", &address, NULL);
    cr_assert_not_null(instance);
    route_registry_put(registry, instance, NULL, NULL);
}

/* An instance is a tenant of its own to those who count. */
Test(limits, an_instance_counts_for_itself)
{
    struct tenant *fleet = fleet_tenant();
    put(fleet);
    put_instance(fleet);
    build();
    cr_expect_str_eq(answer("a.fleet.test", "/api/chat"),
                     "more=fleet/a:7:2000:1048576:1800000:60000:::1");
}

/* Another list of labels makes another tenant, with rules of its own that say the same. */
Test(limits, an_instance_may_be_of_the_tenant_before)
{
    struct tenant *before = fleet_tenant();
    put(before);
    put_instance(before);
    put(fleet_tenant());
    build();
    cr_expect_str_eq(answer("a.fleet.test", "/api/chat"),
                     "more=fleet/a:7:2000:1048576:1800000:60000:::1");
}

static void give_long_header(struct tenant *tenant, size_t size)
{
    char value[HEADER_VALUE_MAX_BYTES];
    cr_assert(le(sz, size, sizeof(value)));
    memset(value, 'v', size);
    tenant->headers = memory_new(sizeof(*tenant->headers));
    tenant->header_count = 1;
    tenant->headers[0].name = memory_copy_text(SLICE("X-Long"));
    header_variable_name(SLICE("X-Long"), tenant->headers[0].variable);
    cr_assert(eq(int, template_parse(slice_from(value, size), &tenant->headers[0].value, NULL),
                 ERROR_OK));
}

/* The longest of everything, beside the longest header that is taken. */
Test(limits, the_largest_answer_fits)
{
    char name[TENANT_NAME_MAX_BYTES + 1];
    const char *host = "a-host-of-a-usual-length.example.com";
    size_t taken = 0;
    memset(name, 'n', sizeof(name) - 1);
    name[32] = '\0'; /* the longest that is a key itself */
    for (size_t size = 1; size < 400; size++) {
        struct policy *policy = busy_policy();
        policy->limits =
            (struct limits){UINT32_MAX - 1,    UINT32_MAX - 1, UINT32_MAX - 1, UINT32_MAX - 1,
                            (uint64_t)1 << 40, UINT32_MAX - 1, UINT32_MAX - 1};
        policy->rules[0].limits = policy->limits;
        struct tenant *tenant = tenant_with(name, host, policy);
        give_long_header(tenant, size);
        struct error_text why;
        if (answer_prepare(tenant, &why) != ERROR_OK) {
            tenant_free(tenant);
            break;
        }
        route_registry_put(registry, tenant, NULL, NULL);
        taken = size;
    }
    cr_assert(lt(sz, 20, taken), "there is room for %zu bytes", taken);
    build();
    char path[80] = "/p/q/api/v1/auths/signin/";
    memset(path + strlen(path), 'x', 60 - strlen(path));
    char changed[90];
    snprintf(changed, sizeof(changed), "/%s", path);
    const char *const REQUESTS[][2] = {{"A-HOST-OF-A-USUAL-LENGTH.example.com:65535", path},
                                       {host, changed}};
    for (size_t i = 0; i < COUNT_OF(REQUESTS); i++) {
        const char *told = answer(REQUESTS[i][0], REQUESTS[i][1]);
        cr_expect(slice_ends_with(slice_of(told), SLICE(":4294967294:4294967294")), "%s", told);
        cr_expect(eq(int, decision.outcome, OUTCOME_FORWARD));
    }
}

/* Nobody is told before a request comes whose label's instance cannot be made. */
Test(limits, where_a_tenant_fits_its_instances_do)
{
    struct ip address;
    size_t taken = 0;
    bool fits = true;
    cr_assert(ip_parse(SLICE("2001:db8::9"), &address));
    for (size_t size = 1; fits && size < HEADER_VALUE_MAX_BYTES; size++) {
        struct tenant *fleet = fleet_tenant();
        fleet->upstream.address = (struct ip){0};
        give_long_header(fleet, size);
        fits = answer_prepare(fleet, NULL) == ERROR_OK;
        if (fits) {
            struct error_text why = {""};
            struct tenant *instance =
                instance_new(fleet, SLICE("abcdefghijklmnopqrstuvwxyz"), "i", &address, &why);
            cr_expect_not_null(instance, "%zu: %s", size, why.text);
            tenant_free(instance);
            taken = size;
        }
        tenant_free(fleet);
    }
    cr_expect_not(fits);
    cr_assert(lt(sz, 20, taken), "there is room for %zu bytes", taken);
}

Test(limits, nothing_is_allocated)
{
    put(tenant_with("acme", "acme.test", busy_policy()));
    build();
    uint8_t buffer[SPOP_ACTIONS_MAX_BYTES];
    struct writer actions = writer_of(buffer, sizeof(buffer));
    struct request request = {.host = SLICE("acme.test"), .path = SLICE("/api/v1/auths/signin")};
    cr_assert(ip_parse(SLICE("192.0.2.1"), &request.client.peer));
    allocations_count();
    size_t before = allocations_count();
    decide(&snapshot, &request, &decision);
    bool fits = answer_write(&request, &decision, &actions);
    size_t after = allocations_count();
    cr_expect(fits);
    cr_expect(eq(sz, after, before));
}
