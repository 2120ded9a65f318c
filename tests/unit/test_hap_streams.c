/* hap/runtime_streams: what HAProxy 2.6.12 and 3.4.7 print. */
#include "hap/runtime_streams.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

/* Its own question, a WebSocket, and a request that waits for its answer. */
static const char OLD[] =
    "0x55c09be31e80: [26/Nov/2026:09:50:16.294316] id=2 proto=unix_stream source=unix:1\n"
    "  flags=0x8, conn_retries=0, conn_exp=<NEVER> conn_et=0x000 srv_conn=(nil)\n"
    "  frontend=GLOBAL (id=0 mode=tcp), listener=? (id=1) addr=unix:1\n"
    "  backend=<NONE> (id=-1 mode=-)\n"
    "  server=<NONE> (id=-1)\n"
    "  task=0x55c09bf4da40 (state=0x00 nice=-64 calls=1 rate=0 exp=<NEVER> tmask=0x1 age=0s)\n"
    "  req=0x55c09be31ea0 (f=0xc08000 an=0x0 pipe=0 tofwd=-1 total=14)\n"
    "  res=0x55c09be31f00 (f=0x80008000 an=0x0 pipe=0 tofwd=-1 total=1524)\n"
    "0x5555d2d15e80: [26/Nov/2026:09:50:26.967993] id=0 proto=tcpv4 source=127.0.0.1:43562\n"
    "  frontend=f (id=2 mode=http), listener=? (id=1) addr=127.0.0.1:18942\n"
    "  backend=b (id=3 mode=http) addr=127.0.0.1:33194\n"
    "  server=any (id=1) addr=127.0.0.1:18941\n"
    "  txn=0x5555d2e31d30 flags=0x8000 meth=1 status=101 req.st=MSG_TUNNEL rsp.st=MSG_TUNNEL "
    "req.f=0xcc rsp.f=0xcc\n"
    "  req=0x5555d2d15ea0 (f=0x848000 an=0x0 pipe=0 tofwd=-1 total=99)\n"
    "      an_exp=<NEVER> rex=<NEVER> wex=<NEVER>\n"
    "  res=0x5555d2d15f00 (f=0x88048000 an=0x0 pipe=0 tofwd=-1 total=137)\n"
    "      an_exp=<NEVER> rex=<NEVER> wex=<NEVER>\n"
    "0x7fc480041da0: [26/Nov/2026:09:50:26.968370] id=1 proto=tcpv4 source=127.0.0.1:43572\n"
    "  server=any (id=1) addr=fd00::7:18941\n"
    "  txn=0x7fc480042370 flags=0x3000 meth=1 status=-1 req.st=MSG_DONE rsp.st=MSG_RPBEFORE "
    "req.f=0x4c rsp.f=0x00\n"
    "  res=0x7fc480041e20 (f=0x80400000 an=0x1400000 pipe=0 tofwd=0 total=0)\n"
    "\n";

static const char NEW[] =
    "0x7f923d27a200: [26/Nov/2026:09:50:32.324020] id=0 proto=tcpv4 source=127.0.0.1:50580\n"
    "  p_con=2 p_stc=3 p_req=7 p_res=7 p_prp=6\n"
    "  server=any (id=1) addr=127.0.0.1:18941\n"
    "  txn=0x7f923ba6d3c0 flags=0x8000 meth=1 status=101 req.st=MSG_TUNNEL rsp.st=MSG_TUNNEL "
    "req.f=0xcc rsp.f=0xcc\n"
    "  scf=0x7f923ba77c00 flags=0x00001400 ioto=1m state=EST endp=CONN,0x7f923b269ac0,0x50602041 "
    "sub=1 in=136 out=137 rex=59s wex=<NEVER> rto=59s wto=<NEVER>\n"
    "  scb=0x7f923ba77a80 flags=0x00001001 ioto=1m state=EST endp=CONN,0x7f923b269d00,0x50600041 "
    "sub=1 in=137 out=136 rex=59s wex=<NEVER> rto=59s wto=<NEVER>\n"
    "  req=0x7f923d27a210 (f=0x848000 an=0x0 tofwd=-1)\n"
    "  res=0x7f923d27a290 (f=0x80048000 an=0x0 tofwd=-1)\n";

static void expect_server(const struct runtime_stream *stream, const char *address, uint16_t port)
{
    char text[IP_TEXT_SIZE];
    cr_expect(
        eq(str, (char *)(uintptr_t)ip_print(&stream->server, text), (char *)(uintptr_t)address));
    cr_expect(eq(u16, stream->port, port));
}

Test(hap_streams, what_the_older_versions_tell)
{
    struct slice answer = slice_of(OLD);
    struct runtime_stream stream;
    cr_assert(runtime_stream_next(&answer, &stream));
    cr_expect(slice_equal(stream.id, SLICE("0x55c09be31e80")));
    expect_server(&stream, "-", 0);

    cr_assert(runtime_stream_next(&answer, &stream));
    cr_expect(slice_equal(stream.id, SLICE("0x5555d2d15e80")));
    expect_server(&stream, "127.0.0.1", 18941);
    cr_expect(stream.is_tunnel);
    cr_expect(eq(u64, stream.received_bytes, 137));

    cr_assert(runtime_stream_next(&answer, &stream));
    cr_expect(slice_equal(stream.id, SLICE("0x7fc480041da0")));
    expect_server(&stream, "fd00::7", 18941);
    cr_expect(not(stream.is_tunnel));
    cr_expect(eq(u64, stream.received_bytes, 0));
    cr_expect(not(runtime_stream_next(&answer, &stream)));
}

Test(hap_streams, what_newer_versions_tell)
{
    struct slice answer = slice_of(NEW);
    struct runtime_stream stream;
    cr_assert(runtime_stream_next(&answer, &stream));
    expect_server(&stream, "127.0.0.1", 18941);
    cr_expect(stream.is_tunnel);
    cr_expect(eq(u64, stream.received_bytes, 137));
    cr_expect(not(runtime_stream_next(&answer, &stream)));
}

/* An answer that was cut, and one that is no answer. */
Test(hap_streams, whatever_comes_ends)
{
    struct runtime_stream stream;
    for (size_t size = 0; size <= sizeof(OLD); size++) {
        struct slice answer = slice_from(OLD, size);
        size_t count = 0;
        while (runtime_stream_next(&answer, &stream))
            count++;
        cr_expect(le(sz, count, 3));
    }
    struct slice answer = SLICE("Permission denied\n\n0x\n  server= addr=\n");
    cr_expect(not(runtime_stream_next(&answer, &stream)));
    answer = SLICE("0x1: x\n  server=a addr=300.1.1.1:99999999999\n  server=b addr=\n txn=\n res=");
    cr_assert(runtime_stream_next(&answer, &stream));
    expect_server(&stream, "-", 0);
    answer = SLICE("0x1: x\n  server=a addr=10.0.0.1:80\n  server=b addr=10.0.0.2:65536\n");
    cr_assert(runtime_stream_next(&answer, &stream));
    expect_server(&stream, "-", 0);
    answer = SLICE("Note: no stream\n0x1: x\n");
    cr_assert(runtime_stream_next(&answer, &stream));
    cr_expect(slice_equal(stream.id, SLICE("0x1")));
}

Test(hap_streams, what_is_no_whole_answer)
{
    static const char *const PARTS[] = {
        "",
        "\n",
        "\n\n",
        "Permission denied\n\n",
        "Can't find the target CLI!\n",
        "0x55c09be31e80: [26/Nov/2026:09:50:16.294316] id=2 proto=unix_stream source=unix:1\n"
        "  flags=0x8, conn_retries=0, conn_exp=<NEVER> conn_et=0x000 srv_conn=(nil)\n",
    };
    for (size_t i = 0; i < sizeof(PARTS) / sizeof(*PARTS); i++)
        cr_expect(not(runtime_streams_are_whole(slice_of(PARTS[i]))), "%s", PARTS[i]);
    cr_expect(runtime_streams_are_whole(slice_of(OLD)));
}
