/* Where requests go: see backends_write.h. */
#include "backends_write.h"

#include "core/memory.h"
#include "limits_write.h"
#include "reuse_write.h"

#include <stdlib.h>

/* uvicorn closes a connection that was idle for 5 s, maybe just when HAProxy sends on it, which
 * keeps no time for those that are idle. HAProxy then tells the client to ask again: it ends an
 * HTTP/1 connection without a byte, and an HTTP/2 stream with REFUSED_STREAM. (To ask again by
 * itself, it would copy every request: 1.5 us of its CPU time on 2.6, 7 us on 3.2.) For what may
 * not be sent twice (RFC 9110 9.2.2) that is no help: it gets a connection that nothing was on
 * before. So does a WebSocket: uvicorn starts that timer when the application is done with a
 * response, which may be after its last byte, and would end what the connection is by then. */
#define ACL_REPEATABLE "    acl repeatable method GET HEAD OPTIONS\n"
#define KEPT           "pool-purge-delay 2s"

/* Behind an admin's name, which has no '.', so that none of an admin's is called so. */
#define FRESH ".fresh"

/* Who has written a backend down by hand sees to that, too. */
static void put_choice_of_named(const struct page *page)
{
    const struct hap_config *config = page->config;

    put_text(page, ACL_REPEATABLE);
    for (size_t i = 0; i < config->backend_count; i++) {
        const char *name = config->backends[i].name;
        if (config->backends[i].server_count > 0)
            put(page,
                "    use_backend owui_%s" FRESH " if { var(txn.owui.backend) -m str %s } "
                "websocket || { var(txn.owui.backend) -m str %s } !repeatable\n",
                name, name, name);
    }
}

void backends_put_choice(const struct page *page)
{
    put_text(page, "\n"
                   "    use_backend owui_acme if acme !answered\n"
                   "    use_backend owui_answer if { var(txn.owui.answer) -m found }\n");
    if (page->config->backend_count > 0)
        put_choice_of_named(page);
    put_text(page, "    use_backend owui_%[var(txn.owui.backend)] if "
                   "{ var(txn.owui.backend) -m found }\n"
                   "    # without an address HAProxy would connect to itself\n"
                   "    acl address_known var(txn.owui.dst) -m found\n"
                   "    acl name_known var(txn.owui.sni) -m len gt 0\n"
                   "    acl to_https var(txn.owui.to_https) -m int gt 0\n"
                   "    acl to_noverify var(txn.owui.to_noverify) -m int gt 0\n");
    reuse_put_tls_choice(page);
    put_text(page,
             "    use_backend owui_http if address_known { var(txn.owui.to_http) -m int gt 0 }\n"
             "    use_backend owui_https if address_known to_https name_known\n"
             "    use_backend owui_https_noverify if address_known to_noverify\n"
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

/* Anybody on this machine can have the port while nobody else has it, and would be every tenant's
 * origin. RFC 8555 8.3: what is asked for is one token's, and what is told may end in whitespace.
 */
#define CHALLENGES_ALONE                                                                          \
    "    # whoever has the port is believed in challenges alone: no secrets of users go there, "  \
    "and "                                                                                        \
    "of\n"                                                                                        \
    "    # an answer nothing but its text goes on, which no browser takes for a page\n"           \
    "    http-request del-header Cookie\n"                                                        \
    "    http-request del-header Authorization\n"                                                 \
    "    http-response wait-for-body time 1s\n"                                                   \
    "    http-response set-var(txn.owui.challenge) 'res.body,rtrim(\"\\r\\n\\t \")' if { status " \
    "200 } "                                                                                      \
    "{ res.body -m reg ^[A-Za-z0-9_.-]{1,512}[[:space:]]*$ }\n"                                   \
    "    http-response return status 200 content-type application/octet-stream lf-string "        \
    "%[var(txn.owui.challenge)] if { var(txn.owui.challenge) -m found }\n"                        \
    "    http-response return status 404 content-type text/plain string \"no challenge\\n\"\n"

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
    put_text(page, CHALLENGES_ALONE);
    put(page, "    server acme %s " NONE_KEPT "\n",
        or_else(page->config->challenge_listen, "127.0.0.1:8688"));
}

static void put_upstream(const struct page *page, const char *name, const char *port,
                         const char *tls)
{
    put(page, "\nbackend owui_%s\n", name);
    if (tls[0] != '\0')
        reuse_put_tls(page, port);
    put(page,
        "    http-request set-dst var(txn.owui.dst)\n"
        "    http-request set-dst-port var(txn.owui.%s)\n" LIMITS_TIMEOUT_RULES
        "    acl websocket req.fhdr(upgrade,-1) -i websocket\n" ACL_REPEATABLE
        "    use-server fresh if websocket || !repeatable\n"
        "    server any 0.0.0.0:0 " KEPT "%s\n"
        "    server fresh 0.0.0.0:0 weight 0 " NONE_KEPT "%s\n",
        port, tls, tls);
}

static void put_upstreams(const struct page *page)
{
    /* Sessions of TLS are not taken up again: the last one of all that a server stands for would be
     * offered to the next, and before 3.2 its name, too, where that one has none. */
    static const char *const NAMED = " sni var(txn.owui.sni) alpn http/1.1 no-ssl-reuse";
    char *verified = memory_format(" ssl verify required ca-file %s%s",
                                   or_else(page->config->upstream_ca_file, "@system-ca"), NAMED);
    char *believed = memory_format(" ssl verify none%s", NAMED);

    put_text(page,
             "\n"
             "# upstreams, by the address that the agent tells; connections are kept per "
             "address,\n"
             "# but what may not be sent twice has one that nothing was on before; sessions of "
             "TLS are\n"
             "# not kept: HAProxy would offer them to the next address");
    put_upstream(page, "http", "to_http", "");
    put_upstream(page, "https", "to_https", verified);
    put_upstream(page, "https_noverify", "to_noverify", believed);
    free(verified);
    free(believed);
}

/* A server whose name nobody knows is down, where HAProxy would not start otherwise: it is one
 * tenant's. Nor is it looked up again, since DNS may not know what /etc/hosts does. */
static void put_replicas_head(const struct page *page, const char *name, const char *suffix)
{
    put(page,
        "\n"
        "backend owui_%s%s\n"
        "    balance leastconn\n"
        "    default-server init-addr last,libc,none\n"
        "    cookie owui_replica insert indirect nocache httponly\n" LIMITS_TIMEOUT_RULES,
        name, suffix);
}

static void put_named(const struct page *page, const struct hap_backend *backend)
{
    put_replicas_head(page, backend->name, "");
    put(page, "    option httpchk GET %s\n", or_else(backend->check_path, "/health"));
    for (size_t i = 0; i < backend->server_count; i++)
        put(page, "    server replica%zu %s cookie %zu check inter 5s " KEPT "\n", i + 1,
            backend->servers[i], i + 1);
    put_replicas_head(page, backend->name, FRESH);
    for (size_t i = 0; i < backend->server_count; i++)
        put(page, "    server replica%zu %s cookie %zu track owui_%s/replica%zu " NONE_KEPT "\n",
            i + 1, backend->servers[i], i + 1, backend->name, i + 1);
}

void backends_put(const struct page *page)
{
    put_challenges(page);
    put_upstreams(page);
    for (size_t i = 0; i < page->config->backend_count; i++)
        if (page->config->backends[i].server_count > 0)
            put_named(page, &page->config->backends[i]);
}
