/* doctor: what is found in Open WebUI's cookies. */
#include "doctor.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define GOOD_TOKEN   "token=x; HttpOnly; Path=/; SameSite=lax; Secure"
#define GOOD_SESSION "owui-session=x; path=/; httponly; samesite=LAX; secure"

/* The first finding about `lines`, of all that there are. */
static void expect(const char *lines, bool tls, const char *message, const char *fix)
{
    static const struct tenant TENANT = {.name = "chat"};
    struct doctor doctor = {0};
    doctor_cookies(&doctor, &TENANT, "chat.test", tls, slice_of(lines));
    cr_expect_eq(doctor.finding_count, message != NULL ? 1u : 0u, "%s: %zu", lines,
                 doctor.finding_count);
    for (size_t i = 0; i < doctor.finding_count; i++) {
        const struct finding *finding = &doctor.findings[i];
        if (message != NULL) {
            cr_expect_not_null(strstr(finding->message, message), "%s", finding->message);
            cr_expect_not_null(strstr(finding->fix, fix), "%s", finding->fix);
        }
        free(finding->tenant);
        free(finding->about);
        free(finding->message);
        free(finding->fix);
    }
    free(doctor.findings);
}

Test(doctor_cookies, that_are_fine)
{
    expect("", true, NULL, NULL);
    expect(GOOD_TOKEN, true, NULL, NULL);
    expect(GOOD_TOKEN "\n" GOOD_SESSION, true, NULL, NULL);
    expect("token=x; HttpOnly; SameSite=strict; Secure", true, NULL, NULL);
    expect("token=x; HttpOnly; SameSite=lax", false, NULL, NULL); /* there is but plain http */
    expect("owui_tenant=x\nno cookie\n", true, NULL, NULL);
}

Test(doctor_cookies, that_are_not)
{
    expect("token=x; HttpOnly; SameSite=lax", true, "token is not Secure",
           "WEBUI_AUTH_COOKIE_SECURE=true");
    expect(GOOD_TOKEN "\nowui-session=x; HttpOnly; SameSite=lax", true,
           "owui-session is not Secure", "WEBUI_SESSION_COOKIE_SECURE=true");
    expect("token=x; SameSite=lax; Secure", true, "not HttpOnly", "rewrites Set-Cookie");
    expect("token=x; SameSite=lax", false, "not HttpOnly", "rewrites Set-Cookie");
    expect("token=x; HttpOnly; Secure", true, "pages of other sites",
           "WEBUI_AUTH_COOKIE_SAME_SITE=lax");
    expect("token=x; HttpOnly; Secure; SameSite=None", true, "pages of other sites",
           "WEBUI_AUTH_COOKIE_SAME_SITE=lax");
    expect("owui-session=x; HttpOnly; Secure; SameSite=Strict", true, "(SameSite=strict)",
           "WEBUI_SESSION_COOKIE_SAME_SITE=lax");
    /* What stands in the value is no flag. */
    expect("token=Secure; HttpOnly; SameSite=lax", true, "not Secure", "SECURE=true");
}
