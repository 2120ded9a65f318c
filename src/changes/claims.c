/* Hosts and paths, and who has them: see claims.h. */
#include "claims.h"

#include "core/memory.h"

#include <stdlib.h>

struct search {
    const struct claim *claim;
    const struct tenant *holder;
};

static void on_try(void *context, const struct route_try *attempt)
{
    struct search *search = context;
    const struct claim *claim = search->claim;
    if (attempt->claimant != NULL && attempt->wildcard == claim->wildcard &&
        slice_equal(attempt->host, claim->host) && slice_equal(attempt->prefix, claim->prefix))
        search->holder = attempt->claimant;
}

const struct tenant *claim_holder(const struct snapshot *snapshot, const struct claim *claim)
{
    struct search search = {claim, NULL};
    struct route_match match;
    /* No host has the label "*", so that none stands before the wildcard. */
    char *asked = memory_format("%s%.*s", claim->wildcard ? "*." : "", SLICE_PRINT(claim->host));
    route_table_find_told(snapshot->table, slice_of(asked),
                          claim->prefix.size > 0 ? claim->prefix : SLICE("/"), &match, on_try,
                          &search);
    free(asked);
    return search.holder;
}

bool claim_of(const struct tenant *tenant, size_t number, struct claim *claim)
{
    if (number < tenant->host_count) {
        const struct tenant_host *host = &tenant->hosts[number];
        *claim = (struct claim){slice_of(host->name), host->wildcard, {0}, host->place};
        return true;
    }
    number -= tenant->host_count;
    if (number >= tenant->path_count)
        return false;
    const struct path_rule *path = &tenant->paths[number];
    *claim =
        (struct claim){slice_of(path->host), path->wildcard, slice_of(path->prefix), path->place};
    return true;
}

char *claim_text(const struct claim *claim)
{
    return memory_format("%s%.*s%.*s", claim->wildcard ? "*." : "", SLICE_PRINT(claim->host),
                         SLICE_PRINT(claim->prefix));
}
