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
    "    acl secure_proto var(txn.owui.proto) -m str https\n"
    "    http-response replace-header Set-Cookie "
    "'^(.*); *[Ss][Ee][Cc][Uu][Rr][Ee] *(;.*)?$' '\\1\\2' if secure_cookies secure_proto\n"
    "    http-response replace-header Set-Cookie '^(.*)$' '\\1; Secure' if secure_cookies "
    "secure_proto\n";

static const char NOSNIFF[] =
    "\n"
    "    # browsers are to believe Content-Type, where a tenant wants it\n"
    "    http-response set-header X-Content-Type-Options nosniff if "
    "{ var(txn.owui.rs),and(2) -m int eq 2 }\n";

void response_put(FILE *out, const struct hap_config *config)
{
    if (config->secures_cookies)
        fputs(SECURE_COOKIES, out);
    if (config->nosniffs)
        fputs(NOSNIFF, out);
}
