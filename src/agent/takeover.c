/* A host's root by cookie: see takeover.h. */
#include "takeover.h"

#include "core/clock.h"
#include "route/owui_path.h"

static int64_t now_of(const struct request *request)
{
    return request->wall_s != 0 ? request->wall_s : clock_wall_s();
}

/* Whether one of the tenant's takeover paths is its own on this host: an exact host that has come
 * since, or another tenant's path, may have taken it away. `label` gets what a wildcard stands for.
 */
static bool has_takeover(const struct route_table *table, const struct tenant *tenant,
                         struct slice host, struct slice *label)
{
    for (size_t i = 0; i < tenant->path_count; i++) {
        const struct path_rule *rule = &tenant->paths[i];
        struct route_match match;
        if (rule->mode != PATH_TAKEOVER)
            continue;
        route_table_find(table, host, slice_of(rule->prefix), &match);
        *label = match.label;
        if (match.path == rule)
            return true;
    }
    return false;
}

void takeover_find(const struct snapshot *snapshot, const struct request *request,
                   struct decision *decision)
{
    struct route_match *match = &decision->match;
    struct slice host = host_name(&decision->host);
    struct slice label = {0};
    struct slice name = seal_read(&snapshot->seal, host, request->cookie, now_of(request));
    const struct tenant *tenant = name.size > 0 ? route_table_tenant(snapshot->table, name) : NULL;
    if (tenant == NULL || !has_takeover(snapshot->table, tenant, host, &label))
        return;
    decision->sealed = tenant;
    bool is_root = match->path == NULL && match->host_known && !match->label_refused;
    if (!is_root || (match->tenant != NULL && owui_path_kind(decision->path) == OWUI_OTHER))
        return;
    *match = (struct route_match){.label = label, .host_known = true};
    route_match_lead(match, tenant);
    decision->taken_over = true;
}

static void write_location(struct decision *decision)
{
    struct writer location = writer_of(decision->location_buffer, LOCATION_MAX_BYTES);
    writer_bytes(&location, decision->client.https ? SLICE("https://") : SLICE("http://"));
    host_write(&decision->host, &location);
    assert(!location.failed);
    decision->location = writer_written(&location);
}

/* Whether the host's own tenant, which is another, has had the root until now. */
static bool root_was_anothers(const struct snapshot *snapshot, const struct decision *decision)
{
    struct route_match root;
    if (decision->sealed != NULL)
        return false;
    route_table_find(snapshot->table, host_name(&decision->host), SLICE("/"), &root);
    return root.tenant != NULL && root.tenant != decision->match.tenant;
}

/* What one tenant's pages have left in the browser would be sent to the next one's server. It is
 * there when the cookie's seal has ended, too: the cookie outlives it, to tell whose it is. */
static bool must_forget(const struct snapshot *snapshot, const struct request *request,
                        const struct decision *decision, bool leaving)
{
    struct slice last =
        seal_read(&snapshot->seal, host_name(&decision->host), request->cookie, SEAL_ALWAYS);
    bool was_entered = request->cookie.size > 0;
    if (leaving)
        return was_entered;
    return (was_entered && !slice_equal(last, slice_of(decision->match.tenant->name))) ||
           root_was_anothers(snapshot, decision);
}

bool takeover_leaves(const struct decision *decision)
{
    struct slice rest = path_behind(decision->path, decision->match.path->segments);
    return slice_equal(rest, SLICE("/leave"));
}

void takeover_enter(const struct snapshot *snapshot, const struct request *request,
                    struct decision *decision)
{
    const struct path_rule *rule = decision->match.path;
    bool leaving = takeover_leaves(decision);
    struct writer cookie = writer_of(decision->cookie_buffer, sizeof(decision->cookie_buffer));

    if (leaving)
        writer_bytes(&cookie, SLICE("gone; Max-Age=0"));
    else if (!seal_write(&snapshot->seal, host_name(&decision->host),
                         slice_of(decision->match.tenant->name), now_of(request) + SEAL_LIFE_S,
                         &cookie)) {
        decision->outcome = OUTCOME_DENY_UNSEALED;
        decision->status = 503;
        return;
    } else {
        writer_bytes(&cookie, SLICE("; Max-Age=31536000"));
    }
    static_assert(SEAL_LIFE_S < 31536000, "who was there is forgotten before the seal ends");
    if (decision->client.https)
        writer_bytes(&cookie, SLICE("; Secure"));
    assert(!cookie.failed);
    write_location(decision);
    decision->outcome = leaving ? OUTCOME_TAKEOVER_LEAVE : OUTCOME_TAKEOVER;
    decision->status = 307;
    decision->cookie = writer_written(&cookie);
    decision->forget = must_forget(snapshot, request, decision, leaving);
    if (leaving) {
        decision->path = SLICE("/");
        decision->path_changed = true;
    } else {
        decision->strip_segments = rule->segments;
    }
}
