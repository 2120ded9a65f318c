/* The way that a request has come, as headers: see forwarded_write.h. */
#include "forwarded_write.h"

static const char *const TRACE_HEADERS[] = {"traceparent", "tracestate"};

bool forwarded_is_trace(const struct hap_config *config, struct slice header)
{
    for (size_t i = 0; config->keeps_trace && i < COUNT_OF(TRACE_HEADERS); i++)
        if (slice_equal_nocase(header, slice_of(TRACE_HEADERS[i])))
            return true;
    return false;
}

/* W3C Trace Context 3.2.2: version 00, of two identifiers neither of which is all zeros. What says
 * less begins no trace, and what names it twice means two things to two readers. */
void forwarded_put_trace(const struct page *page)
{
    if (!page->config->keeps_trace)
        return;
    put_text(page,
             "    # a trace goes on where it is one, told once\n"
             "    acl trace req.fhdr(traceparent) -m reg "
             "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$\n"
             "    acl trace_empty req.fhdr(traceparent) -m reg ^00-(0{32}|[0-9a-f]{32}-0{16})-\n"
             "    acl trace_once req.fhdr_cnt(traceparent) eq 1\n"
             "    http-request del-header traceparent unless trace trace_once !trace_empty\n"
             "    http-request del-header tracestate unless { req.fhdr_cnt(traceparent) eq 1 }\n");
}

/* RFC 7239 6.1: an IPv6 address stands in brackets and quotes; who HAProxy is is nobody's business.
 */
void forwarded_put_headers(const struct page *page)
{
    if (page->config->appends_forwarded_for)
        put_text(page, "    # the proxies on the way, too, as far as they are trusted\n"
                       "    http-request set-header X-Forwarded-For %[var(txn.owui.chain)] if "
                       "{ var(txn.owui.chain) -m found }\n");
    if (page->config->tells_forwarded)
        put_text(page, "    acl client_ipv6 var(txn.owui.ip) -m sub :\n"
                       "    http-request set-header Forwarded "
                       "\"for=%[var(txn.owui.ip)];host=\\\"%[req.fhdr(host)]\\\";"
                       "proto=%[var(txn.owui.by_https,0),bool,iif(https,http)];by=_owui\" "
                       "unless client_ipv6\n"
                       "    http-request set-header Forwarded "
                       "\"for=\\\"[%[var(txn.owui.ip)]]\\\";host=\\\"%[req.fhdr(host)]\\\";"
                       "proto=%[var(txn.owui.by_https,0),bool,iif(https,http)];by=_owui\" if "
                       "client_ipv6\n");
}
