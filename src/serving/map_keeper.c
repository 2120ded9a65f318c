/* Maps of HAProxy's, in their files and in HAProxies: see map_keeper.h. */
#include "serving/map_keeper.h"

#include "core/log.h"
#include "core/memory.h"
#include "serving/map_file.h"
#include "sidecar/runtime_client.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    /* At HAProxies, and at what changes by itself: windows, replicas. */
    LOOK_EVERY_MS = 5000,
    /* At one that does not answer. */
    LOOK_AGAIN_MS = 250,
    COMMAND_TIMEOUT_MS = 10000,
};

/* A map in the keeper's hands, and in those of HAProxies that have it or are getting it. */
struct version {
    unsigned references;
    struct runtime_map *map;
};

struct haproxy {
    struct map_keeper *keeper;
    struct runtime_target target;
    struct runtime_process process; /* that `has` is about; number 0 when nobody answered */
    size_t room; /* for a command, as it was last told: what pieces are cut to. Before each that is
                  * not short HAProxy is asked anew: a reload may have made it smaller since */
    struct version *has;  /* NULL: who knows */
    struct version *goal; /* that is on its way */
    struct runtime_map_push push;
    struct runtime_exchange *exchange;
    enum error told; /* the last failure in the log, so that each is told once */
    uint8_t command[RUNTIME_COMMAND_MAX_BYTES];
};

struct map_keeper {
    struct main_loop *loop;
    const struct map_kind *kind;
    struct map_keeper_host host;
    char *path;   /* NULL: none was ever wanted */
    bool is_off;  /* not wanted any more: empty */
    bool changes; /* the map may be another one later */
    struct version *latest;
    bool file_is_old;
    enum error file_told;
    struct haproxy **haproxies;
    size_t haproxy_count;
    struct main_timer *collect_timer;
    bool collecting;
    struct main_timer *look_timer;
    struct main_timer *again_timer; /* at those that did not answer */
};

static struct version *version_ref(struct version *version)
{
    if (version != NULL)
        version->references++;
    return version;
}

static void version_drop(struct version **version)
{
    if (*version != NULL && --(*version)->references == 0) {
        runtime_map_free((*version)->map);
        free(*version);
    }
    *version = NULL;
}

/* -- One HAProxy ------------------------------------------------------------------------------ */

static void begin(struct haproxy *haproxy);

static void fail(struct haproxy *haproxy, enum error error, const char *reason)
{
    version_drop(&haproxy->goal);
    version_drop(&haproxy->has);
    if (error != haproxy->told)
        log_event(LOG_WARNING, haproxy->keeper->kind->not_loaded,
                  LOG_TEXT("socket", haproxy->target.path), LOG_TEXT("reason", reason));
    haproxy->told = error;
}

static void send(struct haproxy *haproxy, struct slice command, runtime_answer_fn *on_answer)
{
    haproxy->exchange = runtime_exchange_new(haproxy->keeper->loop, &haproxy->target, command,
                                             COMMAND_TIMEOUT_MS, NULL, on_answer, haproxy);
}

static void on_push_answer(void *context, enum error error, const char *reason,
                           struct slice answer);

/* A HAProxy whose configuration has lost the map, as the agent's has. */
static bool is_well_without(const struct haproxy *haproxy)
{
    return haproxy->keeper->is_off && haproxy->push.error == ERROR_NOT_FOUND;
}

static void go_on(struct haproxy *haproxy, enum runtime_step step, const struct writer *command)
{
    if (step == RUNTIME_SEND) {
        send(haproxy, writer_written(command), on_push_answer);
        return;
    }
    if (step == RUNTIME_FAILED && !is_well_without(haproxy)) {
        fail(haproxy, haproxy->push.error, haproxy->push.reason.text);
        return;
    }
    if (step == RUNTIME_DONE)
        log_event(LOG_DEBUG, haproxy->keeper->kind->loaded,
                  LOG_TEXT("socket", haproxy->target.path),
                  LOG_NUMBER("entries", haproxy->goal->map->count),
                  LOG_NUMBER("whole", haproxy->push.whole));
    haproxy->told = ERROR_OK;
    version_drop(&haproxy->has);
    haproxy->has = haproxy->goal;
    haproxy->goal = NULL;
    begin(haproxy);
}

static void on_push_answer(void *context, enum error error, const char *reason, struct slice answer)
{
    struct haproxy *haproxy = context;
    haproxy->exchange = NULL;
    struct writer command = writer_of(haproxy->command, sizeof(haproxy->command));
    enum runtime_step step = error == ERROR_OK
                                 ? runtime_map_answer(&haproxy->push, answer, &command)
                                 : runtime_map_broken(&haproxy->push, error, reason, &command);
    go_on(haproxy, step, &command);
}

/* Brings it to the latest map, unless something is on its way. */
static void begin(struct haproxy *haproxy)
{
    struct map_keeper *keeper = haproxy->keeper;
    if (haproxy->exchange != NULL || haproxy->has == keeper->latest || haproxy->process.pid == 0)
        return;
    haproxy->goal = version_ref(keeper->latest);
    haproxy->push = (struct runtime_map_push){
        .prefix = haproxy->target.prefix,
        .file = slice_of(keeper->path),
        .room = haproxy->room,
        .before = haproxy->has != NULL ? haproxy->has->map : NULL,
        .now = haproxy->goal->map,
    };
    struct writer command = writer_of(haproxy->command, sizeof(haproxy->command));
    enum runtime_step step = runtime_map_start(&haproxy->push, &command);
    go_on(haproxy, step, &command);
}

static void on_info(void *context, enum error error, const char *reason, struct slice answer)
{
    struct haproxy *haproxy = context;
    haproxy->exchange = NULL;
    struct runtime_process process, before = haproxy->process;
    if (error != ERROR_OK || !runtime_process_read(answer, &process)) {
        haproxy->process = (struct runtime_process){0};
        main_timer_once(haproxy->keeper->again_timer, LOOK_AGAIN_MS);
        fail(haproxy, error != ERROR_OK ? error : ERROR_PROTOCOL,
             error != ERROR_OK ? reason : "HAProxy does not tell its process id");
        return;
    }
    haproxy->room = runtime_room(answer);
    haproxy->process = process;
    if (runtime_process_differs(&process, &before))
        version_drop(&haproxy->has); /* another process, which has what its file held */
    begin(haproxy);
}

static void look_at(struct haproxy *haproxy)
{
    if (haproxy->exchange != NULL)
        return;
    char *command = runtime_target_commands(&haproxy->target, "show info", RUNTIME_SHOW_BUFFER);
    send(haproxy, slice_of(command), on_info);
    free(command);
}

static void haproxy_free(struct haproxy *haproxy)
{
    runtime_exchange_free(haproxy->exchange);
    version_drop(&haproxy->goal);
    version_drop(&haproxy->has);
    runtime_target_fini(&haproxy->target);
    free(haproxy);
}

/* -- The map ---------------------------------------------------------------------------------- */

static enum error write_text(const struct map_keeper *keeper, struct error_text *why)
{
    size_t size;
    char *text = runtime_map_text(keeper->latest->map, keeper->kind->comment, &size);
    enum error error = map_file_write(keeper->path, slice_from(text, size), why);
    free(text);
    return error;
}

static void write_file(struct map_keeper *keeper)
{
    struct error_text why;
    enum error error = keeper->kind->comment == NULL ? map_file_ensure(keeper->path, &why)
                                                     : write_text(keeper, &why);
    keeper->file_is_old = error != ERROR_OK;
    if (error != ERROR_OK && error != ERROR_BUSY && error != keeper->file_told)
        log_event(LOG_ERROR, keeper->kind->not_written, LOG_TEXT("file", keeper->path),
                  LOG_TEXT("reason", why.text));
    keeper->file_told = error;
}

static struct runtime_map *make_map(struct map_keeper *keeper)
{
    const struct snapshot *snapshot = keeper->host.snapshot(keeper->host.context);
    if (keeper->is_off || snapshot == NULL)
        return memory_new(sizeof(struct runtime_map));
    return keeper->kind->make(snapshot, &keeper->changes);
}

static void renew(struct map_keeper *keeper)
{
    struct runtime_map *map = make_map(keeper);
    if (keeper->latest != NULL && runtime_map_equal(map, keeper->latest->map)) {
        runtime_map_free(map);
        return;
    }
    version_drop(&keeper->latest);
    keeper->latest = memory_new(sizeof(*keeper->latest));
    *keeper->latest = (struct version){.references = 1, .map = map};
    write_file(keeper);
    for (size_t i = 0; i < keeper->haproxy_count; i++)
        begin(keeper->haproxies[i]);
}

static void on_collect(void *context)
{
    struct map_keeper *keeper = context;
    keeper->collecting = false;
    renew(keeper);
}

void map_keeper_look(struct map_keeper *keeper)
{
    if (keeper == NULL || keeper->path == NULL || keeper->collecting)
        return;
    if (keeper->kind->collect_ms == 0) {
        renew(keeper);
        return;
    }
    keeper->collecting = true;
    main_timer_once(keeper->collect_timer, keeper->kind->collect_ms);
}

/* Without the file, HAProxy would not start. */
static bool has_lost_file(const struct map_keeper *keeper)
{
    return !keeper->is_off && access(keeper->path, F_OK) != 0 && errno == ENOENT;
}

/* Not more than that: the map may take long to make. */
static void on_again(void *context)
{
    struct map_keeper *keeper = context;
    for (size_t i = 0; i < keeper->haproxy_count; i++)
        if (keeper->haproxies[i]->process.pid == 0)
            look_at(keeper->haproxies[i]);
}

static void on_look(void *context)
{
    struct map_keeper *keeper = context;
    if (keeper->changes)
        renew(keeper);
    if (keeper->file_is_old || has_lost_file(keeper))
        write_file(keeper);
    for (size_t i = 0; i < keeper->haproxy_count; i++)
        look_at(keeper->haproxies[i]);
    main_timer_once(keeper->look_timer, LOOK_EVERY_MS);
}

/* -- Life ------------------------------------------------------------------------------------- */

static void drop_haproxies(struct map_keeper *keeper)
{
    for (size_t i = 0; i < keeper->haproxy_count; i++)
        haproxy_free(keeper->haproxies[i]);
    free(keeper->haproxies);
    keeper->haproxies = NULL;
    keeper->haproxy_count = 0;
}

static void take_haproxies(struct map_keeper *keeper, const struct hap_config *config)
{
    struct error_text why;
    drop_haproxies(keeper);
    keeper->haproxies = memory_new((config->runtime_count + 1) * sizeof(*keeper->haproxies));
    for (size_t i = 0; i < config->runtime_count; i++) {
        struct haproxy *haproxy = memory_new(sizeof(*haproxy));
        haproxy->keeper = keeper;
        if (runtime_target_parse(slice_of(config->runtime[i]), &haproxy->target, &why) ==
            ERROR_OK) {
            keeper->haproxies[keeper->haproxy_count++] = haproxy;
            look_at(haproxy);
        } else {
            log_event(LOG_ERROR, keeper->kind->not_loaded, LOG_TEXT("socket", config->runtime[i]),
                      LOG_TEXT("reason", why.text));
            free(haproxy);
        }
    }
}

bool map_keeper_configure(struct map_keeper *keeper, const struct hap_config *haproxy)
{
    if (keeper == NULL)
        return true;
    const char *wanted = keeper->kind->path(haproxy);
    if (keeper->path == NULL && wanted == NULL)
        return true;
    if (keeper->path == NULL)
        keeper->path = memory_copy_text(slice_of(wanted));
    keeper->is_off = wanted == NULL;
    renew(keeper);
    take_haproxies(keeper, haproxy);
    main_timer_once(keeper->look_timer, LOOK_EVERY_MS);
    return wanted == NULL || strcmp(keeper->path, wanted) == 0;
}

struct map_keeper *map_keeper_new(struct main_loop *main_loop, const struct map_kind *kind,
                                  const struct map_keeper_host *host)
{
    struct map_keeper *keeper = memory_new(sizeof(*keeper));
    keeper->loop = main_loop;
    keeper->kind = kind;
    keeper->host = *host;
    keeper->collect_timer = main_timer_new(main_loop, on_collect, keeper);
    keeper->look_timer = main_timer_new(main_loop, on_look, keeper);
    keeper->again_timer = main_timer_new(main_loop, on_again, keeper);
    return keeper;
}

void map_keeper_free(struct map_keeper *keeper)
{
    if (keeper == NULL)
        return;
    drop_haproxies(keeper);
    version_drop(&keeper->latest);
    main_timer_free(keeper->collect_timer);
    main_timer_free(keeper->look_timer);
    main_timer_free(keeper->again_timer);
    free(keeper->path);
    free(keeper);
}
