/* upstreams: what loops leave for the main thread while it is busy. */
#include "upstreams/label_desk.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>

struct bench {
    struct main_loop *loop;
    struct label_desk *desk;
    unsigned told;
};

static void on_request(void *context, const struct label_request *request)
{
    struct bench *bench = context;
    bench->told++;
    if (strcmp(request->tenant, "last") == 0)
        main_loop_stop(bench->loop);
}

static void bench_init(struct bench *bench)
{
    struct error_text why;
    *bench = (struct bench){.loop = main_loop_new(&why)};
    bench->desk = label_desk_new(bench->loop, on_request, bench);
}

static void bench_fini(struct bench *bench)
{
    label_desk_free(bench->desk);
    main_loop_free(bench->loop);
}

static bool ask(const struct bench *bench, const char *tenant, unsigned number)
{
    char label[16];
    snprintf(label, sizeof(label), "l%u", number);
    return label_desk_ask(bench->desk, slice_of(tenant), slice_of(label));
}

Test(label_desk, one_tenant_leaves_room_to_the_others)
{
    struct bench bench;
    unsigned taken = 0;
    bench_init(&bench);
    for (unsigned i = 0; i < 1000; i++)
        taken += ask(&bench, "one", i);
    cr_expect(taken >= 100 && taken < 1000, "%u", taken);
    cr_expect(ask(&bench, "two", 0));
    cr_expect(ask(&bench, "last", 0));
    main_loop_run(bench.loop);
    cr_expect(eq(uint, bench.told, taken + 2));
    cr_expect(ask(&bench, "one", 0));
    bench_fini(&bench);
}

Test(label_desk, a_label_that_waits_is_told_once)
{
    struct bench bench;
    bench_init(&bench);
    for (unsigned i = 0; i < 1000; i++)
        cr_expect(ask(&bench, "one", i % 4), "%u", i);
    cr_expect(ask(&bench, "last", 0));
    main_loop_run(bench.loop);
    cr_expect(eq(uint, bench.told, 4 + 1));
    bench_fini(&bench);
}
