/* Decisions for more than one request: see reuse.h. */
#include "reuse.h"

#include "core/clock.h"
#include "route/owui_path.h"

/* Only what is the same for every request of a connection: rules and limits look at paths and
 * credentials, replicas and identities at cookies and tokens, windows of maintenance at the clock.
 */
static bool is_alike_for_all(const struct tenant *tenant)
{
    const struct policy *policy = tenant->policy;
    return tenant->identity == NULL && !tenant->brief->may_be_out && tenant->replicas == NULL &&
           tenant->prepared_limit_count == 0 && (policy == NULL || policy->rule_count == 0);
}

/* Behind a proxy, connections are shared by clients. A path of somebody's at this host is looked
 * for in every request. A health path is let through where others are redirected. HAProxy asks
 * again when there is a cookie that may give the host's root away. */
static bool is_alike_here(const struct request *request, const struct decision *decision)
{
    return request->upgrade.size == 0 && request->cookie.size == 0 &&
           !decision->client.trusted_peer && !decision->client.is_untold &&
           decision->generation_hash == 0 && !decision->host.changed &&
           decision->match.host != NULL && !decision->match.host_has_paths &&
           decision->led_from == NULL && !owui_path_is_health(decision->path);
}

struct slice reuse_stamp(const struct snapshot *snapshot, const struct request *request,
                         const struct decision *decision)
{
    if (snapshot->stamp_size == 0 || decision->outcome != OUTCOME_FORWARD ||
        !is_alike_here(request, decision) || !is_alike_for_all(decision->match.tenant) ||
        decision->target->tenant->header_count > 0)
        return (struct slice){0};
    return slice_from(snapshot->stamp, snapshot->stamp_size);
}

static void set_text(struct writer *actions, struct slice name, struct slice value)
{
    if (value.size > 0)
        spop_write_set_string(actions, SPOP_SCOPE_SESSION, name, value);
    else
        spop_write_unset(actions, SPOP_SCOPE_SESSION, name);
}

static void set_number(struct writer *actions, struct slice name, int64_t value)
{
    if (value != 0)
        spop_write_set_integer(actions, SPOP_SCOPE_SESSION, name, value);
    else
        spop_write_unset(actions, SPOP_SCOPE_SESSION, name);
}

static void set_ip(struct writer *actions, struct slice name, const struct ip *ip)
{
    if (ip->family != IP_NONE)
        spop_write_set_ip(actions, SPOP_SCOPE_SESSION, name,
                          slice_from(ip->bytes, ip->family == IP_V4 ? 4 : 16));
    else
        spop_write_unset(actions, SPOP_SCOPE_SESSION, name);
}

/* A backend's name, or an address with the one port of three that tells how it is spoken to. */
static void set_upstream(const struct tenant *target, struct writer *actions)
{
    static const struct upstream NONE = {.address = {.family = IP_NONE}};
    bool is_named = target->backend != NULL;
    const struct upstream *upstream = is_named ? &NONE : &target->upstream;
    bool has_tls = upstream->scheme != UPSTREAM_HTTP;
    set_text(actions, SLICE("backend"), is_named ? slice_of(target->backend) : (struct slice){0});
    set_ip(actions, SLICE("dst"), &upstream->address);
    for (enum upstream_scheme i = UPSTREAM_HTTP; i <= UPSTREAM_HTTPS_NO_VERIFY; i++)
        set_number(actions, slice_of(upstream_scheme_port(i)),
                   i == upstream->scheme ? upstream->port : 0);
    set_text(actions, SLICE("sni"), has_tls ? slice_of(upstream->server_name) : (struct slice){0});
}

/* A connection may serve several hosts: what is of one must not be taken for another's. */
static void set_public_port(const struct decision *decision, struct writer *actions)
{
    uint16_t port = decision_public_port(decision);
    bool https = decision->client.https;
    set_number(actions, SLICE("by_https"), https ? port : 0);
    set_number(actions, SLICE("by_http"), https || port == PUBLIC_PORT_NOT_TOLD ? 0 : port);
}

SELDOM void reuse_write(const struct request *request, const struct decision *decision,
                        struct writer *actions)
{
    const struct tenant *tenant = decision->match.tenant;
    struct writer more = *actions;
    char ip_text[IP_TEXT_SIZE];
    set_text(&more, SLICE("host"), request->host);
    set_text(&more, SLICE("now"), decision->reuse_stamp);
    set_number(&more, SLICE("since"), clock_wall_s());
    set_text(&more, SLICE("tenant"), slice_of(tenant->name));
    set_upstream(decision->target->tenant, &more);
    set_text(&more, SLICE("ip"), slice_of(ip_print(&decision->client.ip, ip_text)));
    set_public_port(decision, &more);
    set_text(&more, SLICE("hsts"),
             decision->client.https ? slice_of(tenant->hsts) : (struct slice){0});
    set_number(&more, SLICE("rs"), tenant_response_set(tenant));
    if (!more.failed)
        *actions = more;
}
