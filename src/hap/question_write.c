/* The question to the agent: see question_write.h. */
#include "question_write.h"

#include "agents_write.h"
#include "core/memory.h"
#include "fallback_write.h"
#include "reuse_write.h"

#include <stdlib.h>

enum {
    HOPS_MAX = 4,            /* installations behind one another; more is a loop */
    LOGGED_HOST_BYTES = 100, /* each may become three */
};

#define ACME_PREFIX "/.well-known/acme-challenge/"

void question_put_filters(const struct page *page)
{
    const char *path = hap_spoe_path(page->config);
    bool several = agents_are_several(page->config);
    put(page, "    filter spoe engine owui config %s\n", path);
    if (several)
        put(page, "    filter spoe engine owui-other config %s\n", path);
    char *other = memory_format("    filter spoe engine owui-other-again config %s\n", path);
    char *again = memory_format("    # for a second try; see the SPOE file\n"
                                "    filter spoe engine owui-again config %s\n%s",
                                path, several ? other : "");
    put_since(page, HAP_3_0, "3.0", "", again);
    free(again);
    free(other);
}

/* HAProxy before 3.0 forgets the timeout of a group that is sent while the timeout of an earlier
 * one is still to come: such a request would wait for ever. So there the second try has a timeout
 * that ends before the first one's would have, which takes an engine of its own, and is made only
 * when the first one failed early. When that one was asked is noted by a rule: `option
 * set-process-time` would tell how long it took, and costs as much as three rules. */
static void put_tries_of_one(const struct page *page)
{
    static const char NEWER[] =
        "    http-request send-spoe-group owui route if { var(txn.owui.err) -m int ge 256 }\n"
        "    http-request send-spoe-group owui route if { var(txn.owui.err) -m int ge 256 } "
        "!answered\n";
    const char *not_reused = reuse_condition(page->config);
    char *older = memory_format(
        "    http-request send-spoe-group owui-again route if { var(txn.owui.err) -m int ge 256 } "
        "{ date(0,ms),sub(txn.owui_asked) -m int 0:%u }\n",
        agents_answer_ms(page->config) / 2 - 1);
    put_text(page,
             "\n"
             "    # ask the agent, again when it did not answer (one that ends may take two tries "
             "along);\n"
             "    # without an answer nothing is forwarded\n");
    const char *if_asked = not_reused[0] != '\0' ? " if" : "";
    char *noted = memory_format("    http-request set-var(txn.owui_asked) date(0,ms)%s%s\n",
                                if_asked, not_reused);
    put_since(page, HAP_3_0, "3.0", "", noted);
    put(page, "    http-request send-spoe-group owui route%s%s\n", if_asked, not_reused);
    put_since(page, HAP_3_0, "3.0", NEWER, older);
    free(noted);
    free(older);
}

/* An agent that hangs looks well until its checks have failed, to a second try as to the first. So
 * the agents are two halves, with an engine each, and the second try is the other half's: whatever
 * one agent does, the other half answers. Which half is first goes by the connection, so that one
 * agent's decisions serve it (agent/reuse.h). A third try is for those who were about to be
 * answered by one that stood in when the first came back, and found the other gone.
 *
 * A first try on an old HAProxy may end late, when an agent is taken out; its second try is made
 * nevertheless, though HAProxy may forget its timeout: see put_tries_of_one(). It waits for an
 * agent that hangs as well until that one is taken out. */
static void put_tries_of_several(const struct page *page)
{
    static const char AGAIN[] =
        "    http-request send-spoe-group owui-other%s route if !other_half "
        "{ var(txn.owui.err) -m int gt 0 }\n"
        "    http-request send-spoe-group owui%s route if other_half "
        "{ var(txn.owui.err) -m int gt 0 }\n"
        "    http-request send-spoe-group owui%s route if !other_half "
        "{ var(txn.owui.err) -m int ge 256 } !answered\n"
        "    http-request send-spoe-group owui-other%s route if other_half "
        "{ var(txn.owui.err) -m int ge 256 } !answered\n";
    const char *not_reused = reuse_condition(page->config);
    char *newer = memory_format(AGAIN, "", "", "", "");
    char *older = memory_format(AGAIN, "-again", "-again", "-again", "-again");
    put(page,
        "\n"
        "    # ask one half of the agents, and the other when that one did not answer: an agent "
        "that\n"
        "    # hangs is not known to until its checks fail; without an answer nothing is "
        "forwarded\n"
        "    acl other_half src_port,div(2),mod(2) eq 1\n"
        "    http-request send-spoe-group owui route if !other_half%s\n"
        "    http-request send-spoe-group owui-other route if other_half%s\n",
        not_reused, not_reused);
    put_since(page, HAP_3_0, "3.0", newer, older);
    free(newer);
    free(older);
}

/* A cookie of the name, wherever Open WebUI sees one: it splits at semicolons alone, where req.cook
 * does so at commas too, and not between quotes. Python's blanks are not all ASCII. */
#define TOKEN_COOKIE "(^|;)[^!-~]*token[^!-~]*="

/* The kind of credential in the cookie: its first bytes, or "?" where readers may differ. So they
 * do where there is none, too, and a key stands in Authorization behind a scheme that is not
 * Bearer. */
static void put_token_kind(const struct page *page)
{
    const char *not_reused = reuse_condition(page->config);
    if ((page->config->arguments >> HAP_ARGUMENT_CREDENTIAL & 1) == 0)
        return;
    put(page,
        "\n"
        "    # what kind of credential the cookie is, for routes; \"?\" where readers differ: "
        "told\n"
        "    # twice, or in quotes, or a key in Authorization that is no Bearer's\n"
        "    acl bearer req.fhdr(authorization,1) -m reg -i '^bearer '\n"
        "    acl other_scheme req.fhdr(authorization,1) -m reg '^[^ ]+ (sk-|eyJ)'\n"
        "    acl token_cookie req.fhdr(cookie) -m reg '" TOKEN_COOKIE "'\n"
        "    acl token_cookie_twice req.fhdr(cookie) -m reg '" TOKEN_COOKIE
        ".*;[^!-~]*token[^!-~]*='\n"
        "    acl token_cookie_twice req.fhdr_cnt(cookie) gt 1\n"
        "    acl token_is_plain req.fhdr(cookie) -m reg '" TOKEN_COOKIE "[A-Za-z0-9_-]'\n"
        "    acl token_is_key req.fhdr(cookie) -m reg '" TOKEN_COOKIE "sk-'\n"
        "    http-request set-var(txn.owui_token) str(?) if token_cookie%s || "
        "other_scheme !bearer%s\n"
        "    http-request set-var(txn.owui_token) str(eyJ) if { var(txn.owui_token) -m found } "
        "token_is_plain !token_cookie_twice\n"
        "    http-request set-var(txn.owui_token) str(sk-) if { var(txn.owui_token) -m found } "
        "token_is_key !token_cookie_twice\n",
        not_reused, not_reused);
}

/* Who comes next on the connection to the upstream would be its body. Before 3.2 the number is read
 * into 64 bits with a sign, so that 2^64 is 0, and passed on as it was told. */
static void put_overflow_refusal(const struct page *page)
{
    put_since(page, HAP_3_2, "3.2", "",
              "\n"
              "    # a length of so many digits is another one to the upstream\n"
              "    http-request deny deny_status 400 if { req.fhdr(content-length) -m len 19: }\n");
}

/* Before any rule that ends a request. A capture would be 900 instructions less of 92,000, but an
 * admin's own are known by their numbers, which it would change. What a client says here cannot
 * look like another part of the log's line, as it is encoded there. */
static void put_host_for_log(const struct page *page)
{
    put(page,
        "\n"
        "    # for the log, to which HTTP/1 tells a path alone\n"
        "    http-request set-var(txn.owui_host) req.fhdr(host),bytes(0,%d)\n",
        LOGGED_HOST_BYTES);
}

void question_put(const struct page *page)
{
    put_host_for_log(page);
    put_overflow_refusal(page);
    put(page,
        "\n"
        "    # ACME challenges come before everything: the agent answers those that it has\n"
        "    # made known, whoever listens at the challenge backend answers the others\n"
        "    acl acme path_beg " ACME_PREFIX "\n"
        "    http-request send-spoe-group owui acme if acme\n"
        "    http-request return status 200 content-type application/octet-stream "
        "lf-string %%[var(txn.owui.acme)] if { var(txn.owui.acme) -m found }\n"
        "    http-request allow if acme\n"
        "    # a tunnel would carry requests past these rules\n"
        "    http-request deny deny_status 405 if METH_CONNECT\n"
        "    # an upstream that leads back here would have a request go round for ever\n"
        "    http-request return status 508 content-type text/plain hdr X-Refused loop "
        "string \"Loop detected\\n\" if { req.fhdr_cnt(X-Owui-Hop) ge %d }\n",
        HOPS_MAX);
    put_own_lines(page, "    ", "frontend before the agent is asked");
    if (page->config->client_certificates)
        put_text(page, "\n"
                       "    # a client certificate that was verified, for tenants that believe it\n"
                       "    http-request set-var(txn.owui_cert) ssl_c_der if { ssl_c_used } "
                       "{ ssl_c_verify 0 } { ssl_c_err 0 } { ssl_c_ca_err 0 }\n");
    reuse_put(page);
    put_token_kind(page);
    put_text(page, "\n"
                   "    # what an answer has: where to, or what to say instead\n"
                   "    acl answered var(txn.owui.dst) -m found\n"
                   "    acl answered var(txn.owui.answer) -m found\n"
                   "    acl answered var(txn.owui.backend) -m found\n");
    if (agents_are_several(page->config))
        put_tries_of_several(page);
    else
        put_tries_of_one(page);
    put_text(
        page,
        "    http-request set-var(txn.owui.rid) unique-id unless { var(txn.owui.rid) -m found }\n"
        "    http-after-response set-header X-Request-ID %[var(txn.owui.rid)] if "
        "{ var(txn.owui.rid) -m found }\n"
        "    http-after-response set-header Strict-Transport-Security %[var(txn.owui.hsts)] if "
        "{ var(txn.owui.hsts) -m found }\n");
    if (page->config->tells_generation)
        put_text(page,
                 "    http-after-response set-header X-Owui-Generation %[var(txn.owui.gen)] if "
                 "{ var(txn.owui.gen) -m found }\n");
    fallback_put_answer(page);
    put_text(page, "    http-request return status 503 content-type text/plain hdr Retry-After 2 "
                   "hdr X-Refused no-agent string \"Service unavailable\\n\" unless "
                   "answered\n");
}

enum hap_shortcut hap_config_shortcut(struct slice method, struct slice path)
{
    if (slice_starts_with(path, SLICE(ACME_PREFIX)))
        return HAP_TO_ACME;
    return slice_equal(method, SLICE("CONNECT")) ? HAP_REFUSE_METHOD : HAP_ASK_AGENT;
}
