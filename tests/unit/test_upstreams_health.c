/* upstreams: which servers are looked at, and from when on. */
#include "upstreams/health.h"

#include "core/memory.h"
#include "loopback_listener.h"
#include "route/replica.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { PATIENCE_MS = 10000 };

struct bench {
    struct main_loop *loop;
    struct main_timer *timer;
    struct main_watch *watch;
    struct health *health;
    struct check_rule rule;
    int listener;
    uint16_t port;
    bool is_asked;
};

static void on_asked(void *context)
{
    struct bench *bench = context;
    bench->is_asked = true;
    main_loop_stop(bench->loop);
}

static void on_patience(void *context)
{
    struct bench *bench = context;
    main_loop_stop(bench->loop);
}

static struct bench *bench_new(void)
{
    struct error_text why;
    struct bench *bench = memory_new(sizeof(*bench));
    bench->listener = listen_on_loopback(&bench->port);
    bench->rule = (struct check_rule){.path = "/ready", .every_ms = 50, .rise = 1, .fall = 1};
    bench->loop = main_loop_new(&why);
    bench->timer = main_timer_new(bench->loop, on_patience, bench);
    bench->watch = main_watch_new(bench->loop, bench->listener, MAIN_READ, on_asked, bench);
    bench->health = health_new(bench->loop);
    return bench;
}

static void bench_free(struct bench *bench)
{
    health_free(bench->health);
    main_watch_free(bench->watch);
    main_timer_free(bench->timer);
    main_loop_free(bench->loop);
    close(bench->listener);
    free(bench);
}

static struct tenant tenant_of(struct bench *bench, bool has_address)
{
    struct tenant tenant = {.name = "chat", .check = &bench->rule};
    tenant.upstream.host = "webui.test";
    tenant.upstream.port = bench->port;
    if (has_address)
        cr_assert(ip_parse(SLICE("127.0.0.1"), &tenant.upstream.address));
    return tenant;
}

static bool is_asked(struct bench *bench)
{
    main_timer_once(bench->timer, PATIENCE_MS);
    main_loop_run(bench->loop);
    return bench->is_asked;
}

/* libcurl, which is loaded for the first check, takes a descriptor. */
Test(health, checks_begin_when_there_are_descriptors_again)
{
    struct bench *bench = bench_new();
    struct tenant tenant = tenant_of(bench, true);
    struct rlimit limit;
    cr_assert(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    int next = open("/dev/null", O_RDONLY);
    close(next);
    cr_assert(setrlimit(RLIMIT_NOFILE, &(struct rlimit){(rlim_t)next, limit.rlim_max}) == 0);
    health_attach(bench->health, &tenant);
    cr_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    cr_expect(is_asked(bench));
    replica_health_unref(tenant.health);
    bench_free(bench);
}
