/* When a tenant does not serve: see route/outage.h. */
#include "route/outage.h"

#include "core/memory.h"
#include "route/check.h"

#include <stdlib.h>

enum { RETRY_AFTER_S = 120, RETRY_AFTER_MAX_S = 86400 };

bool page_is_html(struct slice text)
{
    if (slice_starts_with(text, SLICE("\xef\xbb\xbf")))
        text = slice_skip(text, 3);
    return check_is_page(text);
}

static bool in_window(const struct maintenance *maintenance, int64_t now_s)
{
    return maintenance->has_window && now_s >= maintenance->from_s && now_s < maintenance->to_s;
}

bool maintenance_holds(const struct maintenance *maintenance, int64_t now_s)
{
    return maintenance->on || in_window(maintenance, now_s);
}

bool maintenance_admits(const struct maintenance *maintenance, const struct ip *client)
{
    return ip_networks_contain(maintenance->allow, maintenance->allow_count, client);
}

uint32_t maintenance_retry_after_s(const struct maintenance *maintenance, int64_t now_s)
{
    if (maintenance->retry_after_s > 0)
        return maintenance->retry_after_s;
    if (maintenance->on || !in_window(maintenance, now_s))
        return RETRY_AFTER_S;
    int64_t left_s = maintenance->to_s - now_s;
    return left_s < RETRY_AFTER_MAX_S ? (uint32_t)left_s : RETRY_AFTER_MAX_S;
}

struct maintenance *maintenance_copy(const struct maintenance *maintenance)
{
    if (maintenance == NULL)
        return NULL;
    struct maintenance *copy = memory_new(sizeof(*copy));
    *copy = *maintenance;
    copy->allow = NULL;
    if (maintenance->allow_count > 0) {
        copy->allow = memory_resize(NULL, maintenance->allow_count, sizeof(*copy->allow));
        memcpy(copy->allow, maintenance->allow, maintenance->allow_count * sizeof(*copy->allow));
    }
    copy->page = memory_copy_optional(maintenance->page);
    return copy;
}

void maintenance_free(struct maintenance *maintenance)
{
    if (maintenance == NULL)
        return;
    free(maintenance->allow);
    free(maintenance->page);
    free(maintenance);
}

struct suspension *suspension_copy(const struct suspension *suspension)
{
    if (suspension == NULL)
        return NULL;
    struct suspension *copy = memory_new(sizeof(*copy));
    *copy = (struct suspension){suspension->status, memory_copy_optional(suspension->page)};
    return copy;
}

void suspension_free(struct suspension *suspension)
{
    if (suspension == NULL)
        return;
    free(suspension->page);
    free(suspension);
}
