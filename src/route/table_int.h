/* A table as the registry builds it. */
#pragma once

#include "entry.h"
#include "route/table.h"

struct route_table {
    struct slots slots;
    size_t tenant_count;
    size_t takeover_count;
    uint64_t content_hash;
};
