/* Where requests go: see backends_write.h. */
#include "backends_write.h"

#include "limits_write.h"

void backends_put_choice(const struct page *page)
{
    put_text(page,
             "\n"
             "    use_backend owui_acme if acme\n"
             "    use_backend owui_answer if { var(txn.owui.answer) -m found }\n"
             "    use_backend owui_%[var(txn.owui.backend)] if "
             "{ var(txn.owui.backend) -m found }\n"
             "    # without an address HAProxy would connect to itself\n"
             "    acl address_known var(txn.owui.dst) -m found\n"
             "    acl port_known var(txn.owui.port) -m int gt 0\n"
             "    acl name_known var(txn.owui.sni) -m len gt 0\n"
             "    use_backend owui_http if { var(txn.owui.via) -m str http } address_known "
             "port_known\n"
             "    use_backend owui_https if { var(txn.owui.via) -m str https } address_known "
             "port_known name_known\n"
             "    use_backend owui_https_noverify if { var(txn.owui.via) -m str https-noverify } "
             "address_known port_known\n"
             "    default_backend owui_refuse\n");
}

/* RFC 8555 8.1: an answer is the token and the thumbprint of the account's key, so HAProxy can make
 * it when nobody else does. Its own errors alone are turned into answers, not a server's. */
static void put_stateless_answer(const struct page *page)
{
    static const int ERRORS[] = {502, 503, 504};

    put(page,
        "    # nobody there: the thumbprint of the account's key is all that an answer needs\n"
        "    http-request set-var-fmt(txn.owui.stateless) \"%%[path,field(4,/)].%s\" if "
        "{ path -m reg ^/\\.well-known/acme-challenge/[A-Za-z0-9_-]{16,128}$ }\n"
        "    http-response set-var(txn.owui.answered) bool(true)\n"
        "    http-after-response set-status 200 if { status 502 503 504 } "
        "{ var(txn.owui.stateless) -m found } !{ var(txn.owui.answered) -m found }\n",
        page->config->thumbprint);
    for (size_t i = 0; i < COUNT_OF(ERRORS); i++)
        put(page,
            "    http-error status %d content-type application/octet-stream "
            "lf-string %%[var(txn.owui.stateless)]\n",
            ERRORS[i]);
}

static void put_challenges(const struct page *page)
{
    put_text(page, "\n"
                   "# ACME HTTP-01 challenges: the agent's sidecar\n"
                   "backend owui_acme\n"
                   "    retries 0\n"
                   "    timeout connect 1s\n"
                   "    timeout server 5s\n");
    if (page->config->thumbprint != NULL)
        put_stateless_answer(page);
    put(page, "    server acme %s\n", or_else(page->config->challenge_listen, "127.0.0.1:8688"));
}

static void put_upstreams(const struct page *page)
{
    /* uvicorn closes a connection that was idle for 5 s: HAProxy lets go of it first. Sessions of
     * TLS are not taken up again: the last one of all that this server stands for would be offered
     * to the next, and before 3.2 its name, too, where that one has none. */
    static const char *const SERVER =
        "    http-request set-dst var(txn.owui.dst)\n"
        "    http-request set-dst-port var(txn.owui.port)\n" LIMITS_TIMEOUT_RULES
        "    server any 0.0.0.0:0 pool-purge-delay 2s";
    put(page,
        "\n"
        "# upstreams, by the address that the agent tells; connections are kept per address, but\n"
        "# no sessions of TLS, which HAProxy would offer to the next address\n"
        "backend owui_http\n"
        "%s\n"
        "\n"
        "backend owui_https\n"
        "%s ssl verify required ca-file %s sni var(txn.owui.sni) alpn http/1.1 no-ssl-reuse\n"
        "\n"
        "backend owui_https_noverify\n"
        "%s ssl verify none sni var(txn.owui.sni) alpn http/1.1 no-ssl-reuse\n",
        SERVER, SERVER, or_else(page->config->upstream_ca_file, "@system-ca"), SERVER);
}

static void put_named(const struct page *page)
{
    const struct hap_config *config = page->config;

    for (size_t i = 0; i < config->backend_count; i++) {
        const struct hap_backend *backend = &config->backends[i];
        if (backend->server_count == 0)
            continue;
        put(page,
            "\n"
            "backend owui_%s\n"
            "    balance leastconn\n"
            "    cookie owui_replica insert indirect nocache httponly\n"
            "    option httpchk GET %s\n" LIMITS_TIMEOUT_RULES,
            backend->name, or_else(backend->check_path, "/health"));
        for (size_t j = 0; j < backend->server_count; j++)
            put(page, "    server replica%zu %s cookie %zu check inter 5s pool-purge-delay 2s\n",
                j + 1, backend->servers[j], j + 1);
    }
}

void backends_put(const struct page *page)
{
    put_challenges(page);
    put_upstreams(page);
    put_named(page);
}
