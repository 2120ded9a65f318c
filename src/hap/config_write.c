/* haproxy.cfg: see hap/config.h.
 *
 * The text is read by people, so each block says what it is for. What is on the path of every
 * forwarded request is kept short: whatever is not forwarded leaves it by one rule, to a backend
 * that knows the answers. `http-request allow` ends a section's rules and is used as a branch: it
 * spares a forwarded request the rules behind it.
 */
#include "agents_write.h"
#include "answers_write.h"
#include "backends_write.h"
#include "core/ip.h"
#include "core/memory.h"
#include "headers_write.h"
#include "limits_write.h"
#include "page.h"
#include "question_write.h"
#include "response_write.h"

#include <stdlib.h>

#define WRITTEN_BY "Written by `owui-spoa haproxy-config`"

static void put_title(const struct page *page)
{
    static const char *const FOR[] = {
        [HAP_ANY] = "2.6 and newer", [HAP_2_6] = "2.6",           [HAP_3_0] = "3.0",
        [HAP_3_2] = "3.2",           [HAP_3_4] = "3.4 and newer",
    };
    static_assert(COUNT_OF(FOR) == HAP_VERSION__MAX, "a version has no title");
    put(page,
        "# HAProxy %s in front of Open WebUI tenants; the agent owui-spoa decides where a request\n"
        "# goes. " WRITTEN_BY ", together with the SPOE file.\n"
        "\n",
        FOR[page->version]);
}

const char *hap_worker_socket(const struct hap_config *config)
{
    for (size_t i = 0; i < config->runtime_count; i++)
        if (!slice_starts_with(slice_of(config->runtime[i]), SLICE("master:")))
            return config->runtime[i];
    return NULL;
}

static void put_global(const struct page *page)
{
    const struct hap_config *config = page->config;
    const char *runtime = hap_worker_socket(config);

    /* A line ends in what is looked for in it, behind a URL that may be long. */
    put_text(page, "global\n"
                   "    log stdout len 4096 format raw local0\n");
    if (config->chroot != NULL)
        put(page, "    chroot %s\n", config->chroot);
    if (config->user != NULL)
        put(page, "    user %s\n", config->user);
    if (config->group != NULL)
        put(page, "    group %s\n", config->group);
    if (runtime != NULL) {
        put(page,
            "    # the Runtime API, through which renewed certificates come in\n"
            "    stats socket %s mode 660 level admin expose-fd listeners",
            runtime);
        if (config->group != NULL)
            put(page, " group %s", config->group);
        put_text(page, "\n    stats timeout 30s\n");
    }
    if (config->https_count > 0)
        put_text(page, "    ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets\n"
                       "    ssl-default-bind-ciphers ECDHE+AESGCM:ECDHE+CHACHA20\n");
    put_since(page, HAP_3_2, "3.1", "",
              "    # uploads over HTTP/2: how much is on its way before HAProxy acknowledges it\n"
              "    tune.h2.initial-window-size 262144\n");
    put_own_lines(page, "    ", "global");
    /* Behind them, since what a connection keeps (reuse_write.h) is taken over by several rules. */
    put_since(
        page, HAP_3_2, "3.2",
        "    # a request's rules are evaluated in one go: what another request of its connection\n"
        "    # is told must not come in between\n"
        "    tune.max-rules-at-once 1000000\n",
        "");
}

/* In the longest unit that divides it. */
static void put_timeout(const struct page *page, const char *name, unsigned told_ms,
                        unsigned default_ms)
{
    static const struct {
        const char *unit;
        unsigned ms;
    } UNITS[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    unsigned ms = told_ms > 0 ? told_ms : default_ms;
    size_t i = 0;
    while (ms % UNITS[i].ms != 0)
        i++;
    put(page, "    timeout %s %u%s\n", name, ms / UNITS[i].ms, UNITS[i].unit);
}

/* A proxy in front that sends on an idle connection just when HAProxy closes it tells its client
 * 502, so it has to be the one that closes: AWS's do and nginx after 60 s, Google's after 10
 * minutes. HAProxy 2.6 closes an idle connection of HTTP/1 after the time for clients, too. */
static unsigned patient_ms(const struct hap_config *config, unsigned else_ms)
{
    return has_trusted_proxies(config) ? 660000 : else_ms;
}

static void put_timeouts(const struct page *page)
{
    const struct hap_timeouts *timeouts = &page->config->timeouts;
    put_timeout(page, "connect", timeouts->connect_ms, 5000);
    put_timeout(page, "http-request", timeouts->http_request_ms, 10000);
    put_timeout(page, "http-keep-alive", timeouts->keep_alive_ms, patient_ms(page->config, 30000));
    put_timeout(page, "client", timeouts->client_ms, patient_ms(page->config, 60000));
    put_text(page, "    # the time to a model's first token\n");
    put_timeout(page, "server", timeouts->server_ms, 600000);
    put_text(page, "    # Open WebUI pings its WebSockets every 25 s\n");
    put_timeout(page, "tunnel", timeouts->tunnel_ms, 3600000);
}

/* Open WebUI takes its time to start, while people look. What took too long (504) is not asked for
 * again by itself. */
static void put_error_pages(const struct page *page)
{
    struct error_page error = {.headers = " hdr Retry-After 5 hdr Cache-Control no-store",
                               .again_s = 5,
                               .title = "This service does not answer",
                               .advice =
                                   "It may be starting: this page looks again every 5 seconds."};
    put_text(
        page,
        "    # nobody answers where a request leads; `errorfile` below is a page of your own\n");
    for (error.status = 502; error.status <= 503; error.status++)
        put_error_page(page, &error);
}

static void put_defaults(const struct page *page)
{
    put_text(page,
             "\n"
             "defaults\n"
             "    mode http\n"
             "    log global\n"
             "    log-format \"%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %tsc "
             "%ac/%fc/%bc/%sc/%rc %{+Q}r host=%[var(txn.owui_host),url_enc] "
             "tenant=%[var(txn.owui.tenant)] client=%[var(txn.owui.ip)] id=%[var(txn.owui.rid)]\"\n"
             "    option dontlognull\n"
             "    unique-id-format %[uuid()]\n"
             "    # a header name with \"_\" is a twin of one with \"-\" to some upstreams\n"
             "    option http-restrict-req-hdr-names delete\n"
             "    # tokens leave at once\n"
             "    option http-no-delay\n"
             "    # a model stops when its client goes\n"
             "    option abortonclose\n");
    headers_put_trailers_option(page);
    put_timeouts(page);
    put_error_pages(page);
    put_own_lines(page, "    ", "defaults");
}

static bool is_any_v6(const char *bind)
{
    struct ip ip;
    uint16_t port;
    return ip_parse_with_port(slice_of(bind), &ip, &port) && ip.family == IP_V6 &&
           ip_is_unspecified(&ip);
}

/* In one line, because HAProxy loads the certificates for each line anew. [::] is for IPv6 alone,
 * whatever the kernel's default: who comes by IPv4 would be ::ffff:192.0.2.7 otherwise. */
static void put_binds(const struct page *page, char *const *binds, size_t count,
                      const char *options)
{
    bool v6only = false;
    for (size_t i = 0; i < count; i++) {
        put(page, "%s%s", i == 0 ? "    bind " : ",", binds[i]);
        v6only |= is_any_v6(binds[i]);
    }
    if (count > 0)
        put(page, "%s%s\n", v6only ? " v6only" : "", options);
}

char *hap_placeholder_path(const struct hap_config *config)
{
    return memory_format("%s/.placeholder/placeholder.pem",
                         or_else(config->crt_dir, "/etc/haproxy/certs"));
}

/* Without a certificate for a name the handshake is refused; or the first certificate that is named
 * here is shown, which must then be nobody's. */
static void put_https(const struct page *page)
{
    const struct hap_config *config = page->config;
    const char *folder = or_else(config->crt_dir, "/etc/haproxy/certs");
    char *placeholder = hap_placeholder_path(config);
    /* Whose certificate is not good is a stranger, not a reason to hang up. */
    char *clients = config->client_ca_file != NULL
                        ? memory_format(" ca-file %s verify optional ca-ignore-err all "
                                        "crt-ignore-err all",
                                        config->client_ca_file)
                        : memory_copy_text(SLICE(""));
    char *options =
        config->placeholder
            ? memory_format(" ssl crt %s crt %s alpn h2,http/1.1%s", placeholder, folder, clients)
            : memory_format(" ssl crt %s strict-sni alpn h2,http/1.1%s", folder, clients);
    if (config->placeholder && config->https_count > 0)
        put_text(page, "    # the first certificate is for names that have none of their own\n");
    put_binds(page, config->https, config->https_count, options);
    free(options);
    free(clients);
    free(placeholder);
}

static void put_listeners(const struct page *page)
{
    const struct hap_config *config = page->config;

    put_text(page, "\n"
                   "frontend owui\n");
    put_binds(page, config->http, config->http_count, "");
    put_https(page);
    if (config->proxy_protocol_from_count > 0) {
        put_text(page, "    # these senders, and no others, begin with a PROXY line\n"
                       "    tcp-request connection expect-proxy layer4 if { src");
        for (size_t i = 0; i < config->proxy_protocol_from_count; i++)
            put(page, " %s", config->proxy_protocol_from[i]);
        put_text(page, " }\n");
    }
    question_put_filters(page);
}

bool hap_config_is_ours(struct slice text)
{
    return slice_contains(text, SLICE(WRITTEN_BY));
}

char *hap_config_write(const struct hap_config *config, enum hap_version version,
                       struct slice previous, struct error_text *text)
{
    struct page page;

    if (hap_config_check(config, text) != ERROR_OK)
        return NULL;
    page_open(&page, config, version, previous);
    put_title(&page);
    put_global(&page);
    put_defaults(&page);
    put_listeners(&page);
    question_put(&page);
    headers_put(&page);
    limits_put_counting(&page);
    response_put(&page);
    backends_put_choice(&page);
    answers_put(&page);
    limits_put_tables(&page);
    backends_put(&page);
    agents_put(&page);
    put_last_own_lines(&page, "sections");
    return page_close(&page);
}
