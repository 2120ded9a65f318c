/* hap: lines of HAProxy's files without what nobody else is to read. */
#include "hap/secret.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

Test(hap_secret, what_stands_behind_its_name_is_cut)
{
    static const struct {
        const char *line, *shown;
    } LINES[] = {
        {"    stats auth admin:x", "    stats auth"},
        {"  # stats auth admin:x", "  # stats auth"},
        {"user anna insecure-password x", "user anna insecure-password"},
        {"user anna password $6$x groups all", "user anna password"},
        {"http-request set-header Authorization \"Basic x\"",
         "http-request set-header Authorization"},
        {"http-request set-header X-API-Key x", "http-request set-header X-API-Key"},
        {"acl good req.hdr(x-token) -m str x", "acl good req.hdr(x-token"},
        {"option httpchk GET / HTTP/1.1\\r\\nAuthorization:\\ Basic\\ x",
         "option httpchk GET / HTTP/1.1\\r\\nAuthorization"},
        {"tcp-check send AUTH\\ x\\r\\n", "tcp-check send AUTH"},
        {"setenv ANY x", "setenv"},
        {"setvar apikey x", "setvar apikey"},
        {"setvar mail_passwd x", "setvar mail_passwd"},
        {"setvar client-secret x", "setvar client-secret"},
        {"  \"Authorization\": \"Bearer x\"", "  \"Authorization"},
    };
    for (size_t i = 0; i < COUNT_OF(LINES); i++) {
        struct slice shown = hap_secret_cut(slice_of(LINES[i].line));
        cr_expect(slice_equal(shown, slice_of(LINES[i].shown)), "%s: %.*s", LINES[i].line,
                  SLICE_PRINT(shown));
    }
}

Test(hap_secret, other_lines_are_whole)
{
    static const char *const LINES[] = {
        "",
        "    ",
        "    bind *:443 ssl crt /etc/haproxy/certs",
        "    http-request auth",
        "    use_backend b if { http_auth(people) }",
        "    http-request set-header X-Forwarded-Proto https",
        "    server s 127.0.0.1:3000 cookie s1",
        "    author of this",
        "    # tokens leave at once",
        "    http-request del-header Authorization if page",
    };
    for (size_t i = 0; i < COUNT_OF(LINES); i++)
        cr_expect(slice_equal(hap_secret_cut(slice_of(LINES[i])), slice_of(LINES[i])), "%s",
                  LINES[i]);
}
