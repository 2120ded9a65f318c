/* The requests that two configurations are asked about, so that `diff` sees what a change does.
 *
 * Each host with a page, the API and the socket. Then whatever a tenant's definition tells apart
 * has a request of its own, on each of its hosts (a wildcard with a label of verdict_label()) and
 * behind each of its paths: each path, each route's path with each of its methods, kinds of
 * credential and networks, within its hours and out of them, each network that is let in or kept
 * out, each origin, each end of a window of maintenance, each replica; on the first of them alone,
 * each edge of a route's hours. Both versions' tenants are to be added: what only one of them names
 * is then asked of the other too.
 */
#pragma once

#include "agent/answer.h"
#include "agent/share.h"
#include "route/table.h"

struct probe {
    char *url;
    char *options; /* "--method POST --from 10.0.0.1": what `explain` takes for the rest; or "" */
    char *origin;
    char *forwarded; /* what a trusted proxy says of the client */
    enum client_source source;
    const char *method;
    enum credential credential;
    char replica_cookie[REPLICA_COOKIE_BYTES + 1];
    char share_cookie[SHARE_COOKIE_BYTES + 1];
    struct ip from;
    int64_t wall_s;
    bool is_socket;
    bool is_astray; /* the TLS handshake named another host */
};

struct probes {
    struct probe *items;
    size_t count;
    size_t capacity;
    size_t left_out; /* hosts and paths that are asked for a page, the API and the socket alone */
};

/* Of one with so many, all is asked on the first host, and on others as long as there is room. */
enum { PROBES_PER_TENANT_MAX = 2000 };

void probes_add_tenant(struct probes *probes, const struct tenant *tenant);
/* One label of the tenant's wildcard hosts, and a page. */
void probes_add_label(struct probes *probes, const struct tenant *tenant, const char *label);
/* A client behind each proxy, at this tenant. */
void probes_add_proxies(struct probes *probes, const struct trusted_proxies *trusted,
                        const struct tenant *tenant);
/* A host that is nobody's. */
void probes_add_nobody(struct probes *probes);
/* In the order of their texts, each once. */
void probes_sort(struct probes *probes);
void probes_fini(struct probes *probes);

/* Views the probe. */
struct request probe_request(const struct probe *probe);
