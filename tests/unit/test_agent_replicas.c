/* agent: answers for a tenant with replicas. */
#include "agent/actions.h"
#include "agent/answer.h"
#include "allocations.h"
#include "core/hash.h"
#include "core/memory.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

static struct route_registry *registry;
static struct settings settings;
static struct snapshot snapshot;
static struct replica_set *set; /* the tenant's */

static struct tenant *tenant_of(enum replica_sticky sticky, size_t count)
{
    struct tenant *tenant = tenant_new();
    tenant->name = memory_copy_text(SLICE("big"));
    tenant->hosts = memory_new(sizeof(*tenant->hosts));
    tenant->hosts[tenant->host_count++].name = memory_copy_text(SLICE("big.test"));
    set = memory_new(sizeof(*set));
    set->sticky = sticky;
    set->fallback = STICKY_COOKIE;
    set->count = count;
    set->items = memory_new(count * sizeof(*set->items));
    for (size_t i = 0; i < count; i++) {
        struct upstream *upstream = &set->items[i].upstream;
        upstream->host = memory_format("10.0.0.%zu", i + 1);
        upstream->port = (uint16_t)(8080 + i);
        cr_assert(ip_parse(slice_of(upstream->host), &upstream->address));
        set->items[i].health = replica_health_new();
        replica_name(&set->items[i]);
    }
    tenant->replicas = set;
    return tenant;
}

static void publish(struct tenant *tenant)
{
    struct error_text why;
    registry = route_registry_new();
    cr_assert(eq(int, answer_prepare(tenant, &why), ERROR_OK), "%s", why.text);
    route_registry_put(registry, tenant, NULL, NULL);
    snapshot.table = route_registry_build(registry, ++snapshot.generation);
    snapshot.settings = &settings;
}

static void teardown(void)
{
    route_table_free(snapshot.table);
    route_registry_free(registry);
}

TestSuite(replicas, .fini = teardown);

static struct decision decision;
static uint8_t bytes[SPOP_ACTIONS_MAX_BYTES];
static struct slice actions;

static void ask(const char *from, const char *token, const char *authorization, const char *cookie)
{
    struct request request = {
        .host = SLICE("big.test"),
        .path = SLICE("/"),
        .token_claims = slice_of(token),
        .authorization_claims = slice_of(authorization),
        .replica_cookie = slice_of(cookie),
    };
    struct writer writer = writer_of(bytes, sizeof(bytes));
    cr_assert(ip_parse(slice_of(from), &request.client.peer));
    decide(&snapshot, &request, &decision);
    cr_assert(answer_write(&request, &decision, &writer));
    actions = writer_written(&writer);
}

/* The variable as text; "" when it is not there. */
static const char *variable(const char *name)
{
    static char text[64];
    struct reader reader = reader_of(actions);
    struct action action;
    struct ip ip;
    text[0] = '\0';
    while (action_next(&reader, &action)) {
        if (!slice_equal(action.name, slice_of(name)))
            continue;
        if (action.value.type == SPOP_STRING)
            snprintf(text, sizeof(text), "%.*s", SLICE_PRINT(action.value.bytes));
        else if (action.value.type == SPOP_IPV4 && ip_from_bytes(action.value.bytes, &ip))
            ip_print(&ip, text);
        else
            snprintf(text, sizeof(text), "%d", (int)action.value.integer);
    }
    return text;
}

#define ALICE "eyJpZCI6ImFsaWNlIn0" /* {"id":"alice"} */
#define BOB   "eyJpZCI6ImJvYiJ9"    /* {"id":"bob"} */

Test(replicas, an_answer_tells_one_of_them)
{
    publish(tenant_of(STICKY_CLIENT, 3));
    ask("192.0.2.1", NULL, NULL, NULL);
    cr_expect(eq(int, (int)decision.outcome, OUTCOME_FORWARD));
    cr_expect_str_eq(variable("tenant"), "big");
    size_t index = (size_t)(decision.replica.replica - set->items);
    char port[8], address[16];
    snprintf(port, sizeof(port), "%zu", 8080 + index);
    snprintf(address, sizeof(address), "10.0.0.%zu", index + 1);
    cr_expect_str_eq(variable("to_http"), port);
    cr_expect_str_eq(variable("dst"), address);
    cr_expect_str_eq(variable("stick"), "");
}

Test(replicas, a_user_is_known_by_either_token_and_authorization_counts_more)
{
    publish(tenant_of(STICKY_USER, 16));
    ask("192.0.2.1", ALICE, NULL, NULL);
    const struct replica *alice = decision.replica.replica;
    char cookie[16];
    snprintf(cookie, sizeof(cookie), "%s", variable("stick"));
    cr_expect(eq(sz, strlen(cookie), REPLICA_COOKIE_BYTES));
    ask("2001:db8::1", NULL, ALICE, NULL);
    cr_expect(decision.replica.replica == alice);
    ask("192.0.2.77", BOB, ALICE, cookie);
    cr_expect(decision.replica.replica == alice);
    cr_expect_str_eq(variable("stick"), "");
    ask("192.0.2.1", BOB, NULL, NULL);
    cr_expect(decision.replica.replica != alice);
    /* An API key is no token, and the cookie counts. */
    ask("192.0.2.1", ALICE, "sk-0123", NULL);
    cr_expect(decision.replica.replica == alice);
    ask("192.0.2.5", "garbage!", "", cookie);
    cr_expect(decision.replica.replica == alice);
    cr_expect(eq(int, (int)decision.replica.reason, REPLICA_COOKIE));
}

Test(replicas, health_counts_at_once_and_without_a_new_table)
{
    publish(tenant_of(STICKY_CLIENT, 3));
    ask("192.0.2.1", NULL, NULL, NULL);
    const struct replica *home = decision.replica.replica;
    atomic_store(&home->health->share, 0);
    ask("192.0.2.1", NULL, NULL, NULL);
    cr_expect(decision.replica.replica != home);
    atomic_store(&home->health->share, REPLICA_SHARE_FULL);
    ask("192.0.2.1", NULL, NULL, NULL);
    cr_expect(decision.replica.replica == home);
}

Test(replicas, without_any_address_the_request_is_refused)
{
    struct tenant *tenant = tenant_of(STICKY_COOKIE, 2);
    set->items[0].upstream.address = set->items[1].upstream.address = (struct ip){0};
    publish(tenant);
    ask("192.0.2.1", NULL, NULL, NULL);
    cr_expect(eq(int, (int)decision.outcome, OUTCOME_DENY_UNRESOLVED));
    cr_expect_str_eq(variable("reason"), "upstream-unresolved");
    /* It is no label that an instance could be made for. */
    cr_expect_not_null(decision.target);
}

/* What is checked when the tenant is read holds for the largest of its answers. */
Test(replicas, an_answer_fits_or_the_tenant_is_refused)
{
    bool fitted = false, refused = false;
    for (unsigned size = 1; size <= 253; size++) {
        struct tenant *tenant = tenant_of(STICKY_USER, 3);
        struct upstream *upstream = &set->items[2].upstream;
        struct error_text why;
        upstream->scheme = UPSTREAM_HTTPS;
        upstream->server_name = memory_new(size + 1);
        memset(upstream->server_name, 'n', size);
        upstream->address = (struct ip){0};
        tenant->headers = memory_new(sizeof(*tenant->headers));
        tenant->header_count = 1;
        tenant->headers[0].name = memory_copy_text(SLICE("X-A"));
        header_variable_name(SLICE("X-A"), tenant->headers[0].variable);
        char value[101];
        memset(value, 'v', 100);
        cr_assert(eq(int, template_parse(slice_from(value, 100), &tenant->headers[0].value, NULL),
                     ERROR_OK));
        if (answer_prepare(tenant, &why) != ERROR_OK) {
            refused = true;
            tenant_free(tenant);
            continue;
        }
        fitted = true;
        /* Its address becomes known. */
        cr_assert(ip_parse(SLICE("2001:db8:1:2:3:4:5:6"), &upstream->address));
        set->items[0].upstream.address = set->items[1].upstream.address = (struct ip){0};
        publish(tenant);
        ask("2001:db8:1:2:3:4:5:7", ALICE, NULL, NULL);
        cr_assert(eq(int, (int)decision.outcome, OUTCOME_FORWARD));
        cr_assert(eq(sz, strlen(variable("stick")), REPLICA_COOKIE_BYTES));
        route_table_free(snapshot.table);
        route_registry_free(registry);
    }
    cr_expect(fitted && refused);
    publish(tenant_of(STICKY_USER, 1));
}

Test(replicas, a_decision_allocates_nothing)
{
    publish(tenant_of(STICKY_USER, 8));
    struct request request = {.host = SLICE("big.test"),
                              .path = SLICE("/api/x"),
                              .token_claims = SLICE(ALICE),
                              .replica_cookie = SLICE("01234567")};
    cr_assert(ip_parse(SLICE("192.0.2.1"), &request.client.peer));
    size_t before = allocations_count();
    for (unsigned i = 0; i < 1000; i++) {
        struct writer writer = writer_of(bytes, sizeof(bytes));
        request.client.peer.bytes[3] = (uint8_t)i;
        decide(&snapshot, &request, &decision);
        if (!answer_write(&request, &decision, &writer))
            abort();
    }
    cr_expect(eq(sz, allocations_count(), before));
}

/* A token that is told as a whole, for somebody's identity, is told once. */
Test(replicas, a_user_in_a_token_that_is_told_as_a_whole)
{
    publish(tenant_of(STICKY_USER, 11));
    ask("192.0.2.1", ALICE, NULL, NULL);
    const struct replica *alice = decision.replica.replica;
    ask("192.0.2.1", BOB, NULL, NULL);
    const struct replica *bob = decision.replica.replica;
    cr_assert(alice != bob, "another name is needed");
    struct request request = {.host = SLICE("big.test"), .path = SLICE("/")};
    struct identity_token *token = &request.identity.tokens[0];
    cr_assert(ip_parse(SLICE("192.0.2.1"), &request.client.peer));
    request.identity.token_count = 1;
    *token = (struct identity_token){SLICE("jc_token"), SLICE("h." ALICE ".s"), false};
    decide(&snapshot, &request, &decision);
    cr_expect(decision.replica.replica == alice);
    token->argument = SLICE("jh_authorization");
    token->text = SLICE("Bearer h." ALICE ".s");
    request.token_claims = SLICE(BOB);
    decide(&snapshot, &request, &decision);
    cr_expect(decision.replica.replica == alice, "Authorization comes first");
    token->argument = SLICE("jh_x_token");
    decide(&snapshot, &request, &decision);
    cr_expect(decision.replica.replica == bob);
}

static const struct replica *begin(const char *from, const char *cookie, int64_t wall_s, bool told)
{
    struct request request = {.host = SLICE("big.test"),
                              .path = SLICE("/"),
                              .wall_s = wall_s,
                              .replica_cookie = slice_of(cookie),
                              .replica_told = told};
    cr_assert(ip_parse(slice_of(from), &request.client.peer));
    decide(&snapshot, &request, &decision);
    return decision.replica.replica;
}

Test(replicas, newcomers_of_one_address_are_spread_over_time)
{
    enum { COUNT = 3, STRETCHES = 300 };
    unsigned counts[COUNT] = {0};
    publish(tenant_of(STICKY_COOKIE, COUNT));
    for (int64_t stretch = 1; stretch <= STRETCHES; stretch++) {
        const struct replica *first = begin("192.0.2.1", NULL, stretch * 10, true);
        cr_expect(eq(int, (int)decision.replica.reason, REPLICA_NEW));
        cr_expect(decision.replica.set_cookie);
        for (int64_t s = 1; s < 10; s++)
            cr_expect(begin("192.0.2.1", NULL, stretch * 10 + s, true) == first);
        counts[first - set->items]++;
    }
    for (unsigned i = 0; i < COUNT; i++)
        cr_expect(counts[i] > STRETCHES / COUNT / 2, "%u: %u", i, counts[i]);
}

Test(replicas, who_is_no_newcomer_stays_at_any_time)
{
    publish(tenant_of(STICKY_COOKIE, 8));
    const struct replica *by_address = begin("192.0.2.1", NULL, 10, false);
    cr_expect(eq(int, (int)decision.replica.reason, REPLICA_HOME));
    for (int64_t now = 10; now < 1000; now += 10) {
        /* A cookie that HAProxy does not tell of can be set, but is never seen again. */
        cr_expect(begin("192.0.2.1", NULL, now, false) == by_address);
        cr_expect(begin("192.0.2.1", "00000000", now, true) == by_address);
    }
    teardown();
    publish(tenant_of(STICKY_CLIENT, 8));
    by_address = begin("192.0.2.1", NULL, 10, true);
    for (int64_t now = 10; now < 1000; now += 10)
        cr_expect(begin("192.0.2.1", NULL, now, true) == by_address);
}
