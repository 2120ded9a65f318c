/* serving: what a loop does with requests for labels whose upstream nobody knows yet. */
#include "serving/responder.h"

#include "core/memory.h"
#include "support/snapshot_maker.h"
#include "support/spop_peer.h"
#include "upstreams/label_desk.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { FLOOD = 1000, TOO_LONG_BYTES = 5000 };

#define TENANT(NAME)                                                        \
    "\"" NAME "\": {\"hosts\": [\"*." NAME ".test\"], \"https\": \"off\", " \
    "\"upstream\": \"http://{1}." NAME ".invalid\"}"

static const char TENANTS[] = "{\"tenants\": {" TENANT("one") ", " TENANT("two") ", " TENANT(
    "three") ", " TENANT("four") "}}";

/* A loop that has not begun to run, and the main thread's side of the desk. */
struct bench {
    struct main_loop *main_loop;
    struct label_desk *desk;
    struct loops *loops;
    struct responder *responder;
    struct snapshot snapshot;
    unsigned asked_for_two;
    uint64_t stream;
};

static void on_request(void *context, const struct label_request *request)
{
    struct bench *bench = context;
    bench->asked_for_two += strcmp(request->tenant, "two") == 0;
    if (strcmp(request->tenant, "last") == 0)
        main_loop_stop(bench->main_loop);
}

static struct bench *bench_new(void)
{
    struct error_text why;
    struct bench *bench = memory_new(sizeof(*bench));
    bench->main_loop = main_loop_new(&why);
    bench->desk = label_desk_new(bench->main_loop, on_request, bench);
    bench->loops = loops_new(&(struct loops_settings){0}, &RESPONDER_HANDLER, &why);
    bench->responder = responder_new(loops_at(bench->loops, 0), bench->desk, 8, NULL);
    snapshot_make(slice_of(TENANTS), &bench->snapshot);
    atomic_store(&bench->snapshot.references, 1);
    RESPONDER_HANDLER.on_value(bench->responder, &bench->snapshot);
    return bench;
}

static void bench_free(struct bench *bench)
{
    responder_free(bench->responder);
    loops_free(bench->loops);
    label_desk_free(bench->desk);
    main_loop_free(bench->main_loop);
    route_table_free(bench->snapshot.table);
    free(bench);
}

/* Asks for a label of the tenant that nobody has asked for before, in a message that is longer by
 * `more_bytes`. */
static bool is_held(struct bench *bench, const char *tenant, size_t more_bytes)
{
    static const char MORE[TOO_LONG_BYTES];
    uint8_t bytes[8192];
    uint8_t action_bytes[SPOP_ACTIONS_MAX_BYTES];
    char host[64];
    struct writer message = writer_of(bytes, sizeof(bytes));
    struct writer actions = writer_of(action_bytes, sizeof(action_bytes));
    snprintf(host, sizeof(host), "l%u.%s.test", (unsigned)++bench->stream, tenant);
    peer_write_message(&message, SLICE("route"), 5);
    peer_write_ip(&message, SLICE("src"), slice_from("\x7f\0\0\1", 4));
    peer_write_boolean(&message, SLICE("tls"), false);
    peer_write_string(&message, SLICE("host"), slice_of(host));
    peer_write_string(&message, SLICE("path"), SLICE("/"));
    peer_write_string(&message, SLICE("jwt"), slice_from(MORE, more_bytes));
    cr_assert_not(message.failed);
    const struct spop_notify notify = {bench->stream, 1, writer_written(&message)};
    return RESPONDER_HANDLER.on_notify(bench->responder, &notify, &actions) == SPOP_HELD;
}

static unsigned flood(struct bench *bench, const char *tenant)
{
    unsigned held = 0;
    for (unsigned i = 0; i < FLOOD; i++)
        held += is_held(bench, tenant, 0);
    return held;
}

Test(responder, made_up_labels_of_one_tenant_leave_places_to_another)
{
    struct bench *bench = bench_new();
    cr_expect(flood(bench, "one") >= 100);
    for (unsigned i = 0; i < 50; i++)
        cr_expect(is_held(bench, "two", 0), "%u", i);
    bench_free(bench);
}

Test(responder, several_tenants_with_made_up_labels_leave_places_too)
{
    struct bench *bench = bench_new();
    flood(bench, "one");
    flood(bench, "three");
    flood(bench, "four");
    for (unsigned i = 0; i < 10; i++)
        cr_expect(is_held(bench, "two", 0), "%u", i);
    bench_free(bench);
}

Test(responder, who_is_too_long_to_be_held_asks_whatever_another_tenant_is_asked_for)
{
    struct bench *bench = bench_new();
    for (unsigned i = 0; i < 20; i++)
        cr_expect_not(is_held(bench, "one", TOO_LONG_BYTES));
    cr_expect_not(is_held(bench, "two", TOO_LONG_BYTES));
    cr_expect(label_desk_ask(bench->desk, SLICE("last"), SLICE("label")));
    main_loop_run(bench->main_loop);
    cr_expect(eq(uint, bench->asked_for_two, 1));
    bench_free(bench);
}
