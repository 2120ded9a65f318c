/* Answers, refusals and pages: see answers_write.h. */
#include "answers_write.h"

#include "backends_write.h"
#include "limits_write.h"

static const struct answer {
    const char *text;
    int status;
    bool for_programs; /* as JSON, too; of a bad request not even the path is known */
} ANSWERS[] = {
    {"Bad request", 400, false},        {"Sign in first", 401, true},
    {"Payment required", 402, false},   {"Forbidden", 403, true},
    {"Not found", 404, true},           {"Misdirected request", 421, true},
    {"Service unavailable", 503, true},
};

/* What a tenant that does not serve answers with, and what programs are told. */
static const struct outage {
    int status;
    const char *detail;
} OUTAGES[] = {
    {402, "This service is suspended"},
    {403, "This service is suspended"},
    {503, "This service is under maintenance"},
};

static void put_page_of_last_resort(const struct page *page)
{
    struct error_page error = {.headers = "",
                               .again_s = 30,
                               .title = "%[var(txn.owui.reason)]",
                               .advice = "Please try again later."};
    for (error.status = 502; error.status <= 504; error.status++)
        put_error_page(page, &error);
}

/* The root of a host goes to a tenant by cookie; what the tenant before has left goes with it. */
static void put_takeover(const struct page *page)
{
    static const char *const COOKIES[] = {"token", "oauth_id_token", "oauth_session_id",
                                          "owui-session"};
    if (!page->config->takeover)
        return;
    put_text(page,
             "    # a path takes the host's root over: it sets the cookie that says so\n"
             "    http-request redirect prefix %[var(txn.owui.to)] code 307 if "
             "{ var(txn.owui.answer) -m str takeover }\n"
             "    http-after-response add-header Set-Cookie \"owui_tenant=%[var(txn.owui.cookie)]; "
             "Path=/; HttpOnly; SameSite=Lax\" if { var(txn.owui.cookie) -m found }\n"
             "    # the next tenant's server is not to see what another has left in the browser\n"
             "    http-after-response set-header Clear-Site-Data '\"storage\"' if "
             "{ var(txn.owui.forget) -m bool }\n");
    for (size_t i = 0; i < COUNT_OF(COOKIES); i++)
        put(page,
            "    http-after-response add-header Set-Cookie \"%s=; Path=/; Max-Age=0\" if "
            "{ var(txn.owui.forget) -m bool }\n",
            COOKIES[i]);
}

/* Suspension and maintenance: a page for people, JSON for programs. */
static void put_outages(const struct page *page)
{
    put_text(
        page,
        "    # suspension and maintenance: people get a page, from the agent's HTTP server, or\n"
        "    # from below when it does not answer; programs get JSON\n"
        "    acl page var(txn.owui.answer) -m str page\n"
        "    http-request set-uri /%[var(txn.owui.reason)]/%[var(txn.owui.tenant)] if page "
        "METH_GET\n"
        "    http-request del-header Cookie if page\n"
        "    http-request del-header Authorization if page\n"
        "    http-request allow if page METH_GET\n");
    for (size_t i = 0; i < COUNT_OF(OUTAGES); i++)
        put(page,
            "    http-request return status %d content-type application/json "
            "hdr X-Refused %%[var(txn.owui.reason)]%s string \"{\\\"detail\\\":\\\"%s\\\"}\" if "
            "{ var(txn.owui.answer) -m str json } { var(txn.owui.status) -m int eq %d }\n",
            OUTAGES[i].status,
            OUTAGES[i].status == 503 ? " hdr Retry-After %[var(txn.owui.retry)]" : "",
            OUTAGES[i].detail, OUTAGES[i].status);
    for (size_t i = 0; i < COUNT_OF(OUTAGES); i++)
        put(page,
            "    http-after-response set-status %d if page { var(txn.owui.status) -m int eq %d }\n",
            OUTAGES[i].status, OUTAGES[i].status);
    put_text(page,
             "    http-after-response set-header X-Refused %[var(txn.owui.reason)] if page\n"
             "    http-after-response set-header Retry-After %[var(txn.owui.retry)] if page "
             "{ var(txn.owui.status) -m int eq 503 }\n"
             "    # whoever has the port is not the tenant: its scripts see nothing of the host's\n"
             "    http-response del-header Set-Cookie if page\n"
             "    http-response del-header Clear-Site-Data if page\n"
             "    http-response del-header Alt-Svc if page\n"
             "    http-response add-header Content-Security-Policy \"sandbox allow-scripts "
             "allow-popups allow-popups-to-escape-sandbox\" if page\n"
             "    # a browser would keep a redirect for ever, whatever changes here\n"
             "    http-after-response set-header Cache-Control no-store\n");
    put_page_of_last_resort(page);
}

/* What belongs to a status besides its text. */
static const char *header_of(int status)
{
    return status == 503   ? " hdr Retry-After %[var(txn.owui.retry)]"
           : status == 401 ? " hdr WWW-Authenticate Bearer"
                           : "";
}

static void put_refusal(const struct page *page, const struct answer *answer)
{
    const char *header = header_of(answer->status);
    if (answer->for_programs)
        put(page,
            "    http-request return status %d content-type application/json "
            "hdr X-Refused %%[var(txn.owui.reason)]%s string '{\"detail\":\"%s\"}' if api "
            "!upgrade { var(txn.owui.status) -m int eq %d }\n",
            answer->status, header, answer->text, answer->status);
    put(page,
        "    http-request return status %d content-type text/plain "
        "hdr X-Refused %%[var(txn.owui.reason)]%s string \"%s\\n\" if "
        "{ var(txn.owui.status) -m int eq %d }\n",
        answer->status, header, answer->text, answer->status);
}

void answers_put(const struct page *page)
{
    put_text(page, "\n"
                   "# the agent's own answers\n"
                   "backend owui_answer\n"
                   "    retries 0\n"
                   "    timeout connect 1s\n"
                   "    timeout server 5s\n"
                   "    http-request redirect prefix %[var(txn.owui.to)] code 308 if "
                   "{ var(txn.owui.answer) -m str redirect }\n"
                   "    http-request set-var(txn.owui.retry) int(5) unless "
                   "{ var(txn.owui.retry) -m found }\n"
                   "    http-request redirect location %[var(txn.owui.to)] code 302 if "
                   "{ var(txn.owui.answer) -m str login }\n");
    put_takeover(page);
    put_outages(page);
    put_text(page,
             "    # all other refusals: programs, Open WebUI's own page among them, get JSON\n"
             "    acl api path_sub /api/\n"
             "    acl upgrade req.hdr(upgrade) -m found\n");
    for (size_t i = 0; i < COUNT_OF(ANSWERS); i++)
        put_refusal(page, &ANSWERS[i]);
    limits_put_answers(page);
    put(page,
        "    http-request deny deny_status 503\n"
        "    server pages %s " NONE_KEPT "\n",
        or_else(page->config->pages_listen, "127.0.0.1:8689"));
    put_text(page, "\n"
                   "# no upstream that can be reached\n"
                   "backend owui_refuse\n"
                   "    http-request return status 503 content-type text/plain hdr Retry-After 5 "
                   "hdr X-Refused no-upstream string \"Service unavailable\\n\"\n");
}
