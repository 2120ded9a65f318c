/* Decisions for more than one request: see reuse.h. */
#include "reuse.h"

#include "core/clock.h"
#include "route/owui_path.h"

#include <stdio.h>

/* Only what is the same for every request of a connection: rules and limits look at paths and
 * credentials, replicas and identities at cookies and tokens, windows of maintenance at the clock.
 */
static bool is_alike_for_all(const struct tenant *tenant)
{
    const struct policy *policy = tenant->policy;
    return tenant->identity == NULL && !tenant->brief->may_be_out && tenant->replicas == NULL &&
           tenant->prepared_limit_count == 0 && (policy == NULL || policy->rule_count == 0);
}

/* Few come over plain HTTP to another port than its own, and all would pay for what these need. */
static bool has_usual_port(const struct decision *decision)
{
    return decision->client.https || decision_public_port(decision) == PUBLIC_PORT_NOT_TOLD;
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
           decision->led_from == NULL && has_usual_port(decision) &&
           !owui_path_is_health(decision->path);
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

/* None where a backend of the admin's has the requests. */
static const struct upstream *upstream_of(const struct tenant *target)
{
    static const struct upstream NONE = {.scheme = UPSTREAM_HTTP, .address = {.family = IP_NONE}};
    return target->backend != NULL ? &NONE : &target->upstream;
}

static unsigned port_if(const struct upstream *upstream, enum upstream_scheme scheme)
{
    return upstream->scheme == scheme ? upstream->port : 0;
}

enum { NUMBER_SIZE = sizeof("65535") };

/* Nothing for 0. */
static const char *number_text(unsigned number, char text[static NUMBER_SIZE])
{
    text[0] = '\0';
    if (number != 0)
        snprintf(text, NUMBER_SIZE, "%u", number & UINT16_MAX);
    return text;
}

/* No part of it can have a "/". One that does not fit here has no room in an answer either. */
static void set_rest(const struct tenant *tenant, const struct tenant *target,
                     struct writer *actions)
{
    const struct upstream *upstream = upstream_of(target);
    bool has_tls = upstream->scheme != UPSTREAM_HTTP;
    unsigned response_set = tenant_response_set(tenant);
    char text[SPOP_ACTIONS_MAX_BYTES] = "";
    char https[NUMBER_SIZE], no_verify[NUMBER_SIZE], response[NUMBER_SIZE];

    if (target->backend != NULL || has_tls || response_set != 0)
        snprintf(text, sizeof(text), "%s/%s/%s/%s/%s",
                 target->backend != NULL ? target->backend : "",
                 number_text(port_if(upstream, UPSTREAM_HTTPS), https),
                 number_text(port_if(upstream, UPSTREAM_HTTPS_NO_VERIFY), no_verify),
                 has_tls && upstream->server_name != NULL ? upstream->server_name : "",
                 number_text(response_set, response));
    set_text(actions, SLICE("rest"), slice_of(text));
}

SELDOM void reuse_write(const struct request *request, const struct decision *decision,
                        struct writer *actions)
{
    const struct tenant *tenant = decision->match.tenant;
    const struct upstream *upstream = upstream_of(decision->target->tenant);
    struct writer more = *actions;
    char ip_text[IP_TEXT_SIZE];
    set_text(&more, SLICE("host"), request->host);
    set_text(&more, SLICE("stamp"), decision->reuse_stamp);
    set_number(&more, SLICE("since"), clock_wall_s());
    set_text(&more, SLICE("tenant"), slice_of(tenant->name));
    set_ip(&more, SLICE("dst"), &upstream->address);
    set_number(&more, SLICE("to_http"), port_if(upstream, UPSTREAM_HTTP));
    set_text(&more, SLICE("ip"), slice_of(ip_print(&decision->client.ip, ip_text)));
    set_number(&more, SLICE("by_https"),
               decision->client.https ? decision_public_port(decision) : 0);
    set_text(&more, SLICE("hsts"),
             decision->client.https ? slice_of(tenant->hsts) : (struct slice){0});
    set_rest(tenant, decision->target->tenant, &more);
    if (!more.failed)
        *actions = more;
}
