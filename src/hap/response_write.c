/* Answers on their way to the browser: see response_write.h.
 *
 * Open WebUI says Secure only where its environment tells it to, and a cookie without it goes out
 * in clear to whoever makes the browser ask for http:// once. */
#include "response_write.h"

/* "Secure" is taken out where it is, whatever its case, so that it is there once. It is no part of
 * another attribute's name: it ends at a semicolon or with the line. */
static const char SECURE_COOKIES[] =
    "\n"
    "    # cookies of tenants that want it are for https alone\n"
    "    acl secure_cookies var(txn.owui.rs),and(1) -m int eq 1\n"
    "    http-response replace-header Set-Cookie "
    "'^(.*); *[Ss][Ee][Cc][Uu][Rr][Ee] *(;.*)?$' '\\1\\2' if secure_cookies over_https\n"
    "    http-response replace-header Set-Cookie '^(.*)$' '\\1; Secure' if secure_cookies "
    "over_https\n";

static const char NOSNIFF[] =
    "\n"
    "    # browsers are to believe Content-Type, where a tenant wants it\n"
    "    http-response set-header X-Content-Type-Options nosniff if "
    "{ var(txn.owui.rs),and(2) -m int eq 2 }\n";

/* Where a tenant's replicas are told apart by a cookie: set when the agent says so. */
static void put_replica_cookie(const struct page *page)
{
    if ((page->config->arguments >> HAP_ARGUMENT_REPLICA & 1) == 0)
        return;
    put_text(page, "\n"
                   "    # which replica the browser is to stay at\n"
                   "    acl stick var(txn.owui.stick) -m found\n");
    put_text(page,
             "    http-response add-header Set-Cookie \"" HAP_REPLICA_COOKIE
             "=%[var(txn.owui.stick)]; Path=/; HttpOnly; SameSite=Lax; Secure\" if stick "
             "over_https\n"
             "    http-response add-header Set-Cookie \"" HAP_REPLICA_COOKIE
             "=%[var(txn.owui.stick)]; Path=/; HttpOnly; SameSite=Lax\" if stick !over_https\n");
}

/* Where routes are for a share of the browsers: each gets a number, and keeps it. */
static void put_share_cookie(const struct page *page)
{
    if ((page->config->arguments >> HAP_ARGUMENT_SHARE & 1) == 0)
        return;
    put_text(page,
             "\n"
             "    # which share of the browsers this one is of\n"
             "    acl share var(txn.owui.shr) -m found\n"
             "    http-response add-header Set-Cookie \"" HAP_SHARE_COOKIE "=%[var(txn.owui.shr)]; "
             "Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax; Secure\" if share over_https\n"
             "    http-response add-header Set-Cookie \"" HAP_SHARE_COOKIE "=%[var(txn.owui.shr)]; "
             "Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax\" if share !over_https\n");
}

void response_put(const struct page *page)
{
    if (page->config->secures_cookies)
        put_text(page, SECURE_COOKIES);
    if (page->config->nosniffs)
        put_text(page, NOSNIFF);
    put_replica_cookie(page);
    put_share_cookie(page);
}
