/* What HAProxy can do while no agent answers: a map from hosts to upstreams, made from a snapshot's
 * table, for the rules that hap_config_write() makes of `fallback_map`.
 *
 *     chat.example.com    chat/http/10.1.0.11/3000/-/s/./:400:2000:104857600:::10:50
 *     example.com/(*)     (of "*.example.com", without the brackets) the same
 *     www.example.com     -
 *     chat/h_x_team       blue
 *
 * A value is the tenant, `via`, the address (or, via "backend", the backend's name), the port, the
 * name for TLS, "s" where plain HTTP is sent to https ("p": served), and the headers that HAProxy
 * must strip from clients' requests before the tenant may have them, as variables' names with dots
 * around. Behind that, where there are limits or timeouts: these, as agent/answer.h has them in
 * `more`, which may have a slash itself. "-" is refused: a wildcard would lead to another tenant
 * there.
 *
 * A tenant that has more to say than that is left out, and so is a host where a path is somebody's:
 * what cannot be decided without the agent is refused.
 */
#pragma once

#include "hap/runtime_map.h"
#include "route/table.h"

/* Why the tenant is not in the map, as a word or two for people; NULL: it is. */
const char *fallback_obstacle(const struct tenant *tenant, int64_t now_s);

/* The map at `now_s`; to be freed with runtime_map_free(). `*changes` tells whether it may be
 * another one later with the same table: windows of maintenance end, servers go up and down. */
struct runtime_map *fallback_map(const struct route_table *table, int64_t now_s, bool *changes);

/* For people: what becomes of requests for `host`, which is `tenant`'s, while no agent answers. The
 * caller frees it. */
char *fallback_text(const struct route_table *table, const struct tenant *tenant, struct slice host,
                    int64_t now_s);
