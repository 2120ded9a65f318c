/* The running daemon: see daemon.h.
 *
 * The order of starting matters. Listeners are bound before anything else is promised, but nobody
 * is accepted before the first snapshot is published; until then who connects waits in the kernel's
 * queue. Only then is the service manager told. Stopping goes the other way round.
 */
#include "daemon.h"

#include "admin_web.h"
#include "analysis/admin_files.h"
#include "analysis/questions.h"
#include "changes/change_operations.h"
#include "changes/history.h"
#include "changes/last_good.h"
#include "cli/command.h"
#include "cli/terminal.h"
#include "cli/view.h"
#include "core/clock.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/version.h"
#include "net/acceptor.h"
#include "net/listener.h"
#include "serving/certificates.h"
#include "serving/count_places.h"
#include "serving/haproxy_files.h"
#include "serving/haproxy_needs.h"
#include "serving/key_keeper.h"
#include "serving/live.h"
#include "serving/map_keeper.h"
#include "serving/pages.h"
#include "serving/publisher.h"
#include "serving/report.h"
#include "serving/responder.h"
#include "serving/restart_keys.h"
#include "serving/seals.h"
#include "serving/service.h"
#include "serving/standstill.h"
#include "serving/trace.h"
#include "serving/trace_dump.h"
#include "serving/troubles.h"
#include "sources/owner_keeper.h"
#include "sources/sources.h"
#include "sources/watch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    /* How long the first addresses of upstreams are waited for before serving without. */
    FIRST_NAMES_MS = 500,
    FIRST_NAMES_LOOK_MS = 5,
    DRAIN_MS = 5000,
    /* How long loops have to end then, or after a second signal. */
    STOP_MS = 1000,
    STOP_SIGNALS = 2, /* SIGTERM and SIGINT */
    /* How soon the service manager hears that loops go on. */
    ALIVE_AGAIN_MS = 1000,
    /* What is not for HAProxy's connections; a quarter at most. */
    SPARE_DESCRIPTORS = 256,
    LOOP_DESCRIPTORS = 4, /* of each loop: its event loop, its wakes, its figures */
};

enum daemon_state { STATE_STARTING, STATE_SERVING, STATE_DRAINING };

struct daemon {
    enum daemon_state state;
    struct main_loop *main_loop;
    struct publisher *publisher;
    struct watch *watch;
    struct label_desk *desk;
    struct listener **listeners;
    size_t listener_count;
    struct acceptor *acceptor; /* NULL: not yet, or no more */
    struct loops *loops;
    struct responder **responders;
    struct troubles *troubles;
    struct trace *trace; /* NULL: nothing is recorded */
    struct trace_dump *dump;
    struct admin_server *admin; /* NULL: its socket cannot be opened */
    struct admin_files *files;
    struct live live;
    struct certificates *certificates; /* NULL: none are looked after */
    struct admin_operation *certificate_refusals;
    struct pages *pages;
    struct key_keeper *keys;
    struct haproxy_needs *needs;
    struct restart_keys *restart;
    struct map_keeper *fallback;
    struct map_keeper *decisions;
    struct seals *seals;
    struct owner_keeper *owners;
    bool is_reconfigured; /* since the last reading */
    struct main_signal *signals[STOP_SIGNALS + 2];
    struct main_timer *start_timer;
    struct main_timer *alive_timer;
    struct main_timer *give_up_timer;
    struct standstill *standstill; /* NULL: the loops do not run yet */
    int64_t alive_ms;              /* 0: nobody watches */
    struct main_waker *stopped_waker;
    int64_t start_limit_ms;
    int exit_code;
};

/* -- Events ----------------------------------------------------------------------------------- */

static void tell_ready(const struct daemon *daemon)
{
    char status[128];
    const struct snapshot *snapshot = publisher_snapshot(daemon->publisher);
    size_t tenants = route_table_tenant_count(snapshot->table);
    snprintf(status, sizeof(status), "generation %llu, %zu tenant%s",
             (unsigned long long)snapshot->generation, tenants, plural_s(tenants));
    service_ready(status);
}

static void on_reload_signal(void *context)
{
    struct daemon *daemon = context;
    if (daemon->state != STATE_SERVING)
        return;
    static const struct origin SIGNAL = {.by = "signal"};
    service_reloading();
    publisher_reload(daemon->publisher, &SIGNAL);
    tell_ready(daemon);
}

static void on_dump_signal(void *context)
{
    struct daemon *daemon = context;
    if (daemon->state != STATE_SERVING)
        return;
    troubles_tell_all(daemon->troubles);
    trace_dump_begin(daemon->dump);
    publisher_repeat(daemon->publisher);
}

/* What changes while the daemon ends is for the next one: to read many tenants can take longer than
 * the loops are given. */
static void stop_watching(struct daemon *daemon)
{
    watch_free(daemon->watch);
    daemon->watch = NULL;
    daemon->live.watch = NULL;
}

static void close_listeners(struct daemon *daemon)
{
    acceptor_stop(daemon->acceptor);
    daemon->acceptor = NULL;
    for (size_t i = 0; i < daemon->listener_count; i++)
        listener_close(daemon->listeners[i]);
    daemon->listener_count = daemon->live.listener_count = 0;
}

/* A loop that stands still obeys nobody, and cannot be waited for. What it would have cleaned up is
 * the kernel's now, or found by the next daemon. */
static void on_give_up(void *context)
{
    (void)context;
    log_event(LOG_ERROR, "stop_forced",
              LOG_TEXT("reason", "a thread that answers HAProxy does not end"));
    _exit(EXIT_BAD);
}

/* The first time: no more connections, every request that has arrived is answered. The second time:
 * at once. */
static void on_stop_signal(void *context)
{
    struct daemon *daemon = context;
    stop_watching(daemon);
    switch (daemon->state) {
    case STATE_STARTING: main_loop_stop(daemon->main_loop); break;
    case STATE_SERVING:
        log_event(LOG_INFO, "drain",
                  LOG_NUMBER("connections", loops_counter(daemon->loops, LOOP_CONNECTIONS_OPEN)));
        service_stopping();
        close_listeners(daemon);
        standstill_stop(daemon->standstill);
        loops_drain(daemon->loops, DRAIN_MS);
        main_timer_once(daemon->give_up_timer, DRAIN_MS + STOP_MS);
        admin_files_give_up(daemon->files);
        break;
    case STATE_DRAINING:
        loops_stop(daemon->loops);
        main_timer_once(daemon->give_up_timer, STOP_MS);
        break;
    }
    daemon->state = STATE_DRAINING;
    daemon->live.serving = false;
}

/* In the thread of the last loop. */
static void on_loops_stopped(void *context)
{
    const struct daemon *daemon = context;
    main_waker_wake(daemon->stopped_waker);
}

/* The timer may be due in this very turn, where the main thread has had much to do meanwhile: it
 * would still be called. */
static void on_stopped(void *context)
{
    const struct daemon *daemon = context;
    main_timer_stop(daemon->give_up_timer);
    main_loop_stop(daemon->main_loop);
}

/* Where loops stand still, the service manager hears nothing, and starts the daemon anew. */
static void on_alive_timer(void *context)
{
    const struct daemon *daemon = context;
    bool is_alive = !standstill_of_loop(daemon->standstill);
    if (is_alive)
        service_alive();
    main_timer_once(daemon->alive_timer, is_alive ? daemon->alive_ms : ALIVE_AGAIN_MS);
}

static void on_global(void *context)
{
    const struct daemon *daemon = context;
    publisher_global_changed(daemon->publisher);
}

static void on_files(void *context, char *const *paths, size_t count)
{
    const struct daemon *daemon = context;
    publisher_files_changed(daemon->publisher, paths, count);
}

static void on_folder(void *context)
{
    const struct daemon *daemon = context;
    publisher_folder_changed(daemon->publisher);
}

static void on_named(void *context, char *const *paths, size_t count)
{
    const struct daemon *daemon = context;
    publisher_named_changed(daemon->publisher, paths, count);
}

/* -- A changed global file -------------------------------------------------------------------- */

/* Of what is to be in HAProxy's files. False where that cannot be written. */
static bool hash_haproxy(const struct hap_config *haproxy, uint64_t *hash)
{
    char *config = hap_config_write(haproxy, HAP_ANY, (struct slice){0}, NULL);
    char *spoe = hap_spoe_write(haproxy, HAP_ANY);
    bool is_written = config != NULL;
    if (is_written)
        *hash = hash_content(slice_of(spoe), hash_content(slice_of(config), 0));
    free(config);
    free(spoe);
    return is_written;
}

static void tell_haproxy_differs(const struct configuration *before,
                                 const struct configuration *now)
{
    uint64_t old_hash;
    uint64_t new_hash;
    if (hash_haproxy(&before->haproxy, &old_hash) && hash_haproxy(&now->haproxy, &new_hash))
        report_haproxy_changes(old_hash, new_hash, haproxy_files_written_ms(&now->haproxy));
}

static void configure_maps(struct daemon *daemon, const struct hap_config *haproxy)
{
    restart_keys_mark(daemon->restart, "haproxy.fallback_map",
                      !map_keeper_configure(daemon->fallback, haproxy));
    restart_keys_mark(daemon->restart, "haproxy.decision_map",
                      !map_keeper_configure(daemon->decisions, haproxy));
}

static void on_configuration(void *context, const struct configuration *before,
                             const struct configuration *now)
{
    struct daemon *daemon = context;
    daemon->is_reconfigured = true;
    log_setup(now->log_level, now->log_format);
    restart_keys_look(daemon->restart, now);
    tell_haproxy_differs(before, now);
    configure_maps(daemon, &now->haproxy);
    if (daemon->keys != NULL)
        key_keeper_configure(daemon->keys, &now->jwks);
    if (daemon->watch != NULL) {
        watch_set_tenants_dir(daemon->watch, now->tenants_dir);
        watch_set_parts(daemon->watch, now->network_files, now->network_file_count);
    }
}

static void on_published(void *context)
{
    const struct daemon *daemon = context;
    certificates_look(daemon->certificates);
    key_keeper_look(daemon->keys, false);
    haproxy_needs_look(daemon->needs);
    seals_look(daemon->seals);
    map_keeper_look(daemon->decisions);
    map_keeper_look(daemon->fallback);
}

static void watch_named(const struct daemon *daemon)
{
    char **paths;
    if (daemon->watch == NULL)
        return;
    size_t count = sources_named(publisher_sources(daemon->publisher), &paths);
    watch_set_named(daemon->watch, paths, count);
}

static void on_reading(void *context, const struct reading *reading)
{
    struct daemon *daemon = context;
    history_look(daemon->live.history, reading);
    if (daemon->is_reconfigured)
        last_good_renew(daemon->live.history, daemon->publisher);
    daemon->is_reconfigured = false;
    owner_keeper_look(daemon->owners, publisher_contests(daemon->publisher));
    watch_named(daemon);
}

/* -- Starting --------------------------------------------------------------------------------- */

static void print_diagnostics(const struct diagnostics *diagnostics)
{
    for (size_t i = 0; i < diagnostics->count; i++) {
        char *text = diagnostic_print(&diagnostics->items[i]);
        fputs(text, stderr);
        free(text);
    }
}

static bool read_configuration(struct daemon *daemon, const char *path)
{
    struct diagnostics diagnostics = {0};
    const struct publisher_options options = {
        .path = path,
        .on_configuration = on_configuration,
        .on_published = on_published,
        .on_reading = on_reading,
        .context = daemon,
    };
    daemon->publisher = publisher_new(daemon->main_loop, &options, &diagnostics);
    if (daemon->publisher == NULL) {
        print_diagnostics(&diagnostics);
        terminal_complain("%s cannot serve", path);
        diagnostics_fini(&diagnostics);
        return false;
    }
    const struct configuration *configuration = publisher_configuration(daemon->publisher);
    daemon->restart = restart_keys_new(configuration);
    log_setup(configuration->log_level, configuration->log_format);
    log_event(LOG_INFO, "start", LOG_TEXT("version", OWUI_SPOA_VERSION),
              LOG_TEXT("configuration", path), LOG_NUMBER("pid", getpid()));
    report_diagnostics(&diagnostics, "tenant_broken");
    diagnostics_fini(&diagnostics);
    return true;
}

/* It may be meant, in a container; who only tries something leaves what the service cannot open. */
static void tell_of_root(const char *folder)
{
    struct stat about;
    if (geteuid() != 0 || folder == NULL || stat(folder, &about) != 0 || about.st_uid == 0)
        return;
    log_event(LOG_WARNING, "runs_as_root", LOG_TEXT("folder", folder),
              LOG_TEXT("reason", "it belongs to another user, who cannot open what is made there"),
              LOG_TEXT("hint", "runuser -u owui-spoa -- owui-spoa run, as the service does"));
}

/* HAProxy opens connections as it needs them: as many as the hard limit allows. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_event(LOG_WARNING, "descriptor_limit", LOG_NUMBER("wanted", limit.rlim_max));
}

static bool open_listener(struct daemon *daemon, const char *text,
                          const struct listen_options *options)
{
    struct listen_address address;
    struct error_text why;
    struct listener *listener = NULL;
    if (listen_address_parse(slice_of(text), &address, &why) == ERROR_OK)
        listener = listener_open(&address, options, &why);
    if (listener == NULL) {
        log_event(LOG_ERROR, "cannot_listen", LOG_TEXT("address", text),
                  LOG_TEXT("reason", why.text));
        return false;
    }
    log_event(LOG_INFO, "listening", LOG_TEXT("address", text));
    daemon->listeners[daemon->listener_count++] = listener;
    return true;
}

static bool open_listeners(struct daemon *daemon)
{
    const struct configuration *configuration = publisher_configuration(daemon->publisher);
    const struct listen_options options = {.mode = configuration->listen_mode,
                                           .group = configuration->listen_group};
    daemon->listeners =
        memory_resize(NULL, configuration->listen_count, sizeof(*daemon->listeners));
    for (size_t i = 0; i < configuration->listen_count; i++)
        if (!open_listener(daemon, configuration->listen[i], &options))
            return false;
    return true;
}

/* What is to be recorded and cannot be ends the start, as a socket does. A disk that has become
 * full does not: nobody shall be turned away for it. */
static bool open_trace(struct daemon *daemon, unsigned loops)
{
    const struct configuration *configuration = publisher_configuration(daemon->publisher);
    unsigned entries = configuration->trace_entries;
    struct error_text why;
    if (entries == 0)
        return true;
    daemon->trace = trace_new(entries, loops, configuration->trace_file, daemon->main_loop, &why);
    if (daemon->trace == NULL && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) {
        log_event(LOG_ERROR, "trace_not_written", LOG_TEXT("reason", why.text),
                  LOG_TEXT("so", "decisions are recorded in memory alone"),
                  LOG_TEXT("hint", "make room, then restart the service"));
        daemon->trace = trace_new(entries, loops, NULL, daemon->main_loop, &why);
    }
    if (daemon->trace == NULL)
        log_event(LOG_ERROR, "cannot_start", LOG_TEXT("reason", why.text));
    return daemon->trace != NULL;
}

/* Files, certificates and whoever asks the daemon are left with some descriptors, however many
 * connections somebody opens. */
static unsigned connections_max(unsigned loop_count)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return 0;
    rlim_t spared = limit.rlim_cur / 4 < SPARE_DESCRIPTORS ? limit.rlim_cur / 4 : SPARE_DESCRIPTORS;
    rlim_t taken = spared + (rlim_t)loop_count * LOOP_DESCRIPTORS;
    rlim_t left = limit.rlim_cur > taken ? limit.rlim_cur - taken : 1;
    return left < UINT32_MAX ? (unsigned)left : UINT32_MAX;
}

static bool make_loops(struct daemon *daemon)
{
    const struct configuration *configuration = publisher_configuration(daemon->publisher);
    const struct loops_settings settings = {.loop_count = configuration->loops,
                                            .connections_max =
                                                connections_max(configuration->loops),
                                            .on_stopped = on_loops_stopped,
                                            .stopped_context = daemon};
    struct error_text why;
    daemon->loops = loops_new(&settings, &RESPONDER_HANDLER, &why);
    if (daemon->loops == NULL) {
        log_event(LOG_ERROR, "cannot_start", LOG_TEXT("reason", why.text));
        return false;
    }
    unsigned count = loops_count(daemon->loops);
    struct count_places *places = publisher_places(daemon->publisher);
    daemon->desk = label_desk_new(daemon->main_loop, publisher_want_label, daemon->publisher);
    if (!open_trace(daemon, count))
        return false;
    daemon->responders = memory_new(count * sizeof(*daemon->responders));
    for (unsigned i = 0; i < count; i++) {
        struct loop *loop = loops_at(daemon->loops, i);
        daemon->responders[i] = responder_new(loop, daemon->desk, count_places_max(places),
                                              trace_ring(daemon->trace, i));
        count_places_watch(places, responder_counts(daemon->responders[i]));
        loop_set_context(loop, daemon->responders[i]);
    }
    daemon->troubles = troubles_new(daemon->main_loop, daemon->loops, daemon->responders);
    daemon->dump = trace_dump_new(daemon->main_loop, daemon->responders, count);
    return true;
}

static void start_watching(struct daemon *daemon, const char *path)
{
    const struct watch_events events = {on_global, on_files, on_folder, on_named, daemon};
    const struct configuration *configuration = publisher_configuration(daemon->publisher);
    daemon->watch = watch_new(daemon->main_loop, path, configuration->tenants_dir, &events);
    daemon->live.watch = daemon->watch;
    watch_named(daemon);
    watch_set_parts(daemon->watch, configuration->network_files, configuration->network_file_count);
}

static void set_challenges(void *context, const struct challenge_table *table)
{
    const struct daemon *daemon = context;
    publisher_set_challenges(daemon->publisher, table);
}

static const struct snapshot *present_snapshot(void *context)
{
    const struct daemon *daemon = context;
    return publisher_snapshot(daemon->publisher);
}

static void set_keys(void *context, struct jwk_table *keys)
{
    const struct daemon *daemon = context;
    publisher_set_keys(daemon->publisher, keys);
}

/* What is on disk is there before the first request is. */
static void start_keys(struct daemon *daemon)
{
    const struct key_keeper_host host = {present_snapshot, set_keys, daemon};
    daemon->needs = haproxy_needs_new(daemon->main_loop, present_snapshot, daemon);
    daemon->keys = key_keeper_new(daemon->main_loop, &host);
    daemon->live.keys = daemon->keys;
    key_keeper_configure(daemon->keys, &publisher_configuration(daemon->publisher)->jwks);
    key_keeper_look(daemon->keys, true);
}

/* What is asked for and cannot be had ends the start: to run on without would be found out when
 * the certificates have expired. */
static bool start_certificates(struct daemon *daemon)
{
    struct error_text why;
    bool failed;
    const struct certificates_host host = {present_snapshot, set_challenges, daemon, daemon->admin};
    daemon->certificates = certificates_start(
        daemon->main_loop, publisher_configuration(daemon->publisher), &host, &failed, &why);
    if (failed) {
        log_event(LOG_ERROR, "cannot_start", LOG_TEXT("reason", why.text));
    } else if (daemon->certificates == NULL) {
        daemon->certificate_refusals = live_certificate_refusals();
        admin_server_add(daemon->admin, daemon->certificate_refusals, NULL);
    }
    return !failed;
}

/* Everything that the daemon can be asked, but for what the sidecar adds. */
static void offer_operations(struct daemon *daemon)
{
    static const struct admin_operation *const TABLES[] = {
        STATUS_OPERATIONS,  TENANT_OPERATIONS,  TENANT_CHANGE_OPERATIONS,
        HISTORY_OPERATIONS, METRICS_OPERATIONS, TOP_OPERATIONS,
    };
    for (size_t i = 0; i < COUNT_OF(TABLES); i++)
        admin_server_add(daemon->admin, TABLES[i], &daemon->live);
    admin_server_add_as(daemon->admin, ADMIN_ACCESS_READ, QUESTION_OPERATIONS, &daemon->live);
    admin_server_add_as(daemon->admin, ADMIN_ACCESS_OPEN, OPEN_OPERATIONS, NULL);
}

/* The page, and the same by TCP, for who has a token. */
static void open_admin_http(const struct daemon *daemon)
{
    const struct admin_http_settings *told =
        &publisher_configuration(daemon->publisher)->admin_http;
    const struct admin_tcp_settings settings = {
        .listen = told->listen,
        .tokens_file = told->tokens_file,
        .hosts = told->hosts,
        .host_count = told->host_count,
        .requests_per_minute = told->requests_per_minute,
    };
    struct error_text why;
    if (told->listen == NULL)
        return;
    if (admin_server_open_tcp(daemon->admin, &settings, &why) != ERROR_OK)
        log_event(LOG_ERROR, "cannot_listen", LOG_TEXT("address", told->listen),
                  LOG_TEXT("reason", why.text));
    else
        log_event(LOG_INFO, "listening", LOG_TEXT("address", told->listen));
}

/* To serve is worth more than to be asked: without its socket the daemon runs on. */
static void start_admin(struct daemon *daemon)
{
    const struct configuration *configuration = publisher_configuration(daemon->publisher);
    struct error_text why;
    daemon->live.publisher = daemon->publisher;
    daemon->live.loops = daemon->loops;
    daemon->live.listeners = daemon->listeners;
    daemon->live.listener_count = daemon->listener_count;
    daemon->live.responders = daemon->responders;
    daemon->live.restart = daemon->restart;
    daemon->live.haproxy_files = haproxy_files_new();
    daemon->live.start_wall_s = clock_wall_s();
    daemon->live.start_mono_ms = clock_mono_ms();
    daemon->admin = admin_server_new(daemon->main_loop, configuration->admin_socket, &why);
    if (daemon->admin != NULL) {
        offer_operations(daemon);
        daemon->files = admin_files_new(daemon->admin, configuration);
        open_admin_http(daemon);
        return;
    }
    log_event(LOG_WARNING, "cannot_be_asked", LOG_TEXT("reason", why.text),
              LOG_TEXT("hint", "\"admin_socket\" names a socket in a folder that is there and "
                               "can be written"));
}

/* What watches the daemon is not worth more than it. */
static void open_metrics(const struct daemon *daemon)
{
    const char *listen = publisher_configuration(daemon->publisher)->metrics.listen;
    struct error_text why;
    if (listen == NULL || daemon->admin == NULL)
        return;
    if (admin_server_open_metrics(daemon->admin, listen, "/metrics", &why) == ERROR_OK)
        log_event(LOG_INFO, "serving_metrics", LOG_TEXT("address", listen));
    else
        log_event(LOG_ERROR, "cannot_serve_metrics", LOG_TEXT("address", listen),
                  LOG_TEXT("reason", why.text));
}

static void start_pages(struct daemon *daemon)
{
    const struct pages_host host = {present_snapshot, daemon};
    const struct configuration *configuration = publisher_configuration(daemon->publisher);
    daemon->pages = pages_new(daemon->main_loop, configuration->haproxy.pages_listen, &host);
}

/* Who cannot go back can still go on. */
static void start_history(struct daemon *daemon)
{
    struct error_text why;
    const char *folder = publisher_configuration(daemon->publisher)->acme.state_dir;
    daemon->live.history = history_open(daemon->main_loop, folder, &daemon->live, &why);
    if (daemon->live.history == NULL)
        log_event(LOG_NOTICE, "history_off", LOG_TEXT("reason", why.text));
    last_good_revive(daemon->live.history, daemon->publisher);
    publisher_started(daemon->publisher);
    daemon->owners = owner_keeper_new(daemon->main_loop, folder);
    owner_keeper_look(daemon->owners, publisher_contests(daemon->publisher));
}

static void start_timers(struct daemon *daemon)
{
    daemon->give_up_timer = main_timer_new(daemon->main_loop, on_give_up, NULL);
    daemon->alive_ms = service_watchdog_ms();
    if (daemon->alive_ms <= 0)
        return;
    daemon->alive_timer = main_timer_new(daemon->main_loop, on_alive_timer, daemon);
    main_timer_once(daemon->alive_timer, daemon->alive_ms);
}

/* Not before the first addresses are there: the map of the agent before has them. */
static void start_maps(struct daemon *daemon)
{
    const struct map_keeper_host host = {present_snapshot, daemon};
    daemon->fallback = map_keeper_new(daemon->main_loop, &MAP_OF_FALLBACK, &host);
    daemon->decisions = map_keeper_new(daemon->main_loop, &MAP_OF_DECISIONS, &host);
    configure_maps(daemon, &publisher_configuration(daemon->publisher)->haproxy);
}

static void fail(struct daemon *daemon)
{
    daemon->exit_code = EXIT_WRONG;
    main_loop_stop(daemon->main_loop);
}

static bool start_threads(struct daemon *daemon, struct error_text *why)
{
    if (loops_start(daemon->loops, why) != ERROR_OK)
        return false;
    daemon->acceptor =
        acceptor_start(daemon->listeners, daemon->listener_count, daemon->loops, why);
    if (daemon->acceptor == NULL)
        loops_stop(daemon->loops);
    return daemon->acceptor != NULL;
}

static void serve(struct daemon *daemon)
{
    struct error_text why;
    publisher_attach(daemon->publisher, daemon->loops);
    if (!start_threads(daemon, &why)) {
        log_event(LOG_ERROR, "cannot_start", LOG_TEXT("reason", why.text));
        fail(daemon);
        return;
    }
    daemon->standstill = standstill_new(daemon->main_loop, daemon->loops, daemon->certificates);
    daemon->live.standstill = daemon->standstill;
    daemon->state = STATE_SERVING;
    daemon->live.serving = true;
    const struct snapshot *snapshot = publisher_snapshot(daemon->publisher);
    log_event(LOG_INFO, "ready", LOG_NUMBER("generation", snapshot->generation),
              LOG_NUMBER("tenants", route_table_tenant_count(snapshot->table)),
              LOG_NUMBER("loops", loops_count(daemon->loops)));
    start_maps(daemon);
    tell_ready(daemon);
    memory_trim();
}

/* Serves when the first addresses are there, or when that takes too long. */
static void on_start_timer(void *context)
{
    struct daemon *daemon = context;
    if (daemon->state != STATE_STARTING)
        return; /* a signal of this very turn has ended it before it began */
    if (publisher_pending(daemon->publisher) > 0 && clock_mono_ms() < daemon->start_limit_ms)
        main_timer_once(daemon->start_timer, FIRST_NAMES_LOOK_MS);
    else
        serve(daemon);
}

static void watch_signals(struct daemon *daemon)
{
    struct main_loop *loop = daemon->main_loop;
    signal(SIGPIPE, SIG_IGN);
    daemon->signals[0] = main_signal_new(loop, SIGTERM, on_stop_signal, daemon);
    daemon->signals[1] = main_signal_new(loop, SIGINT, on_stop_signal, daemon);
    daemon->signals[2] = main_signal_new(loop, SIGHUP, on_reload_signal, daemon);
    daemon->signals[3] = main_signal_new(loop, SIGUSR1, on_dump_signal, daemon);
    daemon->stopped_waker = main_waker_new(loop, on_stopped, daemon);
}

static bool start(struct daemon *daemon, const char *path)
{
    struct error_text why;
    daemon->main_loop = main_loop_new(&why);
    if (daemon->main_loop == NULL) {
        terminal_complain("%s", why.text);
        return false;
    }
    watch_signals(daemon);
    if (!read_configuration(daemon, path))
        return false;
    tell_of_root(publisher_configuration(daemon->publisher)->acme.state_dir);
    raise_descriptor_limit();
    if (!open_listeners(daemon) || !make_loops(daemon))
        return false;
    start_admin(daemon);
    open_metrics(daemon);
    if (!start_certificates(daemon))
        return false;
    start_pages(daemon);
    start_keys(daemon);
    start_history(daemon);
    daemon->seals = seals_new(daemon->main_loop, daemon->publisher);
    start_watching(daemon, path);
    start_timers(daemon);
    daemon->start_limit_ms = clock_mono_ms() + FIRST_NAMES_MS;
    daemon->start_timer = main_timer_new(daemon->main_loop, on_start_timer, daemon);
    main_timer_once(daemon->start_timer, 0);
    return true;
}

/* Nobody looks at signals any more. One more ends the process as it is, should a thread that is
 * waited for not end: what it writes is whole, or not there. */
static void let_signals_end(struct daemon *daemon)
{
    for (size_t i = 0; i < STOP_SIGNALS; i++) {
        main_signal_free(daemon->signals[i]);
        daemon->signals[i] = NULL;
    }
}

/* Everything in reverse; parts that were never made are NULL. */
static void stop(struct daemon *daemon)
{
    unsigned count = daemon->loops != NULL ? loops_count(daemon->loops) : 0;

    let_signals_end(daemon);
    close_listeners(daemon);
    free(daemon->listeners);
    stop_watching(daemon);
    standstill_free(daemon->standstill);
    certificates_stop(daemon->certificates);
    key_keeper_free(daemon->keys);
    haproxy_needs_free(daemon->needs);
    restart_keys_free(daemon->restart);
    haproxy_files_free(daemon->live.haproxy_files);
    map_keeper_free(daemon->fallback);
    map_keeper_free(daemon->decisions);
    admin_files_free(daemon->files);
    admin_server_free(daemon->admin);
    free(daemon->certificate_refusals);
    history_close(daemon->live.history);
    owner_keeper_free(daemon->owners);
    pages_free(daemon->pages);
    seals_free(daemon->seals);
    main_timer_free(daemon->start_timer);
    main_timer_free(daemon->alive_timer);
    main_timer_free(daemon->give_up_timer);
    troubles_free(daemon->troubles);
    trace_dump_free(daemon->dump);
    if (daemon->publisher != NULL)
        publisher_detach(daemon->publisher);
    if (daemon->loops != NULL)
        loops_join(daemon->loops);
    for (unsigned i = 0; daemon->responders != NULL && i < count; i++)
        responder_free(daemon->responders[i]);
    free(daemon->responders);
    trace_free(daemon->trace);
    loops_free(daemon->loops);
    label_desk_free(daemon->desk);
    publisher_free(daemon->publisher);
    for (size_t i = 0; i < COUNT_OF(daemon->signals); i++)
        main_signal_free(daemon->signals[i]);
    main_waker_free(daemon->stopped_waker);
    main_loop_free(daemon->main_loop);
}

int daemon_run(const char *configuration_path)
{
    struct daemon daemon = {.state = STATE_STARTING, .exit_code = EXIT_GOOD};
    if (start(&daemon, configuration_path)) {
        main_loop_run(daemon.main_loop);
        log_event(LOG_INFO, "stop");
    } else {
        daemon.exit_code = EXIT_WRONG;
    }
    stop(&daemon);
    return daemon.exit_code;
}
