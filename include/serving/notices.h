/* What of the daemon's status needs somebody to look at it, and no tenant's, file's or
 * certificate's state tells: in words, with what to do about it. */
#pragma once

#include "serving/live.h"
#include "json/json.h"

/* The kinds there are, as the log's events are named. */
#define NOTICE_ACCEPT_PAUSED          "accept_paused"
#define NOTICE_THREAD_STANDS_STILL    "thread_stands_still"
#define NOTICE_CONNECTIONS_FULL       "connections_full"
#define NOTICE_CANNOT_WATCH           "cannot_watch"
#define NOTICE_RESTART_NEEDED         "restart_needed"
#define NOTICE_JWKS_FAILED            "jwks_failed"
#define NOTICE_HAPROXY_CONFIG_DIFFERS "haproxy_config_differs"

/* [{"kind": "restart_needed", "message": "...", "hint": "..."}] */
struct json *notices_list(const struct live *live) __attribute__((returns_nonnull));
size_t notices_count(const struct json *list, const char *kind);
/* The list as "notices", and what programs want to know besides. */
void notices_put(struct json *object, const struct live *live);
