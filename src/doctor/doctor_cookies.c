/* Open WebUI's own cookies: `token`, which is who somebody is, and `owui-session`, which remembers
 * an OAuth sign-in that is under way. Their flags come from Open WebUI's environment, and are not
 * what they should be unless somebody sets them. See doctor.h. */
#include "doctor.h"

#include "core/memory.h"

#include <stdio.h>
#include <stdlib.h>

struct cookie {
    struct slice name;
    struct slice same_site; /* empty: not told */
    bool secure, http_only;
};

/* One Set-Cookie: "token=...; HttpOnly; Path=/; SameSite=lax". */
static bool read_cookie(struct slice text, struct cookie *cookie)
{
    static const struct slice SAME_SITE = {"samesite=", 9};
    if (!slice_has(text, '='))
        return false;
    *cookie = (struct cookie){.name = slice_before(text, '=')};
    while (text.size > 0) {
        struct slice part = slice_trim(slice_cut(&text, ';'));
        if (slice_equal_nocase(part, SLICE("secure")))
            cookie->secure = true;
        else if (slice_equal_nocase(part, SLICE("httponly")))
            cookie->http_only = true;
        else if (part.size > SAME_SITE.size &&
                 slice_equal_nocase(slice_head(part, SAME_SITE.size), SAME_SITE))
            cookie->same_site = slice_skip(part, SAME_SITE.size);
    }
    return true;
}

/* What is wrong with it; NULL: nothing. */
static const char *fault_of(const struct cookie *cookie, bool is_token, bool tls)
{
    if (tls && !cookie->secure)
        return "is not Secure: browsers send it over plain http too";
    if (!cookie->http_only)
        return "is not HttpOnly: any script in the page can read it";
    if (cookie->same_site.size == 0 || slice_equal_nocase(cookie->same_site, SLICE("none")))
        return "is sent along by pages of other sites (SameSite)";
    if (!is_token && slice_equal_nocase(cookie->same_site, SLICE("strict")))
        return "is not sent when the OAuth provider leads back (SameSite=strict), so that signing "
               "in fails";
    return NULL;
}

static char *fix_of(const struct cookie *cookie, bool is_token, bool tls)
{
    const char *what = is_token ? "AUTH" : "SESSION";
    if (tls && !cookie->secure)
        return memory_format("WEBUI_%s_COOKIE_SECURE=true in Open WebUI's environment", what);
    if (!cookie->http_only)
        return memory_format("%s", "whatever between HAProxy and Open WebUI rewrites Set-Cookie: "
                                   "Open WebUI says HttpOnly");
    return memory_format("WEBUI_%s_COOKIE_SAME_SITE=lax in Open WebUI's environment", what);
}

void doctor_cookies(struct doctor *doctor, const struct tenant *tenant, const char *host, bool tls,
                    struct slice lines)
{
    while (lines.size > 0) {
        struct cookie cookie;
        if (!read_cookie(slice_cut(&lines, '\n'), &cookie) ||
            slice_starts_with(cookie.name, SLICE("owui_")))
            continue; /* the agent's own */
        bool is_token = slice_equal(cookie.name, SLICE("token"));
        const char *fault = fault_of(&cookie, is_token, tls);
        if (fault != NULL)
            doctor_find(doctor, DOCTOR_WARNING, DOCTOR_SIGN_IN, tenant->name, host,
                        fix_of(&cookie, is_token, tls), "the cookie %.*s %s",
                        SLICE_PRINT(cookie.name), fault);
    }
}
