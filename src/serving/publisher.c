/* The only one that makes snapshots: see publisher.h. */
#include "serving/publisher.h"

#include "conf/own_address.h"
#include "conf/whole.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "crypto/crypto.h"
#include "serving/count_places.h"
#include "serving/report.h"
#include "sources/sources.h"
#include "upstreams/health.h"
#include "upstreams/instances.h"
#include "upstreams/resolver.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    /* New addresses and labels are collected this long; longer while many are on the way. */
    COLLECT_MS = 3,
    COLLECT_MANY_MS = 100,
    COLLECT_RESTS = 4, /* times as long as the last one took are between two */
    MANY_PENDING = 256,
    RECLAIM_MS = 50,
    HOUSEKEEPING_MS = 60 * 1000,
    AGAIN_MS = 5000,  /* until what could not be read is read once more */
    TRIM_FROM = 1000, /* so many changed or freed leave holes that are worth giving back */
};

/* A configuration that has been replaced, and the first generation made without it. */
struct retired {
    struct configuration *configuration;
    uint64_t generation;
    struct retired *next;
};

struct publisher {
    struct publisher_options options;
    struct sources *sources;
    struct resolver *resolver;
    struct instances *instances;
    struct health *health;
    struct count_places *places; /* made when it is known how many there are to be */
    struct publisher_record record;
    struct loops *loops;        /* NULL: nobody to hand snapshots to */
    struct snapshot *snapshots; /* alive, the latest first; the publisher has a reference on that */
    struct retired *retired;
    uint64_t generation;
    uint64_t id;                              /* of this process's tables, among all agents' */
    const struct challenge_table *challenges; /* the latest snapshot's */
    struct jwk_table *keys;                   /* the same */
    struct seal_keys seal;
    struct main_timer *collect_timer;
    struct main_timer *reclaim_timer;
    struct main_timer *housekeeping_timer;
    struct main_timer *scan_timer;
    struct main_timer *again_timer;
    bool again_is_due;
    bool collecting;
    int64_t rest_until_mono_ms; /* no collecting before then: others have a turn */
    bool labels_changed;        /* the registry has instances that no snapshot has */
};

/* -- Generations ------------------------------------------------------------------------------ */

static void free_retired(struct publisher *publisher, uint64_t oldest_generation)
{
    struct retired **link = &publisher->retired;
    while (*link != NULL) {
        struct retired *retired = *link;
        if (retired->generation > oldest_generation) {
            link = &retired->next;
            continue;
        }
        *link = retired->next;
        configuration_free(retired->configuration);
        free(retired);
    }
}

/* Snapshots that differ in their challenges alone share a table, and the others share challenges:
 * who goes last frees. */
static void free_snapshot(struct publisher *publisher, struct snapshot *gone)
{
    bool table_used = false;
    bool challenges_used = gone->challenges == publisher->challenges;
    bool keys_used = gone->keys == publisher->keys;
    for (const struct snapshot *other = publisher->snapshots; other != NULL; other = other->next) {
        table_used |= other->table == gone->table;
        challenges_used |= other->challenges == gone->challenges;
        keys_used |= other->keys == gone->keys;
    }
    if (!table_used)
        route_table_free(gone->table);
    if (!challenges_used)
        challenge_table_free(gone->challenges);
    if (!keys_used)
        jwk_table_free(gone->keys);
    memory_wipe(&gone->seal, sizeof(gone->seal));
    free(gone);
}

/* Frees what no loop can see any more, and comes back while there is something left. */
static void reclaim(struct publisher *publisher)
{
    uint64_t oldest_generation = publisher->generation;
    uint64_t oldest_table = publisher->generation;
    struct snapshot **link = &publisher->snapshots;
    while (*link != NULL) {
        struct snapshot *snapshot = *link;
        if (atomic_load_explicit(&snapshot->references, memory_order_acquire) > 0) {
            if (snapshot->generation < oldest_generation)
                oldest_generation = snapshot->generation;
            if (snapshot->table_generation < oldest_table)
                oldest_table = snapshot->table_generation;
            link = &snapshot->next;
            continue;
        }
        *link = snapshot->next;
        free_snapshot(publisher, snapshot);
    }
    struct route_registry *registry = sources_registry(publisher->sources);
    size_t retired_before = route_registry_retired(registry);
    route_registry_reclaim(registry, oldest_table);
    if (retired_before - route_registry_retired(registry) >= TRIM_FROM)
        memory_trim();
    free_retired(publisher, oldest_generation);
    if (oldest_generation < publisher->generation)
        main_timer_once(publisher->reclaim_timer, RECLAIM_MS);
}

static void on_reclaim(void *context)
{
    reclaim(context);
}

static void hand_out(struct publisher *publisher, struct snapshot *snapshot)
{
    if (publisher->loops == NULL)
        return;
    unsigned count = loops_count(publisher->loops);
    atomic_fetch_add_explicit(&snapshot->references, count, memory_order_relaxed);
    for (unsigned i = 0; i < count; i++)
        loop_publish(loops_at(publisher->loops, i), snapshot);
}

/* Makes it the present one. */
static void put_out(struct publisher *publisher, struct snapshot *snapshot)
{
    struct snapshot *previous = publisher->snapshots;
    snapshot->challenges = publisher->challenges;
    snapshot->keys = publisher->keys;
    snapshot->seal = publisher->seal;
    atomic_store(&snapshot->references, 1);
    snapshot->next = previous;
    publisher->snapshots = snapshot;
    hand_out(publisher, snapshot);
    if (previous != NULL)
        snapshot_unref(previous);
    reclaim(publisher);
}

/* Where decisions are recorded, none is made without the agent. */
static void put_stamp(const struct publisher *publisher, const struct hap_config *haproxy,
                      struct snapshot *snapshot)
{
    if (haproxy->decision_map == NULL || haproxy->tells_request_id)
        return;
    snprintf(snapshot->stamp, sizeof(snapshot->stamp), "%016" PRIx64 ".%" PRIu64, publisher->id,
             snapshot->table_generation);
    snapshot->stamp_size = (uint8_t)strlen(snapshot->stamp);
}

static void publish(struct publisher *publisher)
{
    const struct configuration *configuration = sources_configuration(publisher->sources);
    struct snapshot *snapshot = memory_new(sizeof(*snapshot));

    snapshot->generation = ++publisher->generation;
    snapshot->settings = configuration->settings;
    snapshot->table =
        route_registry_build(sources_registry(publisher->sources), snapshot->generation);
    snapshot->table_generation = snapshot->generation;
    snapshot->content_hash = whole_content_hash(configuration, snapshot->table);
    publisher->record.snapshot_wall_s = clock_wall_s();
    put_stamp(publisher, &configuration->haproxy, snapshot);
    publisher->labels_changed = false;
    put_out(publisher, snapshot);
    if (publisher->options.on_published != NULL)
        publisher->options.on_published(publisher->options.context);
}

/* What is in the registry and not yet published stays so: the table is the present one. */
static void publish_same(struct publisher *publisher)
{
    const struct snapshot *present = publisher->snapshots;
    struct snapshot *snapshot = memory_new(sizeof(*snapshot));

    snapshot->generation = ++publisher->generation;
    snapshot->settings = present->settings;
    snapshot->table = present->table;
    snapshot->table_generation = present->table_generation;
    snapshot->content_hash = present->content_hash;
    memcpy(snapshot->stamp, present->stamp, sizeof(snapshot->stamp));
    snapshot->stamp_size = present->stamp_size;
    put_out(publisher, snapshot);
}

void publisher_set_challenges(struct publisher *publisher, const struct challenge_table *table)
{
    publisher->challenges = table;
    publish_same(publisher);
}

void publisher_set_keys(struct publisher *publisher, struct jwk_table *keys)
{
    publisher->keys = keys;
    publish_same(publisher);
}

void publisher_set_seal(struct publisher *publisher, const struct seal_keys *keys)
{
    publisher->seal = *keys;
    publish_same(publisher);
}

static void retire(struct publisher *publisher, struct configuration *configuration)
{
    if (configuration == NULL)
        return;
    struct retired *retired = memory_new(sizeof(*retired));
    retired->configuration = configuration;
    retired->generation = publisher->generation + 1;
    retired->next = publisher->retired;
    publisher->retired = retired;
}

/* -- Addresses -------------------------------------------------------------------------------- */

static bool is_allowed(void *context, const struct ip *address)
{
    const struct publisher *publisher = context;
    const struct configuration *configuration = sources_configuration(publisher->sources);
    return settings_upstream_allowed(configuration->settings, address);
}

/* The resolver knows no ports. */
static bool is_allowed_port(void *context, const struct ip *address, uint16_t port)
{
    const struct publisher *publisher = context;
    return own_address_allowed(sources_configuration(publisher->sources), address, port);
}

static bool resolve(void *context, const char *host, struct ip *address)
{
    struct publisher *publisher = context;
    return resolver_find(publisher->resolver, host, address) == RESOLVER_KNOWN;
}

static void on_tenant(void *context, struct tenant *tenant)
{
    const struct publisher *publisher = context;
    tenant->brief->count_place = count_places_take(publisher->places, tenant->name);
    health_attach(publisher->health, tenant);
}

static void collect(struct publisher *publisher)
{
    bool many = resolver_pending(publisher->resolver) > MANY_PENDING;
    int64_t wait_ms = many ? COLLECT_MANY_MS : COLLECT_MS;
    int64_t rest_ms = publisher->rest_until_mono_ms - clock_mono_ms();
    if (!publisher->collecting)
        main_timer_once(publisher->collect_timer, rest_ms > wait_ms ? rest_ms : wait_ms);
    publisher->collecting = true;
}

static void on_name_change(void *context, const char *name)
{
    (void)name;
    collect(context);
}

static void on_name_failure(void *context, const char *name, const char *reason,
                            const struct ip *lasting)
{
    char ip_text[IP_TEXT_SIZE];
    (void)context;
    log_event(LOG_WARNING, "resolve_failed", LOG_TEXT("name", name), LOG_TEXT("reason", reason),
              LOG_TEXT("still", lasting->family != IP_NONE ? ip_print(lasting, ip_text) : NULL));
}

/* Tenants of the latest table whose address is not the one that is known now. */
struct stale {
    struct publisher *publisher;
    const struct tenant **tenants;
    size_t count;
};

static void find_stale(void *context, const struct tenant *tenant)
{
    struct stale *stale = context;
    bool is_stale = false;
    /* Instances have a keeper of their own. */
    if (tenant->instance_of != NULL)
        return;
    for (size_t i = 0; i < tenant_upstream_count(tenant); i++) {
        const struct upstream *upstream = tenant_upstream_peek(tenant, i);
        struct ip address;
        if (upstream_has_name(upstream) && resolve(stale->publisher, upstream->host, &address) &&
            is_allowed_port(stale->publisher, &address, upstream->port))
            is_stale |= !ip_equal(&address, &upstream->address);
    }
    if (!is_stale)
        return;
    stale->tenants = memory_resize(stale->tenants, stale->count + 1, sizeof(*stale->tenants));
    stale->tenants[stale->count++] = tenant;
}

/* Returns how many tenants changed. Looking for them touches every name that is in use. */
static size_t apply_addresses(struct publisher *publisher)
{
    struct stale stale = {.publisher = publisher};
    route_table_each_tenant(publisher->snapshots->table, find_stale, &stale);
    for (size_t i = 0; i < stale.count; i++)
        sources_refresh_addresses(publisher->sources, stale.tenants[i]);
    free(stale.tenants);
    struct diagnostics diagnostics = {0};
    sources_settle_parked(publisher->sources, &diagnostics);
    report_diagnostics(&diagnostics, "tenant_broken");
    diagnostics_fini(&diagnostics);
    return stale.count + sources_take_counts(publisher->sources).changed;
}

static void publish_addresses(struct publisher *publisher)
{
    size_t changed = apply_addresses(publisher);
    bool labels_changed =
        instances_settle(publisher->instances, clock_mono_ms()) || publisher->labels_changed;
    if (changed == 0 && !labels_changed)
        return;
    publish(publisher);
    log_event(LOG_DEBUG, "addresses", LOG_NUMBER("generation", publisher->generation),
              LOG_NUMBER("changed", changed),
              LOG_NUMBER("instances", instances_count(publisher->instances)));
}

static void on_collect(void *context)
{
    struct publisher *publisher = context;
    int64_t start_us = clock_mono_us();
    publisher->collecting = false;
    publish_addresses(publisher);
    publisher->rest_until_mono_ms =
        clock_mono_ms() + COLLECT_RESTS * (clock_mono_us() - start_us) / 1000;
}

static void on_housekeeping(void *context)
{
    struct publisher *publisher = context;
    /* Before addresses are asked for: that of an instance which ends now is there still when
     * somebody wants the instance anew. */
    resolver_forget_unused(publisher->resolver);
    publish_addresses(publisher);
    health_forget_unused(publisher->health);
    count_places_tidy(publisher->places, sources_registry(publisher->sources), clock_mono_ms());
}

void publisher_want_label(void *context, const struct label_request *request)
{
    struct publisher *publisher = context;
    if (!instances_want(publisher->instances, request, clock_mono_ms()))
        return;
    publisher->labels_changed = true;
    collect(publisher);
}

/* -- Reading ---------------------------------------------------------------------------------- */

static void use_configuration(void *context, const struct configuration *configuration)
{
    struct publisher *publisher = context;
    const struct resolver_options options = {
        .interval_s = configuration->resolve_interval_s,
        .nameservers = configuration->nameservers,
        .nameserver_count = configuration->nameserver_count,
    };
    struct error_text why;
    if (publisher->places == NULL)
        publisher->places = count_places_new(configuration->metrics.tenants);
    health_set_ca_file(publisher->health, configuration->haproxy.upstream_ca_file);
    if (resolver_configure(publisher->resolver, &options, &why) != ERROR_OK)
        log_event(LOG_ERROR, "cannot_resolve", LOG_TEXT("reason", why.text));
}

static bool read_global(struct publisher *publisher, struct diagnostics *diagnostics)
{
    struct configuration *before;
    if (!sources_read_global(publisher->sources, publisher->options.path, &before, diagnostics))
        return false;
    const struct configuration *now = sources_configuration(publisher->sources);
    retire(publisher, before);
    if (before != NULL && publisher->options.on_configuration != NULL)
        publisher->options.on_configuration(publisher->options.context, before, now);
    return true;
}

static void count_diagnostics(struct publisher *publisher, const struct diagnostics *diagnostics)
{
    publisher->record.errors += diagnostics->errors;
    publisher->record.warnings += diagnostics->count - diagnostics->errors;
}

/* A reading under way. */
struct turn {
    struct reading reading;
    struct diagnostics diagnostics;
    int64_t start_us;
    bool is_rejected; /* the global file of it */
};

static const struct origin WATCH = {.by = "watch"};

static struct turn turn_begin(const struct origin *origin)
{
    return (struct turn){.reading.origin = origin, .start_us = clock_mono_us()};
}

/* A global file that cannot serve leaves the one in force where it is. */
static void reread_global(struct publisher *publisher, struct turn *turn)
{
    struct diagnostics own = {0}; /* the turn's may hold what was found in tenants' files */
    turn->is_rejected = !read_global(publisher, &own);
    publisher->record.is_rejected = turn->is_rejected;
    if (turn->is_rejected) {
        count_diagnostics(publisher, &own);
        report_diagnostics(&own, "configuration_broken");
    } else {
        for (size_t i = 0; i < own.count; i++)
            diagnostics_add(&turn->diagnostics, &own.items[i]);
    }
    diagnostics_fini(&own);
}

static bool settings_differ(const struct publisher *publisher)
{
    return publisher->snapshots->settings != sources_configuration(publisher->sources)->settings;
}

static void tell_reading(struct publisher *publisher, struct reading *reading)
{
    char **tenants;
    size_t count = sources_take_changed(publisher->sources, &tenants);
    reading->generation = publisher->generation;
    reading->tenants = tenants;
    reading->tenant_count = count;
    if (publisher->options.on_reading != NULL)
        publisher->options.on_reading(publisher->options.context, reading);
    memory_free_texts(tenants, count);
}

static void await_trouble(struct publisher *publisher, const struct sources_counts *counts)
{
    if (counts->has_trouble && !publisher->again_is_due)
        main_timer_once(publisher->again_timer, AGAIN_MS);
    publisher->again_is_due |= counts->has_trouble;
}

/* Each reading as one result. */
static void count_reading(struct publisher_record *record, const struct turn *turn)
{
    if (turn->is_rejected)
        record->rejected++;
    else if (turn->reading.published)
        record->published++;
    else
        record->unchanged++;
}

static void log_reload(const struct publisher *publisher, const struct turn *turn,
                       const struct sources_counts *counts)
{
    const struct snapshot *present = publisher->snapshots;
    char hash[17];
    snprintf(hash, sizeof(hash), "%016llx", (unsigned long long)present->content_hash);
    log_event(LOG_INFO, "reload", LOG_TEXT("by", turn->reading.origin->by),
              LOG_NUMBER("generation", publisher->generation), LOG_TEXT("hash", hash),
              LOG_NUMBER("tenants", route_table_tenant_count(present->table) -
                                        instances_count(publisher->instances)),
              LOG_NUMBER("changed", counts->changed), LOG_NUMBER("kept", counts->kept),
              LOG_NUMBER("refused", counts->refused), LOG_NUMBER("parked", counts->parked),
              LOG_NUMBER("took_ms", (clock_mono_us() - turn->start_us) / 1000));
}

/* Publishes what was read, if it makes a difference, and tells. */
static void turn_end(struct publisher *publisher, struct turn *turn)
{
    struct diagnostics *diagnostics = &turn->diagnostics;
    bool is_watch = strcmp(turn->reading.origin->by, WATCH.by) == 0;
    sources_give_freed(publisher->sources, diagnostics);
    if (sources_want_global(publisher->sources)) {
        reread_global(publisher, turn);
        sources_give_freed(publisher->sources, diagnostics);
    }
    struct sources_counts counts = sources_take_counts(publisher->sources);
    await_trouble(publisher, &counts);
    bool has_news = counts.changed > 0 || settings_differ(publisher);
    if (settings_differ(publisher))
        collect(publisher); /* an address that is in use may be allowed no more */
    count_diagnostics(publisher, diagnostics);
    turn->reading.published = has_news;
    count_reading(&publisher->record, turn);
    if (has_news) {
        instances_settle(publisher->instances, clock_mono_ms());
        publish(publisher);
    }
    if (counts.changed >= TRIM_FROM)
        memory_trim();
    report_diagnostics(diagnostics, "tenant_broken");
    if (counts.wants_arguments)
        report_haproxy_differs(NULL);
    if (has_news || diagnostics->count > 0 || !is_watch)
        log_reload(publisher, turn, &counts);
    diagnostics_fini(diagnostics);
    tell_reading(publisher, &turn->reading);
}

void publisher_reload(struct publisher *publisher, const struct origin *origin)
{
    struct turn turn = turn_begin(origin);
    struct error_text why;
    reread_global(publisher, &turn);
    sources_read_all(publisher->sources, &turn.diagnostics);
    if (resolver_restart(publisher->resolver, &why) != ERROR_OK)
        log_event(LOG_ERROR, "cannot_resolve", LOG_TEXT("reason", why.text));
    turn_end(publisher, &turn);
    memory_trim();
}

void publisher_global_changed(struct publisher *publisher)
{
    struct turn turn = turn_begin(&WATCH);
    reread_global(publisher, &turn);
    turn_end(publisher, &turn);
}

void publisher_files_changed(struct publisher *publisher, char *const *paths, size_t count)
{
    publisher_files_written(publisher, paths, count, &WATCH);
}

void publisher_files_written(struct publisher *publisher, char *const *paths, size_t count,
                             const struct origin *origin)
{
    struct turn turn = turn_begin(origin);
    turn.reading.paths = paths;
    turn.reading.path_count = count;
    /* What went is first: another file may have its tenants now. */
    bool *is_there = memory_new((count + 1) * sizeof(*is_there));
    for (size_t i = 0; i < count; i++) {
        is_there[i] = access(paths[i], F_OK) == 0;
        if (!is_there[i])
            sources_read_file(publisher->sources, paths[i], &turn.diagnostics);
    }
    for (size_t i = 0; i < count; i++)
        if (is_there[i])
            sources_read_file(publisher->sources, paths[i], &turn.diagnostics);
    free(is_there);
    turn_end(publisher, &turn);
}

void publisher_named_changed(struct publisher *publisher, char *const *paths, size_t count)
{
    struct turn turn = turn_begin(&WATCH);
    turn.reading.paths = paths;
    turn.reading.path_count = count;
    if (sources_read_named(publisher->sources, paths, count, &turn.diagnostics))
        reread_global(publisher, &turn);
    turn_end(publisher, &turn);
}

void publisher_folder_changed(struct publisher *publisher)
{
    struct turn turn = turn_begin(&WATCH);
    if (sources_scan(publisher->sources, &turn.diagnostics))
        main_timer_once(publisher->scan_timer, SOURCES_PATIENCE_MS);
    turn_end(publisher, &turn);
}

size_t publisher_revive(struct publisher *publisher, const char *path, struct slice text)
{
    struct diagnostics taken = {0};
    size_t revived = sources_revive(publisher->sources, path, text, &taken);
    sources_take_counts(publisher->sources);
    count_diagnostics(publisher, &taken);
    report_diagnostics(&taken, "tenant_broken");
    diagnostics_fini(&taken);
    return revived;
}

void publisher_publish_revived(struct publisher *publisher)
{
    instances_settle(publisher->instances, clock_mono_ms());
    publish(publisher);
}

void publisher_started(struct publisher *publisher)
{
    sources_started(publisher->sources);
}

struct json *publisher_contests(struct publisher *publisher)
{
    return sources_contests(publisher->sources);
}

static void on_again(void *context)
{
    struct publisher *publisher = context;
    struct turn turn = turn_begin(&WATCH);
    publisher->again_is_due = false;
    sources_read_again(publisher->sources, &turn.diagnostics);
    turn_end(publisher, &turn);
}

static void on_scan(void *context)
{
    publisher_folder_changed(context);
}

/* -- Life ------------------------------------------------------------------------------------- */

static struct sources *new_sources(struct publisher *publisher)
{
    const struct sources_needs needs = {
        .resolve = resolve,
        .on_tenant = on_tenant,
        .on_configuration = use_configuration,
        .context = publisher,
    };
    return sources_new(&needs);
}

static struct resolver *new_resolver(struct publisher *publisher, struct main_loop *main_loop)
{
    const struct resolver_events events = {
        .is_allowed = is_allowed,
        .on_change = on_name_change,
        .on_failure = on_name_failure,
        .context = publisher,
    };
    return resolver_new(main_loop, &events);
}

struct publisher *publisher_new(struct main_loop *main_loop,
                                const struct publisher_options *options,
                                struct diagnostics *diagnostics)
{
    struct publisher *publisher = memory_new(sizeof(*publisher));
    publisher->options = *options;
    crypto_random(&publisher->id, sizeof(publisher->id));
    publisher->collect_timer = main_timer_new(main_loop, on_collect, publisher);
    publisher->reclaim_timer = main_timer_new(main_loop, on_reclaim, publisher);
    publisher->housekeeping_timer = main_timer_new(main_loop, on_housekeeping, publisher);
    publisher->scan_timer = main_timer_new(main_loop, on_scan, publisher);
    publisher->again_timer = main_timer_new(main_loop, on_again, publisher);
    publisher->sources = new_sources(publisher);
    publisher->resolver = new_resolver(publisher, main_loop);
    publisher->health = health_new(main_loop);
    publisher->instances = instances_new(sources_registry(publisher->sources), publisher->resolver,
                                         is_allowed_port, publisher);
    if (!read_global(publisher, diagnostics)) {
        publisher_free(publisher);
        return NULL;
    }
    publisher->record.published++;
    count_diagnostics(publisher, diagnostics);
    char **names;
    size_t count = sources_take_changed(publisher->sources, &names);
    memory_free_texts(names, count); /* of all tenants: nobody has changed them */
    struct sources_counts counts = sources_take_counts(publisher->sources);
    await_trouble(publisher, &counts);
    publish(publisher);
    memory_trim();
    main_timer_every(publisher->housekeeping_timer, HOUSEKEEPING_MS);
    return publisher;
}

void publisher_free(struct publisher *publisher)
{
    if (publisher == NULL)
        return;
    if (publisher->snapshots != NULL) {
        snapshot_unref(publisher->snapshots);
        while (publisher->snapshots != NULL) {
            struct snapshot *snapshot = publisher->snapshots;
            assert(atomic_load(&snapshot->references) == 0);
            publisher->snapshots = snapshot->next;
            free_snapshot(publisher, snapshot);
        }
    }
    challenge_table_free(publisher->challenges);
    jwk_table_free(publisher->keys);
    instances_free(publisher->instances);
    resolver_free(publisher->resolver); /* its last answers still ask what is allowed */
    sources_free(publisher->sources);
    health_free(publisher->health);
    count_places_free(publisher->places);
    free_retired(publisher, UINT64_MAX);
    main_timer_free(publisher->collect_timer);
    main_timer_free(publisher->reclaim_timer);
    main_timer_free(publisher->housekeeping_timer);
    main_timer_free(publisher->scan_timer);
    main_timer_free(publisher->again_timer);
    free(publisher);
}

const struct configuration *publisher_configuration(const struct publisher *publisher)
{
    return sources_configuration(publisher->sources);
}

const struct sources *publisher_sources(const struct publisher *publisher)
{
    return publisher->sources;
}

const struct instances *publisher_instances(const struct publisher *publisher)
{
    return publisher->instances;
}

struct count_places *publisher_places(const struct publisher *publisher)
{
    return publisher->places;
}

const struct publisher_record *publisher_record(const struct publisher *publisher)
{
    return &publisher->record;
}

size_t publisher_pending(const struct publisher *publisher)
{
    return resolver_pending(publisher->resolver);
}

const struct snapshot *publisher_snapshot(const struct publisher *publisher)
{
    return publisher->snapshots;
}

void publisher_attach(struct publisher *publisher, struct loops *loops)
{
    publisher->loops = loops;
    hand_out(publisher, publisher->snapshots);
}

void publisher_detach(struct publisher *publisher)
{
    publisher->loops = NULL;
}

void publisher_repeat(struct publisher *publisher)
{
    hand_out(publisher, publisher->snapshots);
}
