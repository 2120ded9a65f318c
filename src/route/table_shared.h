/* A table as the registry builds it. */
#pragma once

#include "entry.h"
#include "route/table.h"

struct route_table {
    struct slots hosts; /* and their paths: what requests look for */
    struct slots names; /* of tenants: what hardly any does, and would only lie between hosts */
    size_t tenant_count;
    size_t takeover_count;
    size_t featured_count;
    uint64_t content_hash;
};
