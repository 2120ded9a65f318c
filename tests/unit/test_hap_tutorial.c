/* hap: reading a haproxy.cfg that is to be carried over. What becomes of it on a machine is shown
 * by tests/package. */
#include "hap/tutorial.h"

#include "core/memory.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

/* All tenants on one line each: "backend: host host /prefix host/prefix -> server [tls]
 * [noverify]".
 */
static char *tenants_of(const struct tutorial *tutorial)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    for (size_t i = 0; i < tutorial->tenant_count; i++) {
        const struct tutorial_tenant *tenant = &tutorial->tenants[i];
        fprintf(out, "%s:", tenant->backend);
        for (size_t j = 0; j < tenant->host_count; j++)
            fprintf(out, " %s", tenant->hosts[j]);
        for (size_t j = 0; j < tenant->path_count; j++)
            fprintf(out, " %s%s", tenant->paths[j].host != NULL ? tenant->paths[j].host : "",
                    tenant->paths[j].prefix);
        fprintf(out, " -> %s%s%s\n", tenant->server, tenant->tls ? " tls" : "",
                tenant->no_verify ? " noverify" : "");
    }
    fclose(out);
    return text;
}

/* `text` is freed. */
static void expect_tenants(char *text, const char *expected)
{
    struct tutorial tutorial;
    tutorial_read(slice_of(text), &tutorial);
    char *found = tenants_of(&tutorial);
    cr_expect_str_eq(found, expected, "%s", text);
    free(found);
    free(text);
    tutorial_fini(&tutorial);
}

static size_t notes_with(const struct tutorial *tutorial, enum tutorial_note_kind kind,
                         unsigned line, const char *words)
{
    size_t count = 0;
    for (size_t i = 0; i < tutorial->note_count; i++)
        count += tutorial->notes[i].kind == kind && tutorial->notes[i].line == line &&
                 strstr(tutorial->notes[i].text, words) != NULL;
    return count;
}

#define BACKENDS                                  \
    "backend a\n  server s 10.0.0.1:3000 check\n" \
    "backend b\n  server s 10.0.0.2:8443 ssl verify none\n"

Test(tutorial, what_leads_where)
{
    static const struct {
        const char *lines;
        const char *tenants;
    } ROWS[] = {
        {"acl x hdr(host) -i a.test\nuse_backend a if x", "a: a.test -> 10.0.0.1:3000\n"},
        {"use_backend a if { hdr(host) -i a.test A.test:443 }", "a: a.test -> 10.0.0.1:3000\n"},
        {"acl x hdr(host) -i a.test\nacl x path_beg /owui/\nuse_backend a if x",
         "a: a.test /owui/ -> 10.0.0.1:3000\n"},
        {"acl h hdr(host) a.test\nacl p path_beg /o\nuse_backend a if h p",
         "a: a.test/o -> 10.0.0.1:3000\n"},
        {"acl h hdr(host) a.test\nacl p path_beg /o\nuse_backend a if p h",
         "a: a.test/o -> 10.0.0.1:3000\n"},
        {"acl h hdr(host) a.test\nacl i hdr(host) i.test\nuse_backend b if h || i",
         "b: a.test i.test -> 10.0.0.2:8443 tls noverify\n"},
        {"use_backend a if { hdr(host) a.test } or { req.hdr(host),lower b.test }",
         "a: a.test b.test -> 10.0.0.1:3000\n"},
        {"use_backend a if { hdr_end(host) -i .a.test }", "a: *.a.test -> 10.0.0.1:3000\n"},
        {"use_backend a if { hdr(host) -m end .a.test }", "a: *.a.test -> 10.0.0.1:3000\n"},
        {"use_backend a if { ssl_fc_sni a.test }", "a: a.test -> 10.0.0.1:3000\n"},
        {"acl x hdr(host) 'a.test' \"b.test\" # c.test\nuse_backend a if x",
         "a: a.test b.test -> 10.0.0.1:3000\n"},
        {"use_backend a if { req.hdr(host),lower,field(1,:) a.test }",
         "a: a.test -> 10.0.0.1:3000\n"},
        {"use_backend a if { hdr(host),host_only a.test } || { hdr(host),word(1,:) b.test }",
         "a: a.test b.test -> 10.0.0.1:3000\n"},
        {"use_backend a if { hdr(host),field(1,:) -m end .a.test }",
         "a: *.a.test -> 10.0.0.1:3000\n"},
        /* without a dot, the name itself ends so too */
        {"use_backend a if { hdr_end(host) a.test }", "a: a.test *.a.test -> 10.0.0.1:3000\n"},
        {"use_backend a if { hdr_end(host) a.test } { path_beg /o }",
         "a: a.test/o *.a.test/o -> 10.0.0.1:3000\n"},
        {"use_backend a if { path -m beg /o }", "a: /o -> 10.0.0.1:3000\n"},
        {"use_backend a if { path_beg /.well-known/acme-challenge/ }", ""},
        {"use_backend a if { hdr(host) a.test } { path_beg /.well-known/acme-challenge/ }", ""},
        /* ACLs are of their section */
        {"acl x hdr(host) a.test\nfrontend other\nacl x hdr(host) b.test\nuse_backend a if x",
         "a: b.test -> 10.0.0.1:3000\n"},
        {"acl x hdr(host) a.test\nfrontend other\nuse_backend a if x", ""},
        /* what is not about host and path alone is never guessed at */
        {"use_backend a if { src 10.0.0.0/8 }", ""},
        {"use_backend a if { hdr(host) a.test } { src 10.0.0.0/8 }", ""},
        {"acl h hdr(host) a.test\nuse_backend a if !h", ""},
        {"acl h hdr(host) a.test\nuse_backend a unless h", ""},
        {"acl h hdr_reg(host) a.test\nuse_backend a if h", ""},
        {"acl h hdr(host) -f /etc/hosts.lst\nuse_backend a if h", ""},
        {"acl h hdr(host)\nuse_backend a if h", ""},
        {"use_backend a if { path /o }", ""},
        {"acl h req.hdr(host),word(1,.) a\nuse_backend a if h", ""},
        {"acl h hdr(host),regsub(^www\\.,) a.test\nuse_backend a if h", ""},
        {"acl h hdr(host),lower,map(/etc/hosts.map) a\nuse_backend a if h", ""},
        {"acl h hdr(host),lowest a.test\nuse_backend a if h", ""},
        {"acl h hdr(host),field(1,:.) a\nuse_backend a if h", ""},
        {"use_backend a if { path,url_dec -m beg /o }", ""},
        {"use_backend a if { path,lower -m beg /o }", ""},
        {"use_backend a if nobody", ""},
        {"use_backend nobody if { hdr(host) a.test }", ""},
        {"use_backend a", ""},
        {"use_backend", ""},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        char *text = memory_format("frontend web\n%s\n" BACKENDS, ROWS[i].lines);
        expect_tenants(text, ROWS[i].tenants);
    }
}

Test(tutorial, what_servers_are_by_default)
{
    static const struct {
        const char *lines;
        const char *tenants;
    } ROWS[] = {
        {"backend c\n  default-server check ssl verify none\n  server s 10.0.0.3:443",
         "c: c.test -> 10.0.0.3:443 tls noverify\n"},
        {"defaults\n  default-server ssl\nbackend c\n  server s c.internal:443",
         "c: c.test -> c.internal:443 tls\n"},
        {"defaults\n  default-server ssl\nbackend c\n  server s 10.0.0.3:80 no-ssl",
         "c: c.test -> 10.0.0.3:80\n"},
        {"backend c\n  server s c.internal:443 ssl verify required ca-file /etc/ca.pem",
         "c: c.test -> c.internal:443 tls\n"},
        {"backend d\n  default-server ssl\nbackend c\n  server s 10.0.0.3:80",
         "c: c.test -> 10.0.0.3:80\n"},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        char *text = memory_format("%s\nfrontend web\n  use_backend c if { hdr(host) c.test }\n",
                                   ROWS[i].lines);
        expect_tenants(text, ROWS[i].tenants);
    }
}

/* The rest of the file is carried over all the same. */
Test(tutorial, a_server_that_is_no_upstream_is_told)
{
    static const struct {
        const char *server;
        const char *words; /* NULL: it is one */
    } ROWS[] = {
        {"10.0.0.3:443 ssl verify required", "sni str(NAME)"},
        {"10.0.0.3 ssl verify required", "sni str(NAME)"},
        {"fd00::7:443 ssl", "sni str(NAME)"},
        {"10.0.0.3:443 ssl verify required sni req.hdr(host)", "sni str(NAME)"},
        {"10.0.0.3:443 ssl verify required sni str(c.test)", NULL},
        {"10.0.0.3:443 ssl verify required verifyhost c.test", NULL},
        {"10.0.0.3:443 ssl verify none", NULL},
        {"c.test:443 ssl verify required", NULL},
        {"/run/owui.sock", "no host and port"},
        {"unix@/run/owui.sock", "no host and port"},
        {"abns@owui", "no host and port"},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        struct tutorial tutorial;
        char *text = memory_format("backend c\n  server s %s\nfrontend web\n"
                                   "  use_backend c if { hdr(host) c.test }\n"
                                   "  use_backend c if { hdr(host) d.test }\n"
                                   "  use_backend a if { hdr(host) a.test }\n" BACKENDS,
                                   ROWS[i].server);
        tutorial_read(slice_of(text), &tutorial);
        cr_expect(eq(sz, tutorial.tenant_count, ROWS[i].words == NULL ? 2 : 1), "%s", text);
        if (ROWS[i].words != NULL)
            cr_expect(eq(sz, notes_with(&tutorial, TUTORIAL_LEFT, 2, ROWS[i].words), 1), "%s",
                      text);
        tutorial_fini(&tutorial);
        free(text);
    }
}

/* Nobody writes such lines; each is read to its end and no further. */
Test(tutorial, lines_that_are_too_long_or_cut_off)
{
    char *words = memory_format("frontend web\n  acl x%0*d\n" BACKENDS, 400, 0);
    for (char *c = words; (c = strchr(c, '0')) != NULL && c - words < 400; c += 2)
        c[0] = ' ';
    char *cut = memory_copy_text(SLICE("frontend web\n  acl x hdr(host) \\"));
    char *texts[] = {words, cut};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct tutorial tutorial;
        tutorial_read(slice_of(texts[i]), &tutorial);
        cr_expect(zero(sz, tutorial.tenant_count));
        tutorial_fini(&tutorial);
        free(texts[i]);
    }
}

/* Some write a host to a line. */
static void read_hosts(unsigned count, struct tutorial *tutorial)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    fprintf(out, "frontend web\n");
    for (unsigned i = 0; i < count; i++)
        fprintf(out, "  acl x hdr(host) h%u.test\n", i);
    fprintf(out, "  use_backend a if x\n" BACKENDS);
    fclose(out);
    tutorial_read(slice_of(text), tutorial);
    free(text);
}

Test(tutorial, no_host_is_lost_without_a_word)
{
    struct tutorial tutorial;
    read_hosts(100, &tutorial);
    cr_assert(eq(sz, tutorial.tenant_count, 1));
    cr_expect(eq(sz, tutorial.tenants[0].host_count, 100));
    cr_expect(eq(sz, notes_with(&tutorial, TUTORIAL_LEFT, 0, "more than is read"), 0));
    tutorial_fini(&tutorial);
    read_hosts(1025, &tutorial);
    cr_expect(eq(sz, tutorial.tenants[0].host_count, 1024));
    cr_expect(eq(sz, notes_with(&tutorial, TUTORIAL_LEFT, 0, "more than is read"), 1));
    tutorial_fini(&tutorial);
}

Test(tutorial, what_is_left_behind_is_told_with_its_line)
{
    static const char TEXT[] = "frontend web\n"
                               "  use_backend a if { src 10.0.0.0/8 }\n"
                               "  use_backend many if { hdr(host) m.test }\n"
                               "  http-request set-header X-Team red\n"
                               "  default_backend a\n"
                               "  http-request add-header X-Team-Key 4711\n"
                               "backend many\n"
                               "  server s1 10.0.0.3:80\n"
                               "  server s2 10.0.0.4:80\n" BACKENDS;
    struct tutorial tutorial;
    tutorial_read(slice_of(TEXT), &tutorial);
    cr_expect(eq(sz, tutorial.tenant_count, 0));
    cr_expect(eq(sz, notes_with(&tutorial, TUTORIAL_LEFT, 2, "not about host and path"), 1));
    cr_expect(eq(sz, notes_with(&tutorial, TUTORIAL_LEFT, 3, "2 servers"), 1));
    cr_expect(eq(sz, notes_with(&tutorial, TUTORIAL_LEFT, 4, "X-Team"), 1));
    cr_expect(eq(sz, notes_with(&tutorial, TUTORIAL_LEFT, 5, "default_backend a"), 1));
    cr_expect(eq(sz, notes_with(&tutorial, TUTORIAL_LEFT, 6, "add-header X-Team-Key is not"), 1));
    cr_expect(eq(sz, notes_with(&tutorial, TUTORIAL_MENDED, 6, ""), 0));
    tutorial_fini(&tutorial);
}

/* A rule that is forgotten would let everybody in; a section, take somebody's database from the
 * net.
 */
Test(tutorial, nothing_that_has_an_effect_is_forgotten)
{
    static const char TEXT[] = "frontend web\n"
                               "  http-request deny unless { src 10.0.0.0/8 }\n"
                               "  http-request deny if { path_beg /admin }\n"
                               "  http-request auth realm x unless { http_auth(people) }\n"
                               "  http-request track-sc0 src\n"
                               "  tcp-request connection reject if { src 192.0.2.0/24 }\n"
                               "  tcp-request inspect-delay 5s\n"
                               "  http-request replace-path /a(.*) /b\\1\n"
                               "  http-response set-header X-Frame-Options DENY\n"
                               "  redirect prefix https://www.test if { hdr(host) test }\n"
                               "userlist people\n"
                               "  user root insecure-password geheim\n"
                               "listen postgres\n"
                               "  mode tcp\n"
                               "  server p 10.0.0.9:5432\n"
                               "listen numbers\n"
                               "  stats enable\n"
                               "  stats auth root:geheim\n"
                               "ring log\n"
                               "  server log 10.0.0.8:514\n"
                               "global\n"
                               "  log /dev/log local0\n"
                               "  log 10.0.0.8:514 local0\n"
                               "defaults\n"
                               "  log global\n"
                               "  option httplog\n"
                               "  errorfile 400 /etc/haproxy/errors/400.http\n"
                               "  errorfile 403 /etc/haproxy/errors/403.http\n"
                               "  compression algo gzip\n"
                               "  monitor-uri /alive\n"
                               "  rate-limit sessions 10\n"
                               "  cookie SERVER insert\n"
                               "  default-server ssl crt /etc/mine.pem\n" BACKENDS "backend c\n"
                               "  server s c.test:443 send-proxy-v2 ssl ca-file /etc/my-ca.pem\n"
                               "  server t c.test:443 ssl ca-file @system-ca sni req.hdr(host)\n"
                               "  server u c.test:443 ca-file /etc/ssl/certs/ca-certificates.crt "
                               "sni str(c.test) maxconn 10\n";
    static const struct {
        unsigned line;
        const char *words;
    } ROWS[] = {
        {2, "http-request deny is not carried over: without it, everybody may come"},
        {3, "http-request deny is not carried over: without it, everybody may come"},
        {4, "http-request auth is not carried over: without it, everybody may come"},
        {5, "how often"},
        {6, "tcp-request connection is not carried over: without it, everybody may come"},
        {8, "http-request replace-path is not carried over: lines of your own"},
        {9, "http-response set-header is not carried over"},
        {10, "redirect prefix is not carried over"},
        {11, "userlist people is not carried over"},
        {13, "listen postgres is not carried over"},
        {14, "mode tcp is not carried over"},
        {16, "listen numbers is not carried over"},
        {17, "stats enable is not carried over"},
        {18, "stats auth is not carried over"},
        {19, "ring log is not carried over"},
        {23, "log 10.0.0.8:514 is not carried over"},
        {27, "errorfile: pages"},
        {29, "compression algo is not carried over"},
        {30, "monitor-uri /alive is not carried over"},
        {31, "rate-limit sessions is not carried over: without it, everybody may come"},
        {32, "cookie SERVER is not carried over"},
        {33, "default-server ... crt is not carried over"},
        {39, "server ... send-proxy-v2 is not carried over"},
        {39, "server ... ca-file is not carried over: \"upstream_ca_file\""},
        {40, "server ... sni is not carried over"},
        {41, "server ... maxconn is not carried over"},
    };
    struct tutorial tutorial;
    size_t left = 0;
    tutorial_read(slice_of(TEXT), &tutorial);
    for (size_t i = 0; i < COUNT_OF(ROWS); i++)
        cr_expect(eq(sz, notes_with(&tutorial, TUTORIAL_LEFT, ROWS[i].line, ROWS[i].words), 1),
                  "%u: %s", ROWS[i].line, ROWS[i].words);
    for (size_t i = 0; i < tutorial.note_count; i++) {
        left += tutorial.notes[i].kind == TUTORIAL_LEFT;
        cr_expect(eq(ptr, strstr(tutorial.notes[i].text, "geheim"), NULL));
    }
    cr_expect(eq(sz, left, COUNT_OF(ROWS)));
    tutorial_fini(&tutorial);
}

Test(tutorial, of_a_thousand_notes_the_rest_is_silence)
{
    char *text = NULL;
    size_t size;
    struct tutorial tutorial;
    FILE *out = open_memstream(&text, &size);
    for (unsigned i = 0; i < 3000; i++)
        fprintf(out, "listen l%u\n", i);
    fclose(out);
    tutorial_read(slice_of(text), &tutorial);
    cr_expect(eq(sz, tutorial.note_count, 1000));
    tutorial_fini(&tutorial);
    free(text);
}

Test(tutorial, what_listens)
{
    static const struct {
        const char *text;
        const char *doors;
    } ROWS[] = {
        {"", NULL},
        {"global\ndefaults\n  mode http\nbackend a\n# frontend b\n", NULL},
        {"frontend web\n  bind :80\nbackend a\nlisten db\n", "frontend web, listen db"},
        {"frontend\n", "frontend "},
        {"listen a\nlisten b\nlisten c\nlisten d\nlisten e\nlisten f\nlisten g\nlisten h\n"
         "listen i\nlisten j\nlisten k\nlisten l\nlisten m\n",
         "listen a, listen b, listen c, listen d, listen e, listen f, listen g, listen h, "
         "listen i, listen j, listen k and others"},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        char *doors = tutorial_doors(slice_of(ROWS[i].text));
        if (ROWS[i].doors == NULL)
            cr_expect(eq(ptr, doors, NULL), "%s", doors);
        else
            cr_expect_str_eq(doors, ROWS[i].doors);
        free(doors);
    }
}

/* One defect of the tutorial each, in one file. */
Test(tutorial, what_was_wrong_is_told)
{
    static const char TEXT[] = "defaults\n"
                               "  option forwardfor\n"
                               "  option h2-workaround-bogus-websocket-clients\n"
                               "  timeout http-request 300s\n"
                               "  timeout connect 2m\n"
                               "frontend web\n"
                               "  bind :443 ssl crt /path/to/ssl/folder/\n"
                               "  acl acme path_beg /.well-known/acme-challenge/\n"
                               "  use_backend acme if acme\n"
                               "  acl chat hdr(host) -i chat.test\n"
                               "  acl chat path_beg /owui/\n"
                               "  use_backend chat if chat\n"
                               "backend acme\n"
                               "  server acme 127.0.0.1:8688\n"
                               "backend chat\n"
                               "  http-request add-header X-CLIENT-IP %[src]\n"
                               "  http-request set-header X-Forwarded-Proto https if { ssl_fc }\n"
                               "  server chat 127.0.0.1:3000\n";
    static const struct {
        unsigned line;
        const char *words;
    } ROWS[] = {
        {11, "no base path"},
        {10, "a port or a dot behind it"},
        {16, "client's own value"},
        {17, "a client could claim https"},
        {2, "one line"},
        {3, "no such option"},
        {0, "not redirected"},
        {0, "got 503; now 404"},
        {4, "300 s"},
        {5, "120 s"},
        {0, "no timeout tunnel"},
        {0, "no server was checked"},
        {9, "certbot"},
        {7, "/path/to/ssl/folder/"},
    };
    struct tutorial tutorial;
    tutorial_read(slice_of(TEXT), &tutorial);
    for (size_t i = 0; i < COUNT_OF(ROWS); i++)
        cr_expect(eq(sz, notes_with(&tutorial, TUTORIAL_MENDED, ROWS[i].line, ROWS[i].words), 1),
                  "%u: %s", ROWS[i].line, ROWS[i].words);
    cr_expect(eq(sz, tutorial.note_count, COUNT_OF(ROWS)));
    tutorial_fini(&tutorial);
}

Test(tutorial, what_is_lost_is_told)
{
    static const char TEXT[] =
        "frontend web\n"
        "  bind *:80\n"
        "  bind :::443 ssl crt /certs\n"
        "  bind 10.0.0.5:443 ssl crt /certs ca-file c.pem verify required\n"
        "  bind *:8080 accept-proxy\n"
        "  acl c hdr_dom(host) -i chat.test\n"
        "  acl d hdr(host) -m dom other.test\n"
        "  use_backend chat if c\n"
        "  use_backend named if d\n"
        "backend chat\n"
        "  server chat 127.0.0.1:3000\n"
        "backend named\n"
        "  server n 10.0.0.3:443 ssl verify required sni str(owui.internal)\n";
    static const struct {
        unsigned line;
        const char *words;
    } ROWS[] = {
        {4, "bind 10.0.0.5:443 is not"}, {4, "\"client_ca_file\""}, {5, "bind *:8080 is not"},
        {5, "\"proxy_protocol\""},       {6, "www.chat.test"},      {7, "www.other.test"},
    };
    struct tutorial tutorial;
    tutorial_read(slice_of(TEXT), &tutorial);
    size_t left = 0;
    for (size_t i = 0; i < tutorial.note_count; i++)
        left += tutorial.notes[i].kind == TUTORIAL_LEFT;
    cr_expect(eq(sz, left, COUNT_OF(ROWS)));
    for (size_t i = 0; i < COUNT_OF(ROWS); i++)
        cr_expect(eq(sz, notes_with(&tutorial, TUTORIAL_LEFT, ROWS[i].line, ROWS[i].words), 1),
                  "%u: %s", ROWS[i].line, ROWS[i].words);
    cr_assert(eq(sz, tutorial.tenant_count, 2));
    cr_expect_null(tutorial.tenants[0].server_name);
    cr_expect_str_eq(tutorial.tenants[1].server_name, "owui.internal");
    tutorial_fini(&tutorial);
}

Test(tutorial, what_is_right_is_not_complained_about)
{
    static const char TEXT[] = "defaults\n"
                               "  timeout connect 5s\n"
                               "  timeout http-request 10s\n"
                               "  timeout tunnel 1h\n"
                               "frontend web\n"
                               "  http-request redirect scheme https unless { ssl_fc }\n"
                               "  default_backend a\n" BACKENDS;
    struct tutorial tutorial;
    tutorial_read(slice_of(TEXT), &tutorial);
    for (size_t i = 0; i < tutorial.note_count; i++)
        cr_expect(eq(int, tutorial.notes[i].kind, TUTORIAL_LEFT), "%s", tutorial.notes[i].text);
    tutorial_fini(&tutorial);
}

Test(tutorial, addresses_of_servers_as_haproxy_has_them)
{
    static const struct {
        const char *address;
        const char *expected;
    } SERVERS[] = {
        {"10.0.0.1:3000", "10.0.0.1:3000"},
        {"ipv4@10.0.0.1:3000", "10.0.0.1:3000"},
        {"[fd00::7]:3000", "[fd00::7]:3000"},
        {"fd00::7:3000", "[fd00::7]:3000"},
        {"ipv6@fd00::7:3000", "[fd00::7]:3000"},
        {"ipv6@[fd00::7]:3000", "[fd00::7]:3000"},
        {"chat.internal:3000", "chat.internal:3000"},
        {"ipv6@chat.internal:3000", "chat.internal:3000"},
    };
    for (size_t i = 0; i < COUNT_OF(SERVERS); i++) {
        char *expected = memory_format("a: a.test -> %s\n", SERVERS[i].expected);
        expect_tenants(memory_format("frontend f\n  use_backend a if { hdr(host) a.test }\n"
                                     "backend a\n  server s %s check\n",
                                     SERVERS[i].address),
                       expected);
        free(expected);
    }
}
