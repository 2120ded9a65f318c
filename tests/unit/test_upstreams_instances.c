/* upstreams: which labels have an instance, and how long. */
#include "upstreams/instances.h"

#include "agent/instance.h"
#include "conf_fixture.h"
#include "core/memory.h"

#include <stdio.h>
#include <stdlib.h>

struct bench {
    struct fixture *fixture;
    struct main_loop *loop;
    struct resolver *resolver; /* asks nobody */
    struct instances *instances;
};

static bool allow(void *context, const struct ip *address, uint16_t port)
{
    (void)context, (void)address, (void)port;
    return true;
}

static void on_nothing(void *context, const char *name)
{
    (void)context, (void)name;
}

/* `list` has the labels of "fleet", and where they lead. */
static struct bench bench_new_with(const char *list)
{
    static const struct resolver_events EVENTS = {.on_change = on_nothing};
    struct error_text why;
    struct bench bench = {.fixture = fixture_new(), .loop = main_loop_new(&why)};
    fixture_write(
        bench.fixture, "owui-spoa.json",
        "{\"tenants\": {\"fleet\": {\"hosts\": [\"*.ai.test\"], "
        "\"upstream_map\": \"fleet.csv\"}, \"named\": {\"hosts\": [\"*.named.test\"], "
        "\"upstream\": \"http://{1}.internal\"}, \"more\": {\"hosts\": [\"*.more.test\"], "
        "\"upstream\": \"http://{1}.more.internal\"}}}");
    fixture_write(bench.fixture, "fleet.csv", list);
    fixture_load(bench.fixture);
    cr_assert(bench.fixture->good);
    bench.resolver = resolver_new(bench.loop, &EVENTS);
    bench.instances = instances_new(bench.fixture->whole.registry, bench.resolver, allow, NULL);
    return bench;
}

static struct bench bench_new(void)
{
    return bench_new_with("acme,http://10.0.0.1:1\nother,http://10.0.0.2:2\n");
}

static void bench_free(struct bench *bench)
{
    instances_free(bench->instances);
    resolver_free(bench->resolver);
    main_loop_free(bench->loop);
    fixture_free(bench->fixture);
}

static const struct tenant *instance(const struct bench *bench, const char *name)
{
    return route_registry_find(bench->fixture->whole.registry, slice_of(name));
}

Test(instances, who_has_requests_stays_and_who_has_none_goes)
{
    enum { BEGIN_MS = 1000, HALF_MS = INSTANCE_LIFE_MS / 2 };
    struct bench bench = bench_new();
    cr_expect(instances_want(bench.instances, &(struct label_request){"fleet", "acme"}, BEGIN_MS));
    cr_expect(instances_want(bench.instances, &(struct label_request){"fleet", "other"}, BEGIN_MS));
    for (int64_t now_ms = BEGIN_MS; now_ms < BEGIN_MS + 10 * INSTANCE_LIFE_MS; now_ms += HALF_MS) {
        cr_assert_not_null(instance(&bench, "fleet/acme"), "%lld", (long long)now_ms);
        instance_use(instance(&bench, "fleet/acme"));
        bool is_over = now_ms == BEGIN_MS + INSTANCE_LIFE_MS;
        cr_expect(eq(int, instances_settle(bench.instances, now_ms), is_over));
        cr_expect(eq(int, instance(&bench, "fleet/other") == NULL,
                     now_ms >= BEGIN_MS + INSTANCE_LIFE_MS));
    }
    int64_t end_ms = BEGIN_MS + 12 * INSTANCE_LIFE_MS;
    instances_settle(bench.instances, end_ms);
    cr_expect(instances_settle(bench.instances, end_ms + INSTANCE_LIFE_MS));
    cr_expect_null(instance(&bench, "fleet/acme"));
    cr_expect(eq(sz, instances_count(bench.instances), 0));
    bench_free(&bench);
}

Test(instances, another_one_of_the_same_label_is_in_use_as_it_was)
{
    struct bench bench = bench_new();
    struct route_registry *registry = bench.fixture->whole.registry;
    cr_expect(instances_want(bench.instances, &(struct label_request){"fleet", "acme"}, 0));
    const struct tenant *before = instance(&bench, "fleet/acme");
    instance_use(before);
    struct tenant *parent = tenant_clone(fixture_tenant(bench.fixture, "fleet"));
    parent->content_hash++;
    route_registry_put(registry, parent, NULL, NULL);
    cr_expect(instances_settle(bench.instances, INSTANCE_LIFE_MS - 1));
    cr_expect(instance(&bench, "fleet/acme") != before);
    cr_expect_not(instances_settle(bench.instances, INSTANCE_LIFE_MS));
    cr_expect(instances_settle(bench.instances, 2 * INSTANCE_LIFE_MS));
    bench_free(&bench);
}

/* Asks for more labels than may wait, for none of which there is an answer. */
static void make_up_labels(struct bench *bench, const char *tenant)
{
    struct label_request request = {{0}, {0}};
    snprintf(request.tenant, sizeof(request.tenant), "%s", tenant);
    for (size_t i = 0; i < 2 * INSTANCES_WAITING_MAX; i++) {
        snprintf(request.label, sizeof(request.label), "l%zu", i);
        cr_assert_not(instances_want(bench->instances, &request, 0));
        cr_assert_not(instances_want(bench->instances, &request, 0));
    }
}

Test(instances, labels_of_one_tenant_that_wait_leave_room_to_those_of_others)
{
    struct bench bench = bench_new();
    make_up_labels(&bench, "named");
    cr_expect(eq(sz, resolver_pending(bench.resolver), INSTANCES_WAITING_MAX / 2));
    make_up_labels(&bench, "more");
    cr_expect(eq(sz, resolver_pending(bench.resolver), INSTANCES_WAITING_MAX * 3 / 4));
    cr_expect(instances_want(bench.instances, &(struct label_request){"fleet", "acme"}, 0));
    cr_expect(eq(sz, instances_count(bench.instances), 1));
    instances_settle(bench.instances, INSTANCE_LIFE_MS); /* nobody waits any more */
    make_up_labels(&bench, "more");
    cr_expect(eq(sz, resolver_pending(bench.resolver), INSTANCES_WAITING_MAX));
    bench_free(&bench);
}

/* With so many labels that are in use. */
static struct bench bench_new_used(size_t count)
{
    struct label_request request = {"fleet", {0}};
    char *list = memory_format("l0,http://10.0.0.1:1\n");
    for (size_t i = 1; i < count; i++) {
        char *longer = memory_format("%sl%zu,http://10.0.0.1:1\n", list, i);
        free(list);
        list = longer;
    }
    struct bench bench = bench_new_with(list);
    free(list);
    for (size_t i = 0; i < count; i++) {
        snprintf(request.label, sizeof(request.label), "l%zu", i);
        cr_assert(instances_want(bench.instances, &request, 0));
    }
    return bench;
}

Test(instances, that_get_names_to_be_asked_for_all_at_once_leave_room_to_those_of_others)
{
    enum { MANY = INSTANCES_WAITING_MAX + 100 };
    struct bench bench = bench_new_used(MANY);
    struct fixture *later = fixture_new();
    fixture_write(later, "owui-spoa.json",
                  "{\"tenants\": {\"fleet\": {\"hosts\": [\"*.ai.test\"], "
                  "\"upstream\": \"http://{1}.internal\"}}}");
    fixture_load(later);
    route_registry_put(bench.fixture->whole.registry, tenant_clone(fixture_tenant(later, "fleet")),
                       NULL, NULL);
    cr_expect(instances_settle(bench.instances, 1));
    cr_expect(eq(sz, resolver_pending(bench.resolver), INSTANCES_WAITING_MAX / 2));
    make_up_labels(&bench, "more");
    cr_expect(eq(sz, resolver_pending(bench.resolver), INSTANCES_WAITING_MAX * 3 / 4));
    bench_free(&bench);
    fixture_free(later);
}
