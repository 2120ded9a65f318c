/* What tenants need of haproxy.cfg: see haproxy_needs.h. */
#include "serving/haproxy_needs.h"

#include "conf/configuration.h"
#include "core/memory.h"
#include "serving/report.h"

#include <stdlib.h>

enum { LOOK_AFTER_MS = 200 };

struct haproxy_needs {
    const struct snapshot *(*snapshot)(void *context);
    void *context;
    struct main_timer *timer;
    bool look_is_due;
    uint64_t looked_hash;       /* of the tenants that were looked at */
    struct configuration *told; /* its `haproxy` has the names; NULL before the first look */
};

struct looking {
    struct configuration *told;
    char *new_headers; /* "X-Team, X-Key"; NULL: none */
};

static void add_new_header(struct looking *looking, const char *name)
{
    char *before = looking->new_headers;
    looking->new_headers =
        before != NULL ? memory_format("%s, %s", before, name) : memory_copy_text(slice_of(name));
    free(before);
}

static void add_names(void *context, const struct tenant *tenant)
{
    struct looking *looking = context;
    if (tenant->instance_of != NULL)
        return;
    for (size_t i = 0; i < tenant->header_count; i++)
        if (!configuration_has_header_name(looking->told, tenant->headers[i].name))
            add_new_header(looking, tenant->headers[i].name);
    configuration_add_header_names(looking->told, tenant);
}

/* Names are only ever added to what was told: what HAProxy has too much does no harm. */
static size_t count_names(const struct configuration *configuration)
{
    const struct hap_config *haproxy = &configuration->haproxy;
    return haproxy->header_count + haproxy->identity_header_count + haproxy->token_count +
           haproxy->client_certificates + haproxy->takeover + haproxy->secures_cookies +
           haproxy->nosniffs;
}

static void look(struct haproxy_needs *needs, const struct snapshot *snapshot)
{
    bool is_first = needs->told == NULL;
    if (is_first)
        needs->told = memory_new(sizeof(*needs->told));
    struct looking looking = {.told = needs->told};
    size_t before = count_names(needs->told);
    route_table_each_tenant(snapshot->table, add_names, &looking);
    if (!is_first && count_names(needs->told) > before)
        report_haproxy_differs(looking.new_headers);
    free(looking.new_headers);
}

static void on_look(void *context)
{
    struct haproxy_needs *needs = context;
    const struct snapshot *snapshot = needs->snapshot(needs->context);
    needs->look_is_due = false;
    if (snapshot == NULL || snapshot->content_hash == needs->looked_hash)
        return;
    needs->looked_hash = snapshot->content_hash;
    look(needs, snapshot);
}

void haproxy_needs_look(struct haproxy_needs *needs)
{
    if (needs == NULL || needs->look_is_due)
        return;
    needs->look_is_due = true;
    main_timer_once(needs->timer, LOOK_AFTER_MS);
}

struct haproxy_needs *haproxy_needs_new(struct main_loop *main_loop,
                                        const struct snapshot *(*snapshot)(void *context),
                                        void *context)
{
    struct haproxy_needs *needs = memory_new(sizeof(*needs));
    needs->snapshot = snapshot;
    needs->context = context;
    needs->timer = main_timer_new(main_loop, on_look, needs);
    on_look(needs); /* at once: what HAProxy was started with is what is there now */
    return needs;
}

void haproxy_needs_free(struct haproxy_needs *needs)
{
    if (needs == NULL)
        return;
    main_timer_free(needs->timer);
    configuration_free(needs->told);
    free(needs);
}
