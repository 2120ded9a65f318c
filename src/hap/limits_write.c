/* Limits in haproxy.cfg: see limits_write.h.
 *
 * What was let through is counted, not what was asked for: so a flood is cut down to the limit, and
 * who else asks for the same tenant has a share of that, where otherwise everything would be
 * refused for as long as the flood lasts. */
#include "limits_write.h"

void limits_put_counting(const struct page *page)
{
    put_text(
        page,
        "\n"
        "    # limits: the agent tells them in one variable: what is counted under (else the\n"
        "    # tenant's name), requests, WebSockets, bytes of a body, timeouts of the server and "
        "of a\n"
        "    # tunnel, sign-ins from an address and a subnet, and the route whose requests, and "
        "whose\n"
        "    # WebSockets, are counted apart; HAProxy counts what it lets through\n"
        "    http-request allow unless { var(txn.owui.more),field(2,:) -m found }\n"
        "    http-request set-var(txn.owui.lk) var(txn.owui.tenant)\n"
        "    http-request set-var(txn.owui.lk) var(txn.owui.more),field(1,:) if "
        "{ var(txn.owui.more),field(1,:) -m len gt 0 }\n"
        "    http-request set-var(txn.owui.lr) var(txn.owui.more),field(2,:),add(0)\n"
        "    http-request set-var(txn.owui.lw) var(txn.owui.more),field(3,:),add(0)\n"
        "    http-request set-var(txn.owui.lb) var(txn.owui.more),field(4,:),add(0)\n"
        "    http-request set-var(txn.owui.ts) var(txn.owui.more),field(5,:),add(0)\n"
        "    http-request set-var(txn.owui.tt) var(txn.owui.more),field(6,:),add(0)\n"
        "    http-request set-var(txn.owui.si) var(txn.owui.more),field(7,:),add(0)\n"
        "    http-request set-var(txn.owui.sn) var(txn.owui.more),field(8,:),add(0)\n"
        "    http-request set-var(txn.owui.lo) var(txn.owui.more),field(9,:)\n"
        "    http-request set-var(txn.owui.ls) var(txn.owui.more),field(10,:)\n"
        "    # what is waited for comes first: between a look and its count, others would be let\n"
        "    # through as well\n"
        "    http-request wait-for-body time 5s at-least 1 if { var(txn.owui.lb) -m found } "
        "!{ req.hdr(content-length) -m found } !websocket\n"
        "    http-request track-sc0 var(txn.owui.lk),concat(/,txn.owui.lo) table owui_requests if "
        "{ var(txn.owui.lr) -m found }\n"
        "    http-request set-var(txn.owui.over) str(requests) if "
        "{ sc0_gpc0_rate(owui_requests),sub(txn.owui.lr) ge 0 }\n"
        "    # passwords are guessed by POST, from an address or all over a subnet; who has an "
        "IPv6\n"
        "    # address has all of its /64, so that a /56 is as many of them as a /24 is of IPv4\n"
        "    http-request set-var(txn.owui.one) var(txn.owui.ip),ipmask(32,64) if METH_POST "
        "{ var(txn.owui.si) -m found }\n"
        "    http-request set-var(txn.owui.net) var(txn.owui.ip),ipmask(24,56) if METH_POST "
        "{ var(txn.owui.sn) -m found }\n"
        "    http-request track-sc1 var(txn.owui.lk),concat(/,txn.owui.one) table owui_signin if "
        "METH_POST { var(txn.owui.si) -m found }\n"
        "    http-request track-sc2 var(txn.owui.lk),concat(/,txn.owui.net,/net) table owui_signin "
        "if METH_POST { var(txn.owui.sn) -m found }\n"
        "    http-request set-var(txn.owui.over) str(signin) if METH_POST "
        "{ sc1_gpc0_rate(owui_signin),sub(txn.owui.si) ge 0 }\n"
        "    http-request set-var(txn.owui.over) str(signin) if METH_POST "
        "{ sc2_gpc0_rate(owui_signin),sub(txn.owui.sn) ge 0 }\n"
        "    # as long as its socket is open, a WebSocket's stream is one of conn_cur\n"
        "    http-request track-sc1 var(txn.owui.lk),concat(/,txn.owui.ls) table owui_websockets "
        "if websocket "
        "{ var(txn.owui.lw) -m found } !{ var(txn.owui.over) -m found }\n"
        "    http-request set-var(txn.owui.over) str(websockets) if websocket "
        "{ sc1_conn_cur(owui_websockets),sub(txn.owui.lw) gt 0 }\n"
        "    # a body's length has to be told, since none can be cut off on its way\n"
        "    http-request set-var(txn.owui.over) str(body) if "
        "{ req.hdr(content-length),sub(txn.owui.lb) gt 0 }\n"
        "    http-request set-var(txn.owui.over) str(length) if { var(txn.owui.lb) -m found } "
        "!{ req.hdr(content-length) -m found } !websocket { req.body_len gt 0 }\n"
        "    http-request set-var(txn.owui.over) str(length) if { var(txn.owui.lb) -m found } "
        "websocket { req.fhdr(transfer-encoding) -m found }\n"
        "    http-request set-var(txn.owui.answer) str(over) if { var(txn.owui.over) -m found }\n"
        "    http-request allow if { var(txn.owui.answer) -m found }\n"
        "    http-request sc-inc-gpc0(0) if { var(txn.owui.lr) -m found }\n"
        "    http-request sc-inc-gpc0(1) if METH_POST { var(txn.owui.si) -m found }\n"
        "    http-request sc-inc-gpc0(2) if METH_POST { var(txn.owui.sn) -m found }\n");
}

/* API clients, and Open WebUI's own pages when they call the API, read the reason as JSON. */
static void put_answer(const struct page *page, int status, const char *words, const char *retry,
                       const char *text)
{
    put(page,
        "    http-request return status %d content-type application/json %shdr X-Refused "
        "%%[var(txn.owui.over)] string '{\"detail\":\"%s\"}' if api "
        "{ var(txn.owui.over) -m str %s }\n",
        status, retry, text, words);
    put(page,
        "    http-request return status %d content-type text/plain %shdr X-Refused "
        "%%[var(txn.owui.over)] string \"%s\\n\" if { var(txn.owui.over) -m str %s }\n",
        status, retry, text, words);
}

void limits_put_answers(const struct page *page)
{
    put_text(page, "    # over a limit\n");
    put_answer(page, 429, "requests websockets", "hdr Retry-After 10 ", "Too many requests");
    put_answer(page, 429, "signin", "hdr Retry-After 60 ", "Too many attempts to sign in");
    put_answer(page, 413, "body", "", "Request body too large");
    put_answer(page, 411, "length", "", "Content-Length required");
}

static unsigned size_or(unsigned size, unsigned otherwise)
{
    return size != 0 ? size : otherwise;
}

void limits_put_tables(const struct page *page)
{
    const struct hap_tables *tables = &page->config->tables;
    put(page,
        "\n"
        "# what is counted: by tenant (\"acme/\") or its route (\"acme/2\"), by tenant and client\n"
        "# (\"acme/192.0.2.1\", \"acme/192.0.2.0/net\"); memory is taken as entries come\n"
        "backend owui_requests\n"
        "    stick-table type string len 40 size %u expire 30s store gpc0,gpc0_rate(10s)\n"
        "\n"
        "backend owui_signin\n"
        "    stick-table type string len 80 size %u expire 2m store gpc0,gpc0_rate(60s)\n"
        "\n"
        "backend owui_websockets\n"
        "    stick-table type string len 40 size %u expire 10m store conn_cur\n",
        size_or(tables->requests, 200000), size_or(tables->signin, 200000),
        size_or(tables->websockets, 100000));
}
