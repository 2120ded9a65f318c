/* conf: the global file. */
#include "conf_fixture.h"

#include "conf/own_address.h"
#include "core/memory.h"

#include <stdlib.h>
#include <unistd.h>

static const struct configuration *load_good(struct fixture *fixture)
{
    char *said = fixture_text(fixture);
    cr_assert(fixture->good, "%s", said);
    free(said);
    return fixture->whole.configuration;
}

Test(conf_global, everything_has_a_default)
{
    struct fixture *fixture = fixture_of("{}");
    const struct configuration *configuration = load_good(fixture);
    cr_assert(eq(sz, configuration->listen_count, 1));
    cr_assert(eq(uint, configuration->listen_mode, 0660));
    cr_assert(eq(uint, configuration->loops, 1));
    cr_assert(eq(uint, configuration->resolve_interval_s, 30));
    cr_assert(configuration->metrics.listen == NULL);
    cr_assert(eq(uint, configuration->metrics.tenants, METRICS_TENANTS_DEFAULT));
    cr_assert(configuration->default_https_redirect);
    cr_assert(eq(int, (int)configuration->log_level, LOG_INFO));
    const struct settings *settings = configuration->settings;
    cr_assert(eq(int, (int)settings->unknown_host, UNKNOWN_HOST_DENY));
    cr_assert(eq(u16, settings->unknown_host_status, 404));
    cr_assert(eq(u16, settings->https_port, 0));
    struct ip ip;
    cr_assert(ip_parse(SLICE("192.0.2.1"), &ip));
    cr_assert(settings_upstream_allowed(settings, &ip));
    cr_assert(ip_parse(SLICE("fe80::1"), &ip));
    cr_assert_not(settings_upstream_allowed(settings, &ip));
    const struct hap_config *haproxy = &configuration->haproxy;
    cr_assert(eq(str, haproxy->http[0], "*:80"));
    cr_assert(eq(str, haproxy->https[0], "*:443"));
    /* HAProxy must reach the agent from inside its chroot. */
    cr_assert(eq(str, haproxy->agents[0], configuration->listen[0]));
    struct error_text why;
    char *address = hap_agent_address(slice_of(haproxy->agents[0]), haproxy->chroot, &why);
    cr_assert(address != NULL);
    free(address);
    fixture_free(fixture);
}

Test(conf_global, the_admin_socket_of_a_file_that_is_wrong)
{
    static const struct {
        const char *text;
        char *socket;
    } ROWS[] = {
        {"{\"admin_socket\": \"/a.sock\"}", "/a.sock"},
        {"{\"loops\": \"many\", \"admin_socket\": \"/a.sock\", \"tenants\": 1}", "/a.sock"},
        {"{\"admin_socket\": 1}", "/run/owui-spoa/admin.sock"},
        {"{\"admin_socket\": \"/a.sock\"", "/run/owui-spoa/admin.sock"},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        struct fixture *fixture = fixture_new();
        fixture_write(fixture, "owui-spoa.json", ROWS[i].text);
        char *path = memory_format("%s/owui-spoa.json", fixture->folder);
        char *socket = configuration_admin_socket(path);
        cr_assert(eq(str, socket, ROWS[i].socket));
        free(socket);
        free(path);
        fixture_free(fixture);
    }
}

Test(conf_global, agents_that_are_not_this_one)
{
    static const struct {
        const char *listen, *agents;
        char *others;
    } ROWS[] = {
        {"\"unix:/a.sock\"", "\"unix:/a.sock\"", NULL},
        {"\"unix:/a.sock\"", "\"unix:/a.sock\", \"tcp:10.0.0.8:5\", \"unix:@b\"",
         "tcp:10.0.0.8:5, unix:@b"},
        {"\"tcp:10.0.0.8:5\"", "\"unix:/a.sock\", \"tcp:10.0.0.8:5\"", "unix:/a.sock"},
        {"\"tcp:10.0.0.8:5\"", "\"tcp:10.0.0.8:6\"", "tcp:10.0.0.8:6"},
        {"\"tcp:0.0.0.0:5\"", "\"tcp:127.0.0.1:5\", \"tcp:[::1]:5\", \"tcp:5\"", NULL},
        {"\"tcp:0.0.0.0:5\"", "\"tcp:10.0.0.8:5\"", NULL},
        {"\"tcp:0.0.0.0:5\"", "\"tcp:127.0.0.1:5\", \"tcp:10.0.0.8:5\"", "tcp:10.0.0.8:5"},
        {"\"tcp:0.0.0.0:5\"", "\"tcp:10.0.0.8:5\", \"tcp:10.0.0.9:5\"",
         "tcp:10.0.0.8:5, tcp:10.0.0.9:5"},
        {"\"systemd:spop\"", "\"tcp:127.0.0.1:5\"", NULL},
        {"\"systemd:spop\"", "\"tcp:127.0.0.1:5\", \"tcp:10.0.0.8:5\"",
         "tcp:127.0.0.1:5, tcp:10.0.0.8:5"},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        char *global = memory_format("{\"listen\": [%s], \"haproxy\": {\"agents\": [%s], "
                                     "\"chroot\": null}}",
                                     ROWS[i].listen, ROWS[i].agents);
        struct fixture *fixture = fixture_of(global);
        char *others = own_address_others(load_good(fixture));
        if (ROWS[i].others == NULL)
            cr_assert(others == NULL, "%s: %s", global, others);
        else
            cr_assert(eq(str, others, ROWS[i].others));
        free(others);
        free(global);
        fixture_free(fixture);
    }
}

/* HAProxy cannot connect to "every address", however that is spelled. */
Test(conf_global, an_agent_that_listens_everywhere_is_asked_on_loopback)
{
    static const char *const LISTENS[] = {"0.0.0.0", "[::]", "[::0]", "[0:0:0:0:0:0:0:0]",
                                          "[::ffff:0.0.0.0]"};
    for (size_t i = 0; i < COUNT_OF(LISTENS); i++) {
        char *global = memory_format("{\"listen\": [\"tcp:%s:5\"]}", LISTENS[i]);
        struct fixture *fixture = fixture_of(global);
        cr_assert(fixture->good);
        cr_expect(eq(str, fixture->whole.configuration->haproxy.agents[0], "tcp:127.0.0.1:5"), "%s",
                  LISTENS[i]);
        fixture_free(fixture);
        free(global);
    }
}

Test(conf_global, every_key_is_read)
{
    struct fixture *fixture = fixture_new();
    fixture_write(fixture, "networks.txt", "# Cloud\n173.245.48.0/20\n\n2400:cb00::/32 # v6\r\n");
    fixture_write(
        fixture, "owui-spoa.json",
        "{\"$schema\": \"x\", \"schema\": 1, \"// c\": {}, \"_c\": [1],"
        "\"listen\": [\"unix:/var/lib/haproxy/a.sock\", \"tcp:0.0.0.0:5\", \"systemd:spop\"],"
        "\"listen_group\": \"haproxy\", \"listen_mode\": \"0600\", \"loops\": 4,"
        "\"log\": {\"level\": \"debug\", \"format\": \"json\"}, \"trace\": 100,"
        "\"trusted_proxies\": [{\"name\": \"cf\", \"cidrs_file\": \"networks.txt\","
        "  \"client_ip_header\": \"CF-Connecting-IP\"}, {\"cidrs\": [\"10.0.0.0/8\"]}],"
        "\"upstream_allow\": [\"127.0.0.0/8\"],"
        "\"unknown_host\": {\"action\": \"redirect\", \"to\": \"https://a.test/\"},"
        "\"strip_headers\": [\"X-User-Email\"], \"tenant_id_header\": \"X-Owner\","
        "\"headers\": {\"X-Site\": \"main\"},"
        "\"defaults\": {\"https\": \"off\", \"headers\": {\"X-Ip\": \"{client_ip}\"}},"
        "\"resolver\": {\"interval\": \"2m\", \"nameservers\": [\"[::1]:53\"]},"
        "\"haproxy\": {\"http\": [\"127.0.0.1:8080\"], \"https\": [\"[::1]:8443\"],"
        "  \"runtime\": [\"/run/h.sock\"], \"crt_dir\": \"certs\", \"spoe_file\": \"/etc/o.cfg\","
        "  \"fallback_map\": \"/var/f.map\","
        "  \"decision_map\": \"/var/d.map\","
        "  \"chroot\": \"/var/lib/haproxy\", \"user\": \"h\", \"group\": null,"
        "  \"upstream_ca_file\": \"/etc/ca.pem\", \"proxy_protocol\": {\"from\": [\"10.0.0.1\", "
        "\"::ffff:10.1.0.0/112\"]},"
        "  \"timeouts\": {\"connect\": \"1s\", \"http_request\": \"2s\", \"keep_alive\": \"3s\","
        "    \"client\": \"4s\", \"server\": \"1h\", \"tunnel\": \"1d\", \"agent\": \"90ms\"},"
        "  \"backends\": {\"big\": {\"servers\": [\"10.2.0.1:80\", \"b.test:80\"], \"check\": "
        "\"/ready\"}}},"
        "\"acme\": {\"challenge_listen\": \"127.0.0.1:9688\"}}");
    fixture_load(fixture);
    const struct configuration *configuration = load_good(fixture);
    cr_assert(eq(sz, configuration->listen_count, 3));
    cr_assert(eq(str, configuration->listen_group, "haproxy"));
    cr_assert(eq(uint, configuration->listen_mode, 0600));
    cr_assert(eq(uint, configuration->loops, 4));
    cr_assert(eq(int, (int)configuration->log_level, LOG_DEBUG));
    cr_assert(eq(int, (int)configuration->log_format, LOG_FORMAT_JSON));
    cr_assert(eq(uint, configuration->trace_entries, 100));
    cr_assert(eq(uint, configuration->resolve_interval_s, 120));
    cr_assert(eq(sz, configuration->nameserver_count, 1));
    cr_assert(eq(str, configuration->nameservers[0], "[::1]:53"));
    cr_assert_not(configuration->default_https_redirect);
    cr_assert(eq(str, configuration->default_headers[0].name, "X-Ip"));
    cr_assert(eq(str, configuration->fixed_headers[0].variable, "h_x_site"));

    const struct settings *settings = configuration->settings;
    cr_assert(eq(sz, settings->trusted_proxies.group_count, 2));
    const struct proxy_group *group = &settings->trusted_proxies.groups[0];
    cr_assert(eq(str, group->name, "cf"));
    cr_assert(eq(sz, group->network_count, 2));
    cr_assert(eq(int, (int)group->source, CLIENT_CF_CONNECTING_IP));
    cr_assert(eq(str, settings->trusted_proxies.groups[1].name, "proxies-2"));
    cr_assert(eq(str, settings->unknown_host_location, "https://a.test"));
    cr_assert(eq(u16, settings->https_port, 8443));
    cr_assert(eq(sz, settings->upstream_allow_count, 1));

    const struct hap_config *haproxy = &configuration->haproxy;
    cr_assert(eq(sz, haproxy->agent_count, 2)); /* systemd's cannot be known */
    cr_assert(eq(str, haproxy->agents[1], "tcp:127.0.0.1:5"));
    char *crt_dir = memory_format("%s/certs", fixture->folder);
    cr_assert(eq(str, haproxy->crt_dir, crt_dir));
    free(crt_dir);
    cr_assert(eq(str, haproxy->fallback_map, "/var/f.map"));
    cr_assert(eq(str, haproxy->decision_map, "/var/d.map"));
    cr_assert(eq(uint, haproxy->https_port, 8443));
    cr_assert(eq(str, haproxy->user, "h"));
    cr_assert(haproxy->group == NULL);
    cr_assert(eq(str, haproxy->proxy_protocol_from[0], "10.0.0.1"));
    cr_assert(eq(str, haproxy->proxy_protocol_from[1], "10.1.0.0/16"));
    const struct hap_timeouts *timeouts = &haproxy->timeouts;
    cr_assert(eq(uint, timeouts->connect_ms, 1000));
    cr_assert(eq(uint, timeouts->http_request_ms, 2000));
    cr_assert(eq(uint, timeouts->keep_alive_ms, 3000));
    cr_assert(eq(uint, timeouts->client_ms, 4000));
    cr_assert(eq(uint, timeouts->server_ms, 3600000));
    cr_assert(eq(uint, timeouts->tunnel_ms, 86400000));
    cr_assert(eq(uint, timeouts->agent_ms, 90));
    cr_assert(eq(str, haproxy->backends[0].servers[1], "b.test:80"));
    cr_assert(eq(str, haproxy->backends[0].check_path, "/ready"));
    cr_assert(haproxy->sources[HAP_SOURCE_CF_CONNECTING_IP]);
    cr_assert(haproxy->sources[HAP_SOURCE_X_FORWARDED_FOR]);
    cr_assert_not(haproxy->sources[HAP_SOURCE_FORWARDED]);
    cr_assert(eq(str, haproxy->tenant_header, "X-Owner"));
    cr_assert(eq(str, haproxy->challenge_listen, "127.0.0.1:9688"));
    fixture_free(fixture);
}

static uint16_t https_port_of(const char *haproxy)
{
    char *text = memory_format("{\"haproxy\": {%s}}", haproxy);
    struct fixture *fixture = fixture_of(text);
    uint16_t port = load_good(fixture)->settings->https_port;
    fixture_free(fixture);
    free(text);
    return port;
}

Test(conf_global, the_port_that_redirects_name)
{
    cr_assert(eq(u16, https_port_of(""), 0));
    cr_assert(eq(u16, https_port_of("\"https\": []"), 0));
    cr_assert(eq(u16, https_port_of("\"https\": [\"*:443\"]"), 0));
    cr_assert(eq(u16, https_port_of("\"https\": [\"*:8443\"]"), 8443));
    /* Something in front takes 443 there. */
    cr_assert(eq(u16, https_port_of("\"https\": [\"*:8443\"], \"https_port\": 443"), 0));
    cr_assert(eq(u16, https_port_of("\"https_port\": 9443"), 9443));
}

Test(conf_global, unknown_hosts)
{
    struct fixture *fixture = fixture_of("{\"unknown_host\": {\"status\": 421}}");
    cr_assert(eq(u16, load_good(fixture)->settings->unknown_host_status, 421));
    fixture_free(fixture);
    fixture = fixture_of("{\"unknown_host\": {\"action\": \"redirect\", \"to\": "
                         "\"http://a.test:8080\"}}");
    cr_assert(eq(str, load_good(fixture)->settings->unknown_host_location, "http://a.test:8080"));
    fixture_free(fixture);
    fixture =
        fixture_of("{\"unknown_host\": {\"action\": \"tenant\", \"tenant\": \"t\"}, \"tenants\": "
                   "{\"t\": {\"hosts\": [\"a.test\"], \"upstream\": \"http://h\"}}}");
    cr_assert(eq(str, load_good(fixture)->settings->unknown_host_tenant, "t"));
    fixture_free(fixture);
}

/* It may come later: whoever watches it has to know where. */
Test(conf_global, without_a_folder_of_tenants)
{
    struct fixture *fixture = fixture_new();
    char *folder = memory_format("%s/tenants.d", fixture->folder);
    cr_assert(eq(int, rmdir(folder), 0));
    fixture_write(fixture, "owui-spoa.json", "{}");
    fixture_load(fixture);
    cr_assert(eq(str, load_good(fixture)->tenants_dir, folder));
    cr_assert(fixture->whole.configuration->tenants_dir_optional);
    free(folder);
    fixture_free(fixture);
}

Test(conf_global, sources_are_those_of_route)
{
    static const char *const NAMES[] = {
#define X(NAME, HEADER, ARGUMENT, LINES) [HAP_SOURCE_##NAME] = HEADER,
        HAP_SOURCE_TABLE(X)
#undef X
    };
    cr_assert(eq(int, HAP_SOURCE__MAX, CLIENT_SOURCE__MAX));
    for (int i = 0; i < HAP_SOURCE__MAX; i++)
        cr_expect_str_eq(NAMES[i], client_source_header((enum client_source)i));
}

Test(conf_global, an_error_outside_the_tenants_leaves_nothing)
{
    struct fixture *fixture = fixture_new();
    struct tenant_file tenants;
    fixture_write(fixture, "owui-spoa.json",
                  "{\"loops\": 0, \"tenants\": {\"a\": {\"hosts\": [\"a.test\"], \"upstream\": "
                  "\"http://10.0.0.1\"}}}");
    char *path = memory_format("%s/owui-spoa.json", fixture->folder);
    cr_assert(configuration_load(path, &tenants, &fixture->diagnostics) == NULL);
    cr_assert(eq(sz, tenants.tenant_count, 0));
    cr_assert(tenants.unreadable);
    tenant_file_fini(&tenants);
    free(path);
    fixture_free(fixture);
}

Test(conf_global, a_bad_network_of_a_file_is_told_with_its_line)
{
    struct fixture *fixture = fixture_new();
    fixture_write(fixture, "networks.txt", "# ok\n10.0.0.0/8\n10.0.0.1/8\n");
    fixture_write(fixture, "owui-spoa.json",
                  "{\"trusted_proxies\": [{\"cidrs_file\": \"networks.txt\"}]}");
    fixture_load(fixture);
    char *said = fixture_text(fixture);
    cr_assert(
        eq(str, said, "networks.txt:3:1: error[E112]: \"10.0.0.1/8\" is not an IP network\n"));
    free(said);
    fixture_free(fixture);
}

Test(conf_global, the_content_hash_sees_a_file_of_networks_change)
{
    struct fixture *fixture = fixture_new();
    uint64_t hashes[2];
    fixture_write(fixture, "owui-spoa.json",
                  "{\"trusted_proxies\": [{\"cidrs_file\": \"networks.txt\"}]}");
    for (size_t i = 0; i < COUNT_OF(hashes); i++) {
        fixture_write(fixture, "networks.txt", i == 0 ? "10.0.0.0/8\n" : "10.1.0.0/16\n");
        char *path = memory_format("%s/owui-spoa.json", fixture->folder);
        struct tenant_file tenants;
        struct configuration *configuration =
            configuration_load(path, &tenants, &fixture->diagnostics);
        cr_assert(configuration != NULL);
        hashes[i] = configuration->content_hash;
        configuration_free(configuration);
        tenant_file_fini(&tenants);
        free(path);
    }
    cr_assert(ne(u64, hashes[0], hashes[1]));
    fixture_free(fixture);
}

/* What its header says is believed of whoever is in a group's file. */
Test(conf_global, the_content_hash_sees_a_network_move_to_the_next_group)
{
    static const char *const FILES[][2] = {{"10.0.0.0/8\n10.1.0.0/16\n", "10.2.0.0/16\n"},
                                           {"10.0.0.0/8\n", "10.1.0.0/16\n10.2.0.0/16\n"}};
    uint64_t hashes[2];
    for (size_t i = 0; i < COUNT_OF(FILES); i++) {
        struct fixture *fixture = fixture_new();
        fixture_write(fixture, "owui-spoa.json",
                      "{\"trusted_proxies\": [{\"cidrs_file\": \"one.txt\"}, {\"cidrs_file\": "
                      "\"two.txt\", \"client_ip_header\": \"CF-Connecting-IP\"}]}");
        fixture_write(fixture, "one.txt", FILES[i][0]);
        fixture_write(fixture, "two.txt", FILES[i][1]);
        fixture_load(fixture);
        hashes[i] = load_good(fixture)->content_hash;
        fixture_free(fixture);
    }
    cr_assert(ne(u64, hashes[0], hashes[1]));
}

static uint64_t hash_of(const char *text)
{
    struct fixture *fixture = fixture_of(text);
    uint64_t hash = load_good(fixture)->content_hash;
    fixture_free(fixture);
    return hash;
}

Test(conf_global, the_content_hash_is_one_of_meaning)
{
    uint64_t hash = hash_of("{\"loops\": 1, \"log\": {\"level\": \"info\", \"format\": \"text\"}}");
    cr_assert(eq(u64, hash,
                 hash_of("{ \"// c\": 1, \"log\": {\"format\": \"text\", \"level\": \"info\"},\n"
                         "\t\"loops\" : 1, \"tenants\": {}}")));
    cr_assert(ne(u64, hash,
                 hash_of("{\"loops\": 2, \"log\": {\"level\": \"info\", \"format\": \"text\"}}")));
    cr_assert(ne(u64, hash_of("{\"strip_headers\": [\"X-A\", \"X-B\"]}"),
                 hash_of("{\"strip_headers\": [\"X-B\", \"X-A\"]}")));
    cr_assert(ne(u64, hash_of("{\"headers\": {\"X-A\": \"b\"}}"),
                 hash_of("{\"headers\": {\"X-B\": \"a\"}}")));
}

Test(conf_global, names_of_tenants_files)
{
    cr_assert(tenant_file_name("acme.json"));
    cr_assert_not(tenant_file_name(".acme.json"));
    cr_assert_not(tenant_file_name(".json"));
    cr_assert_not(tenant_file_name("acme.json~"));
    cr_assert_not(tenant_file_name("acme.json.swp"));
}

Test(conf_global, a_trace_is_a_number_or_says_where_it_is_kept)
{
    struct fixture *fixture = fixture_of("{\"trace\": {\"entries\": 7, \"file\": \"/tmp/trace\"}}");
    const struct configuration *configuration = load_good(fixture);
    cr_assert(eq(uint, configuration->trace_entries, 7));
    cr_assert(eq(str, configuration->trace_file, "/tmp/trace"));
    cr_assert(configuration->haproxy.tells_request_id);
    fixture_free(fixture);
    fixture = fixture_of("{\"trace\": {\"file\": \"trace\"}}");
    cr_assert(eq(uint, load_good(fixture)->trace_entries, 10000));
    fixture_free(fixture);
}
