/* hap: the text of haproxy.cfg and of the SPOE file. That HAProxy accepts and obeys it is shown by
 * tests/integration. */
#include "core/memory.h"
#include "hap/config.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

static char *http[] = {"*:80"};
static char *https[] = {"*:443"};
static char *agents[] = {"unix:/var/lib/haproxy/agent.sock", "unix:@owui", "tcp:12345",
                         "tcp:[::1]:12345"};

static struct hap_config smallest(void)
{
    return (struct hap_config){.http = http,
                               .http_count = 1,
                               .https = https,
                               .https_count = 1,
                               .agents = agents,
                               .agent_count = COUNT_OF(agents)};
}

static bool holds(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

Test(hap_config, agents_are_named_as_haproxy_sees_them)
{
    struct hap_config config = smallest();
    config.chroot = "/var/lib/haproxy";
    struct error_text error;
    char *text = hap_config_write(&config, HAP_ANY, (struct slice){0}, &error);
    cr_assert(ne(ptr, text, NULL), "%s", error.text);
    cr_expect(holds(text, "    chroot /var/lib/haproxy\n"));
    cr_expect(holds(text, "    server agent1 unix@/agent.sock check"));
    cr_expect(holds(text, "    server agent2 abns@owui check"));
    cr_expect(holds(text, "    server agent3 127.0.0.1:12345 check"));
    cr_expect(holds(text, "    server agent4 [::1]:12345 check"));
    free(text);
}

Test(hap_config, binds_share_a_line_and_ipv6_is_for_ipv6)
{
    static char *both[] = {"*:443", "[::]:443", "192.0.2.7:444"}, *six[] = {"[0::0]:80"};
    struct hap_config config = smallest();
    config.https = both;
    config.https_count = COUNT_OF(both);
    char *text = hap_config_write(&config, HAP_ANY, (struct slice){0}, NULL);
    cr_expect(holds(text, "    bind *:80\n"));
    cr_expect(holds(text, "    bind *:443,[::]:443,192.0.2.7:444 v6only ssl crt "));
    free(text);
    config.http = six;
    text = hap_config_write(&config, HAP_ANY, (struct slice){0}, NULL);
    cr_expect(holds(text, "    bind [0::0]:80 v6only\n"));
    free(text);
    six[0] = "[::1]:80";
    text = hap_config_write(&config, HAP_ANY, (struct slice){0}, NULL);
    cr_expect(holds(text, "    bind [::1]:80\n"));
    free(text);
}

Test(hap_config, the_master_socket_is_not_the_workers_to_open)
{
    static char *sockets[] = {"master:/run/master.sock", "/run/a.sock", "/run/b.sock"};
    struct hap_config config = smallest();
    config.runtime = sockets;
    config.runtime_count = 3;
    char *text = hap_config_write(&config, HAP_ANY, (struct slice){0}, NULL);
    cr_expect(holds(text, "    stats socket /run/a.sock mode 660"));
    free(text);
    config.runtime_count = 1;
    text = hap_config_write(&config, HAP_ANY, (struct slice){0}, NULL);
    cr_expect_not(holds(text, "stats socket"));
    free(text);
}

Test(hap_config, decisions_hold_only_where_haproxy_can_be_told_of_the_next)
{
    static char *sockets[] = {"/run/a.sock"};
    static const char UNLESS[] = "owui route if !other_half !{ var(txn.owui.reused)";
    static const char COOKIE[] = "!{ req.cook(owui_tenant) -m found }";
    struct hap_config config = smallest();
    struct error_text error;
    config.decision_map = "/var/d.map";
    cr_expect_null(hap_config_write(&config, HAP_ANY, (struct slice){0}, &error));
    cr_expect_not_null(strstr(error.text, "decision_map needs"), "%s", error.text);

    config.runtime = sockets;
    config.runtime_count = 1;
    char *text = hap_config_write(&config, HAP_ANY, (struct slice){0}, NULL);
    cr_expect(holds(text, "map_str(/var/d.map)"));
    cr_expect(holds(text, UNLESS));
    cr_expect_not(holds(text, COOKIE));
    free(text);
    config.takeover = true;
    text = hap_config_write(&config, HAP_ANY, (struct slice){0}, NULL);
    cr_expect(holds(text, COOKIE));
    free(text);
    config.decision_map = NULL;
    text = hap_config_write(&config, HAP_ANY, (struct slice){0}, NULL);
    cr_expect_not(holds(text, "reused") || holds(text, "sess."));
    free(text);
}

Test(hap_config, timeouts_are_told_in_their_longest_unit)
{
    struct hap_config config = smallest();
    config.timeouts =
        (struct hap_timeouts){.connect_ms = 1500, .server_ms = 90000, .tunnel_ms = 86400000};
    char *text = hap_config_write(&config, HAP_ANY, (struct slice){0}, NULL);
    cr_expect(holds(text, "    timeout connect 1500ms\n"));
    cr_expect(holds(text, "    timeout server 90s\n"));
    cr_expect(holds(text, "    timeout tunnel 24h\n"));
    cr_expect(holds(text, "    timeout client 1m\n"));
    free(text);
    config.timeouts.agent_ms = 90;
    text = hap_spoe_write(&config, HAP_ANY);
    cr_expect(holds(text, "    timeout processing 90ms\n"));
    free(text);
}

Test(hap_config, a_socket_outside_the_chroot_is_refused)
{
    const char *const outside[] = {"unix:/run/agent.sock", "unix:/var/lib/haproxy",
                                   "unix:/var/lib/haproxy2/agent.sock", "unix:agent.sock"};
    for (size_t i = 0; i < COUNT_OF(outside); i++) {
        struct error_text error;
        char *address = hap_agent_address(slice_of(outside[i]), "/var/lib/haproxy/", &error);
        cr_expect(eq(ptr, address, NULL), "%s", outside[i]);
        free(address);
    }
    char *address = hap_agent_address(SLICE("unix:/run/agent.sock"), NULL, NULL);
    cr_assert(eq(str, address, "unix@/run/agent.sock"));
    free(address);
}

Test(hap_config, a_version_gets_its_own_forms_and_no_guards)
{
    static const struct {
        enum hap_version version;
        const char *mode;
        bool headers_at_once;
    } rows[] = {{HAP_2_6, "    mode tcp\n", false},
                {HAP_3_0, "    mode tcp\n", false},
                {HAP_3_2, "    mode spop\n    retries 0\n", false},
                {HAP_3_4, "    mode spop\n    retries 0\n", true}};
    struct hap_header header = {"X-Team", "h_x_team"};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct hap_config config = smallest();
        config.agents = &agents[2];
        config.agent_count = 1;
        config.headers = &header;
        config.header_count = 1;
        char *text = hap_config_write(&config, rows[i].version, (struct slice){0}, NULL);
        char *spoe = hap_spoe_write(&config, rows[i].version);
        cr_expect(holds(text, rows[i].mode), "%zu", i);
        cr_expect_not(holds(text, ".if "), "%zu", i);
        cr_expect_not(holds(spoe, ".if "), "%zu", i);
        cr_expect(eq(int, holds(text, "set-headers-bin"), rows[i].headers_at_once), "%zu", i);
        cr_expect(eq(int, holds(text, "txn.owui.h_x_team"), !rows[i].headers_at_once), "%zu", i);
        cr_expect(eq(int, holds(spoe, "hb=bool(true)"), rows[i].headers_at_once), "%zu", i);
        cr_expect(holds(text, "    http-request del-header X-Team\n"), "%zu", i);
        free(text);
        free(spoe);
    }
}

/* HAProxy starts though one of a tenant's servers has a name that nobody knows. */
Test(hap_config, a_backends_servers_may_have_no_address_yet)
{
    static char name[] = "big", server[] = "chat.internal:8080";
    char *servers[] = {server};
    struct hap_backend backend = {.name = name, .servers = servers, .server_count = 1};
    struct hap_config config = smallest();
    config.backends = &backend;
    config.backend_count = 1;
    char *text = hap_config_write(&config, HAP_2_6, (struct slice){0}, NULL);
    const char *big = strstr(text, "\nbackend owui_big\n"),
               *fresh = strstr(text, "\nbackend owui_big.fresh\n");
    cr_assert_not_null(big);
    cr_assert_not_null(fresh);
    cr_expect(holds(big, "    default-server init-addr last,libc,none\n"));
    cr_expect(holds(fresh, "    default-server init-addr last,libc,none\n"));
    free(text);
}

/* An upstream behind HTTP Basic is one tenant's; the others' clients sign in with that header. */
Test(hap_config, a_tenants_authorization_is_set_and_nobody_elses_is_deleted)
{
    struct hap_header header = {"authorization", "h_authorization"};
    struct hap_config config = smallest();
    config.headers = &header;
    config.header_count = 1;
    char *text = hap_config_write(&config, HAP_2_6, (struct slice){0}, NULL);
    cr_expect(holds(text, "http-request set-header authorization %[var(txn.owui.h_authorization)] "
                          "if { var(txn.owui.h_authorization) -m found }\n"));
    cr_expect_not(holds(text, "del-header authorization"));
    free(text);
}

Test(hap_config, of_several_agents_the_other_half_is_tried)
{
    struct hap_config config = smallest();
    char *text = hap_config_write(&config, HAP_3_2, (struct slice){0}, NULL);
    char *spoe = hap_spoe_write(&config, HAP_3_2);
    cr_expect(holds(text, "    http-request send-spoe-group owui route if !other_half\n"
                          "    http-request send-spoe-group owui-other route if other_half\n"
                          "    http-request send-spoe-group owui-other route if !other_half { "));
    cr_expect(holds(text, "backend owui_agents\n    mode spop\n    retries 2\n"));
    cr_expect(holds(text, "backend owui_agents_other\n    mode spop\n    retries 2\n"));
    cr_expect_not(holds(text, "mode spop\n    retries 0"));
    cr_expect(holds(spoe, "[owui-other]\n") && holds(spoe, "    use-backend owui_agents_other\n"));
    cr_expect_not(holds(spoe, "-again"));
    free(text);
    free(spoe);
    spoe = hap_spoe_write(&config, HAP_2_6);
    cr_expect(holds(spoe, "[owui-again]\n") && holds(spoe, "[owui-other-again]\n"));
    free(spoe);
}

Test(hap_config, headers_of_proxies_are_asked_for_only_when_some_are_trusted)
{
    struct hap_config config = smallest();
    char *spoe = hap_spoe_write(&config, HAP_ANY);
    cr_expect_not(holds(spoe, "xff"));
    cr_expect_not(holds(spoe, "xfp"));
    free(spoe);
    config.sources[HAP_SOURCE_CF_CONNECTING_IP] = true;
    spoe = hap_spoe_write(&config, HAP_ANY);
    cr_expect(holds(spoe, "    args cfi1=req.fhdr(CF-Connecting-IP,-1) "
                          "cfin=req.fhdr_cnt(CF-Connecting-IP)\n"));
    cr_expect_not(holds(spoe, "xff"));
    cr_expect(holds(spoe, " xfp=req.fhdr(X-Forwarded-Proto) rid=req.fhdr(X-Request-ID)\n"));
    free(spoe);
}

Test(hap_config, idle_connections_are_closed_by_proxies_in_front)
{
    struct hap_config config = smallest();
    static const char *const LINES[] = {
        "    timeout http-keep-alive 30s\n    timeout client 1m\n",
        "    timeout http-keep-alive 11m\n    timeout client 11m\n",
        "    timeout http-keep-alive 2m\n    timeout client 11m\n",
    };
    for (size_t i = 0; i < COUNT_OF(LINES); i++) {
        config.sources[HAP_SOURCE_X_FORWARDED_FOR] = i > 0;
        config.timeouts.keep_alive_ms = i > 1 ? 120000 : 0;
        char *text = hap_config_write(&config, HAP_ANY, (struct slice){0}, NULL);
        cr_expect(holds(text, LINES[i]), "%s", LINES[i]);
        free(text);
    }
}

Test(hap_config, no_value_can_write_a_line_of_its_own)
{
    char *const bad[] = {"*:80\nbackend x", "*:80 accept-proxy", "", "\"*:80\"", "*:80#", "$HOME"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char *value = bad[i];
        char good[] = "good";
        struct hap_backend backend = {.name = value};
        struct hap_backend served = {.name = good, .servers = &value, .server_count = 1};
        struct hap_backend checked = {.name = good, .check_path = value};
        struct hap_header header = {value, good}, variable = {good, value};
        struct hap_token token = {value, good, false}, argument = {good, value, false};
        struct hap_config configs[27];
        for (size_t j = 0; j < COUNT_OF(configs); j++)
            configs[j] = smallest();
        configs[0].http = &value;
        configs[1].runtime = &value;
        configs[1].runtime_count = 1;
        configs[2].strip_headers = &value;
        configs[2].strip_header_count = 1;
        configs[3].headers = &header;
        configs[3].header_count = 1;
        configs[4].backends = &backend;
        configs[4].backend_count = 1;
        configs[5].crt_dir = value;
        configs[6].spoe_path = value;
        configs[7].agents = &value;
        configs[7].agent_count = 1;
        configs[8].https = &value;
        configs[9].proxy_protocol_from = &value;
        configs[9].proxy_protocol_from_count = 1;
        configs[10].user = value;
        configs[11].group = value;
        configs[12].chroot = value;
        configs[13].challenge_listen = value;
        configs[14].pages_listen = value;
        configs[15].thumbprint = value;
        configs[16].upstream_ca_file = value;
        configs[17].client_ca_file = value;
        configs[18].identity_headers = &value;
        configs[18].identity_header_count = 1;
        configs[19].fallback_map = value;
        configs[20].decision_map = value;
        configs[20].runtime = http;
        configs[20].runtime_count = 1;
        configs[21].backends = &served;
        configs[21].backend_count = 1;
        configs[22].backends = &checked;
        configs[22].backend_count = 1;
        configs[23].headers = &variable;
        configs[23].header_count = 1;
        configs[24].tokens = &token;
        configs[24].token_count = 1;
        configs[25].tokens = &argument;
        configs[25].token_count = 1;
        configs[26].tenant_header = value[0] != '\0' ? value : http[0]; /* "" tells none */
        for (size_t j = 0; j < COUNT_OF(configs); j++) {
            struct error_text error = {{0}};
            char *text = hap_config_write(&configs[j], HAP_ANY, (struct slice){0}, &error);
            cr_expect(eq(ptr, text, NULL), "%zu %zu", i, j);
            cr_expect(ne(chr, error.text[0], '\0'), "%zu %zu", i, j);
            free(text);
        }
    }
}

/* Lines that no request shows the want of, or one that is hard to make. */
Test(hap_config, what_keeps_clients_and_upstreams_safe_is_there)
{
    static const char *const LINES[] = {
        "ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets\n",
        "ssl-default-bind-ciphers ECDHE+AESGCM:ECDHE+CHACHA20\n",
        "option http-restrict-req-hdr-names delete\n",
        " strict-sni alpn h2,http/1.1\n",
        "set-var(txn.owui_cert) ssl_c_der if { ssl_c_used } { ssl_c_verify 0 } { ssl_c_err 0 } "
        "{ ssl_c_ca_err 0 }\n",
        " ssl verify required ca-file @system-ca sni var(txn.owui.sni) alpn http/1.1 no-ssl-reuse",
        "http-request deny deny_status 405 if METH_CONNECT\n",
        "{ req.fhdr_cnt(X-Owui-Hop) ge 4 }\n",
        "http-request del-header X-OpenWebUI- -m beg\n",
        "http-request del-header X-Forwarded- -m beg\n",
        "http-request del-header Cookie if page\n",
        "http-request del-header Authorization if page\n",
        "http-request del-header Connection unless websocket\n",
        "hdr X-Refused no-agent string \"Service unavailable\\n\" unless answered\n",
    };
    static const enum hap_version VERSIONS[] = {HAP_2_6, HAP_3_0, HAP_3_2, HAP_3_4};
    struct hap_config config = smallest();
    config.client_certificates = true;
    for (size_t i = 0; i < COUNT_OF(VERSIONS); i++) {
        char *text = hap_config_write(&config, VERSIONS[i], (struct slice){0}, NULL);
        for (size_t j = 0; j < COUNT_OF(LINES); j++)
            cr_expect(holds(text, LINES[j]), "%zu: %s", i, LINES[j]);
        bool is_new = VERSIONS[i] >= HAP_3_2;
        cr_expect(eq(int, holds(text, "tune.max-rules-at-once 1000000\n"), is_new));
        cr_expect(eq(int, holds(text, "    option http-drop-request-trailers\n"), is_new));
        cr_expect(eq(int, holds(text, "str(length) if { req.fhdr(transfer-encoding) -m found }"),
                     !is_new));
        free(text);
    }
}

Test(hap_config, a_named_backend_cannot_take_one_of_ours)
{
    char *names[] = {"agents",   "agents_other", "http",   "acme",       "refuse",        "https",
                     "requests", "signin",       "answer", "websockets", "https_noverify"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct hap_backend backend = {.name = names[i]};
        struct hap_config config = smallest();
        config.backends = &backend;
        config.backend_count = 1;
        cr_expect(eq(int, hap_config_check(&config, NULL), ERROR_INVALID), "%s", names[i]);
    }
}

Test(hap_config, own_lines_survive_the_next_writing)
{
    struct hap_config config = smallest();
    char *first = hap_config_write(&config, HAP_ANY, (struct slice){0}, NULL);
    char *mark = strstr(first, "# own lines, defaults");
    cr_assert(ne(ptr, mark, NULL));
    size_t before = (size_t)(strchr(mark, '\n') + 1 - first);
    char *edited = malloc(strlen(first) + 100);
    sprintf(edited, "%.*s    timeout queue 7s\n    # mine\n%s", (int)before, first, first + before);

    char *second = hap_config_write(&config, HAP_ANY, slice_of(edited), NULL);
    cr_expect(eq(str, second, edited));
    char *third = hap_config_write(&config, HAP_2_6, slice_of(second), NULL);
    cr_expect(holds(third, "    timeout queue 7s\n    # mine\n    # end of own lines\n"));
    /* Somebody has deleted the mark between them: what is behind it is another's. */
    char *end = strstr(strstr(edited, "# mine"), "    # end of own lines");
    char *unmarked = malloc(strlen(edited) + 1);
    sprintf(unmarked, "%.*s%s", (int)(end - edited), edited, strchr(end, '\n') + 1);
    char *mended = hap_config_write(&config, HAP_ANY, slice_of(unmarked), NULL);
    char *at = strstr(mended, "# mine");
    cr_assert_not_null(at);
    cr_expect(eq(ptr, strstr(at + 1, "# mine"), NULL));
    cr_expect(lt(sz, strlen(mended), strlen(edited) + strlen(edited) / 2), "nothing twice");
    free(mended);
    free(unmarked);
    char *cut = hap_config_write(&config, HAP_ANY, slice_head(slice_of(edited), before + 4), NULL);
    cr_expect(eq(str, cut, first));
    free(cut);
    free(third);
    free(second);
    free(edited);
    free(first);
}

/* The last place: what somebody has appended to the file, or when its mark is gone. */
Test(hap_config, sections_behind_the_last_mark_are_kept)
{
    static const char LAST[] = "# end of own lines\n", MINE[] = "backend mine\n    # no newline";
    struct hap_config config = smallest();
    char *first = hap_config_write(&config, HAP_ANY, (struct slice){0}, NULL);
    struct slice whole = slice_of(first);
    cr_assert(slice_ends_with(whole, SLICE("# end of own lines\n")));
    struct slice unmarked = slice_head(whole, whole.size - sizeof(LAST) + 1);
    char *edited[] = {memory_format("%s\n%s", first, MINE),
                      memory_format("%.*s\n%s", SLICE_PRINT(unmarked), MINE)};
    char *wanted = memory_format("%.*s\n%s\n%s", SLICE_PRINT(unmarked), MINE, LAST);
    for (size_t i = 0; i < COUNT_OF(edited); i++) {
        char *second = hap_config_write(&config, HAP_ANY, slice_of(edited[i]), NULL);
        cr_expect(eq(str, second, wanted));
        char *third = hap_config_write(&config, HAP_ANY, slice_of(second), NULL);
        cr_expect(eq(str, third, wanted));
        free(third);
        free(second);
        free(edited[i]);
    }
    free(wanted);
    free(first);
}

Test(hap_config, versions_are_known_by_name)
{
    enum hap_version version;
    cr_assert(hap_version_parse(SLICE("3.2"), &version));
    cr_assert(eq(int, (int)version, HAP_3_2));
    cr_assert_not(hap_version_parse(SLICE("3.20"), &version));
    cr_assert_not(hap_version_parse(SLICE(""), &version));
}

Test(hap_config, with_a_thumbprint_haproxy_answers_challenges_by_itself)
{
    struct hap_config config = smallest();
    char *text = hap_config_write(&config, HAP_ANY, (struct slice){0}, NULL);
    cr_expect_not(holds(text, "stateless"));
    free(text);
    config.thumbprint = "LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ";
    text = hap_config_write(&config, HAP_ANY, (struct slice){0}, NULL);
    cr_expect(holds(text, "[path,field(4,/)].LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ\""));
    cr_expect(holds(text, "acme-challenge/[A-Za-z0-9_-]{16,128}$"));
    free(text);
    struct error_text why;
    config.thumbprint = "LPJNul.\"";
    cr_expect(eq(ptr, hap_config_write(&config, HAP_ANY, (struct slice){0}, &why), NULL));
}

/* A token that is told as a whole is not told again for the user in it. */
Test(hap_config, a_token_is_told_once)
{
    static struct hap_token tokens[] = {{"AUTHORIZATION", "jh_authorization", false},
                                        {"token", "jc_token", true},
                                        {"Token", "jc_Token", true}};
    static const struct {
        size_t from, count;
        bool by_cookie, by_header;
    } ROWS[] = {
        {0, 0, true, true},   {0, 1, true, false}, {1, 1, false, true},
        {0, 2, false, false}, {2, 1, true, true}, /* names of cookies have a case */
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        struct hap_config config = smallest();
        config.arguments = 1u << HAP_ARGUMENT_USER;
        config.tokens = tokens + ROWS[i].from;
        config.token_count = ROWS[i].count;
        char *text = hap_spoe_write(&config, HAP_3_0);
        cr_expect_eq(holds(text, " utk=req.cook(token),field(2,.)"), ROWS[i].by_cookie, "%zu", i);
        cr_expect_eq(holds(text, " uau=req.fhdr(authorization),field(2,.)"), ROWS[i].by_header,
                     "%zu", i);
        cr_expect_not(holds(text, "args\n"), "%zu", i);
        free(text);
    }
}

static void expect_missing(const struct hap_config *config, const char *text, const char *spoe,
                           const char *wanted)
{
    char *missing = hap_config_missing(config, slice_of(text), slice_of(spoe));
    if (wanted == NULL)
        cr_expect_null(missing, "%s", missing);
    else
        cr_expect(missing != NULL && strcmp(missing, wanted) == 0, "%s", missing);
    free(missing);
}

Test(hap_config, what_a_file_lacks_is_found_and_what_it_has_besides_is_not)
{
    static char name[] = "X-Team", variable[] = "h_x_team", map[] = "/var/lib/decisions.map";
    static char socket[] = "/run/haproxy/admin.sock";
    static char *sockets[] = {socket};
    static char *known[] = {"x_user_email"};
    static char *more[] = {"x_user", "x_user_email"};
    struct hap_header header = {name, variable};
    for (unsigned version = 0; version < HAP_VERSION__MAX; version++) {
        struct hap_config config = smallest();
        config.runtime = sockets;
        config.runtime_count = 1;
        config.identity_headers = known;
        config.identity_header_count = 1;
        config.arguments = 1u << HAP_ARGUMENT_METHOD;
        char *text = hap_config_write(&config, (enum hap_version)version, (struct slice){0}, NULL);
        char *spoe = hap_spoe_write(&config, (enum hap_version)version);
        expect_missing(&config, text, spoe, NULL);
        expect_missing(&config, text, "", NULL); /* it may be elsewhere */
        config.arguments |= 1u << HAP_ARGUMENT_SNI;
        expect_missing(&config, text, spoe, "args sni=ssl_fc_sni");
        config.arguments = 0;
        expect_missing(&config, text, spoe, NULL);
        config.identity_headers = more;
        config.identity_header_count = 2;
        expect_missing(&config, text, spoe, "args strip=str(/x_user/x_user_email/)");
        config.identity_header_count = 0;
        expect_missing(&config, text, spoe, NULL);
        config.headers = &header;
        config.header_count = 1;
        expect_missing(&config, text, spoe, "http-request del-header X-Team");
        config.header_count = 0;
        config.decision_map = map; /* its first line says why */
        expect_missing(&config, text, spoe,
                       "acl reusable req.fhdr(host),strcmp(sess.owui.host) eq 0");
        free(spoe);
        free(text);
    }
}

Test(hap_config, a_file_of_somebody_elses_lacks_nothing)
{
    struct hap_config config = smallest();
    expect_missing(&config, "global\n    daemon\n", "", NULL);
    expect_missing(&config, "", "", NULL);
    /* Nor one for a version that nobody knows any more. */
    expect_missing(&config, "# HAProxy 1.9. Written by `owui-spoa haproxy-config`\n", "", NULL);
}
