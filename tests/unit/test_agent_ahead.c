/* agent/ahead: what is asked of memory before a burst is answered. */
#include "agent/ahead.h"
#include "agent/answer.h"
#include "core/memory.h"
#include "support/guard.h"
#include "support/spop_peer.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { MANY = 20000, FEW = 100, BURST_BYTES = 64 * 128 };

static struct route_registry *registry;
static struct settings settings;
static struct snapshot snapshot;
static uint8_t burst[BURST_BYTES];
static struct ahead ahead;

/* Every tenth has a wildcard besides. */
static void serve(unsigned tenants)
{
    registry = route_registry_new();
    for (unsigned i = 0; i < tenants; i++) {
        struct tenant *tenant = tenant_new();
        tenant->name = memory_format("t%u", i);
        tenant->host_count = i % 10 == 0 ? 2 : 1;
        tenant->hosts = memory_new(tenant->host_count * sizeof(*tenant->hosts));
        tenant->hosts[0].name = memory_format("t%u.example.test", i);
        if (tenant->host_count > 1) {
            tenant->hosts[1].name = memory_format("t%u.example.test", i);
            tenant->hosts[1].wildcard = true;
        }
        tenant->upstream.host = memory_copy_text(SLICE("10.0.0.1"));
        tenant->upstream.port = 3000;
        cr_assert(ip_parse(SLICE("10.0.0.1"), &tenant->upstream.address));
        cr_assert(eq(int, answer_prepare(tenant, NULL), ERROR_OK));
        route_registry_put(registry, tenant, NULL, NULL);
    }
    snapshot = (struct snapshot){.settings = &settings, .generation = 1};
    snapshot.table = route_registry_build(registry, 1);
}

static void close_down(void)
{
    route_table_free(snapshot.table);
    route_registry_free(registry);
}

static void ask(struct writer *writer, const char *host)
{
    uint8_t *start = writer->position;
    spop_frame_begin(writer, SPOP_FRAME_NOTIFY, 1, 1);
    peer_write_message(writer, SLICE("route"), 2);
    peer_write_string(writer, SLICE("host"), slice_of(host));
    peer_write_ip(writer, SLICE("src"), SLICE("\xcb\x00\x71\x07"));
    spop_frame_end(writer, start);
}

static size_t found(void)
{
    size_t count = 0;
    for (unsigned i = 0; i < ahead.guessed; i++)
        count += ahead.guesses[i] != NULL;
    return count;
}

static size_t look_ahead(struct slice frames)
{
    answer_ahead(&snapshot, &frames, 1, &ahead);
    return found();
}

static struct slice ask_all(const char *const *hosts, size_t count)
{
    struct writer writer = writer_of(burst, sizeof(burst));
    for (size_t i = 0; i < count; i++)
        ask(&writer, hosts[i]);
    cr_assert(not(writer.failed));
    return writer_written(&writer);
}

Test(agent_ahead, a_burst_is_looked_up, .fini = close_down)
{
    const char *const hosts[] = {"t1.example.test", "t19999.example.test:8443", "nobody.test",
                                 "t7.example.test"};
    serve(MANY);
    cr_assert(eq(sz, look_ahead(ask_all(hosts, COUNT_OF(hosts))), 3));
}

Test(agent_ahead, one_request_alone_is_not, .fini = close_down)
{
    const char *const hosts[] = {"t1.example.test"};
    serve(MANY);
    cr_assert(eq(sz, look_ahead(ask_all(hosts, 1)), 0));
}

Test(agent_ahead, nor_is_anything_in_a_small_table, .fini = close_down)
{
    const char *const hosts[] = {"t1.example.test", "t2.example.test"};
    serve(FEW);
    cr_assert(eq(sz, look_ahead(ask_all(hosts, 2)), 0));
}

Test(agent_ahead, more_than_it_looks_at_at_once_is_no_harm, .fini = close_down)
{
    const char *hosts[64];
    serve(MANY);
    for (size_t i = 0; i < COUNT_OF(hosts); i++)
        hosts[i] = "t3.example.test";
    size_t looked_at = look_ahead(ask_all(hosts, COUNT_OF(hosts)));
    cr_assert(gt(sz, looked_at, 1));
    cr_assert(le(sz, looked_at, COUNT_OF(hosts)));
}

/* Cut short anywhere, at an unreadable page. */
Test(agent_ahead, a_part_of_a_frame_is_left_for_later, .fini = close_down)
{
    const char *const hosts[] = {"t1.example.test", "t2.example.test", "t3.example.test"};
    serve(MANY);
    struct slice whole = ask_all(hosts, COUNT_OF(hosts));
    size_t before = 0;
    for (size_t size = 0; size <= whole.size; size++) {
        size_t found = look_ahead(guard_copy(slice_head(whole, size)));
        cr_assert(ge(sz, found, before));
        before = found;
    }
    cr_assert(eq(sz, before, 3));
}

Test(agent_ahead, what_several_connections_ask_is_looked_up_together, .fini = close_down)
{
    const char *const hosts[] = {"t1.example.test", "t2.example.test"};
    serve(MANY);
    struct slice both = ask_all(hosts, COUNT_OF(hosts));
    const struct slice received[] = {slice_head(both, both.size / 2),
                                     slice_skip(both, both.size / 2)};
    answer_ahead(&snapshot, received, 1, &ahead);
    cr_assert(zero(sz, found()));
    answer_ahead(&snapshot, received, 2, &ahead);
    cr_assert(eq(sz, found(), 2));
}

/* What is found is told of the request that it was found for, and of none besides. */
Test(agent_ahead, what_was_found_is_told_in_order, .fini = close_down)
{
    const char *const hosts[] = {"t1.example.test", "nobody.test", "t2.example.test:8443",
                                 "t3.example.test"};
    serve(MANY);
    (void)look_ahead(ask_all(hosts, COUNT_OF(hosts)));
    cr_assert(eq(int, (int)ahead.count, (int)COUNT_OF(hosts)));
    struct slice seen[COUNT_OF(hosts)];
    for (size_t i = 0; i < COUNT_OF(hosts); i++)
        seen[i] = ahead.hosts[i];
    cr_expect(eq(ptr, (void *)(uintptr_t)ahead_take(&ahead, SLICE("t1.example.test")), NULL));
    const struct route_entry *first = ahead_take(&ahead, seen[0]);
    cr_expect(ne(ptr, (void *)(uintptr_t)first, NULL));
    cr_expect(eq(str, route_guess_tenant(first)->name, "t1"));
    cr_expect(eq(ptr, (void *)(uintptr_t)ahead_take(&ahead, seen[1]), NULL));
    const struct route_entry *last = ahead_take(&ahead, seen[3]); /* one was passed over */
    cr_expect(eq(str, route_guess_tenant(last)->name, "t3"));
    cr_expect(eq(ptr, (void *)(uintptr_t)ahead_take(&ahead, seen[3]), NULL));
    (void)look_ahead(ask_all(hosts, COUNT_OF(hosts)));
    ahead_forget(&ahead);
    cr_expect(eq(ptr, (void *)(uintptr_t)ahead_take(&ahead, seen[0]), NULL));
}

/* Guesses are made as their time comes: of all that are looked at, whoever is passed over. */
Test(agent_ahead, each_of_a_long_burst_is_told, .fini = close_down)
{
    char names[AHEAD_MAX][32];
    const char *hosts[AHEAD_MAX];
    struct slice seen[AHEAD_MAX];
    serve(MANY);
    for (unsigned i = 0; i < AHEAD_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "t%u.example.test", i * 7);
        hosts[i] = names[i];
    }
    (void)look_ahead(ask_all(hosts, AHEAD_MAX));
    cr_assert(eq(u32, ahead.count, AHEAD_MAX));
    memcpy(seen, ahead.hosts, sizeof(seen));
    for (unsigned i = 0; i < AHEAD_MAX; i += i == 20 ? 30 : 1) {
        const struct route_entry *guess = ahead_take(&ahead, seen[i]);
        cr_assert(ne(ptr, (void *)(uintptr_t)guess, NULL));
        cr_expect(eq(str, route_guess_tenant(guess)->hosts[0].name, names[i]));
    }
}

/* Where a name leads to nothing, what its wildcard leads to is brought near instead. */
Test(agent_ahead, wildcards_are_looked_up_too, .fini = close_down)
{
    const char *const hosts[] = {"chat.t10.example.test", "chat.t1.example.test",
                                 "t10.example.test", "chat.t19990.example.test", "localhost"};
    const char *const names[] = {"t10", NULL, "t10", "t19990", NULL};
    struct route_match match;
    serve(MANY);
    cr_assert(eq(sz, look_ahead(ask_all(hosts, COUNT_OF(hosts))), 3));
    for (unsigned i = 0; i < COUNT_OF(hosts); i++) {
        const struct route_entry *guess = ahead_take(&ahead, ahead.hosts[i]);
        cr_assert(eq(int, guess != NULL, names[i] != NULL));
        if (guess != NULL)
            cr_expect(zero(int, strcmp(route_guess_tenant(guess)->name, names[i])));
        route_table_find_guessed(snapshot.table, guess, slice_of(hosts[i]), SLICE("/"), &match);
        cr_expect(eq(int, match.tenant != NULL, names[i] != NULL));
        cr_expect(eq(sz, match.label.size, i == 0 || i == 3 ? 4 : 0));
    }
}

/* A guess is nobody's word: the table looks whether it is what was asked for. */
Test(agent_ahead, a_wrong_guess_leads_nowhere, .fini = close_down)
{
    const char *const hosts[] = {"t1.example.test", "t2.example.test"};
    struct route_match match;
    serve(MANY);
    (void)look_ahead(ask_all(hosts, COUNT_OF(hosts)));
    route_table_find_guessed(snapshot.table, ahead.guesses[0], SLICE("t2.example.test"), SLICE("/"),
                             &match);
    cr_expect(eq(str, match.tenant->name, "t2"));
    route_table_find_guessed(snapshot.table, ahead.guesses[0], SLICE("nobody.test"), SLICE("/"),
                             &match);
    cr_expect(eq(ptr, (void *)(uintptr_t)match.tenant, NULL));
}

/* Some answers are too long to be beside the rest of the tenant. */
Test(agent_ahead, a_long_answer_lies_apart, .fini = close_down)
{
    const char *const hosts[] = {"t1.example.test", "t2.example.test"};
    serve(MANY);
    struct tenant *tenant = tenant_clone(route_table_tenant(snapshot.table, SLICE("t1")));
    struct header *header = memory_new(sizeof(*header));
    header->name = memory_copy_text(SLICE("X-Long"));
    header_variable_name(SLICE("X-Long"), header->variable);
    char value[PREPARED_NEAR_BYTES + 1];
    memset(value, 'x', sizeof(value));
    cr_assert(
        eq(int, template_parse(slice_from(value, sizeof(value)), &header->value, NULL), ERROR_OK));
    tenant->headers = header;
    tenant->header_count = 1;
    cr_assert(eq(int, answer_prepare(tenant, NULL), ERROR_OK));
    cr_assert(ne(ptr, tenant->prepared, tenant->near));
    cr_assert(gt(sz, tenant->prepared_slots_size, tenant->prepared_plain_size));
    route_registry_put(registry, tenant, NULL, NULL);
    route_table_free(snapshot.table);
    snapshot.table = route_registry_build(registry, 2);
    cr_assert(eq(sz, look_ahead(ask_all(hosts, COUNT_OF(hosts))), 2));
}
