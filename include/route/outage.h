/* When a tenant does not serve: maintenance, for a time and with its admins let through, and
 * suspension. Pure: the time is an argument. */
#pragma once

#include "core/ip.h"
#include "core/slice.h"

enum { PAGE_MAX_BYTES = 256 * 1024 }; /* of a page's file */

struct maintenance {
    bool on;
    bool has_window;
    int64_t from_s; /* of the window, since the epoch; it ends before `to_s` */
    int64_t to_s;
    uint32_t retry_after_s; /* 0: the window's end tells, else two minutes */
    struct ip_network *allow;
    size_t allow_count;
    char *page; /* a file; NULL: the built-in page */
};

struct suspension {
    uint16_t status; /* 402 or 403 */
    char *page;
};

/* Whether a page's text begins as HTML does. A tenant names its file, and everybody sees it: what
 * else the service can read, such as keys, begins otherwise. */
#define PAGE_NOT_HTML "it does not begin with \"<\", as HTML does"
bool page_is_html(struct slice text);
/* Whether it is on by itself or by its window. */
bool maintenance_holds(const struct maintenance *maintenance, int64_t now_s);
/* Whether this client is let through while it holds. */
bool maintenance_admits(const struct maintenance *maintenance, const struct ip *client);
/* What Retry-After says, 1 s to a day. */
uint32_t maintenance_retry_after_s(const struct maintenance *maintenance, int64_t now_s);

/* Deep copies; NULL gives NULL, and is freed without harm. */
struct maintenance *maintenance_copy(const struct maintenance *maintenance);
void maintenance_free(struct maintenance *maintenance);
struct suspension *suspension_copy(const struct suspension *suspension);
void suspension_free(struct suspension *suspension);
