/* What needs somebody to look at it: see notices.h. */
#include "serving/notices.h"

#include "core/clock.h"
#include "core/memory.h"
#include "net/listener.h"
#include "serving/haproxy_files.h"
#include "serving/key_keeper.h"
#include "serving/report.h"
#include "serving/restart_keys.h"
#include "serving/standstill.h"
#include "sources/watch.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    NOTICES_OF_A_KIND_MAX = 20,
    PASSING_TOLD_MS = 10 * 60 * 1000, /* there may be no descriptor for who asks, either */
};

/* Takes `message` and `hint`. */
static void add(struct json *list, const char *kind, char *message, char *hint)
{
    struct json *one = json_new_object();
    json_put_text(one, "kind", slice_of(kind));
    json_put_text(one, "message", slice_of(message));
    json_put_text(one, "hint", slice_of(hint));
    json_append(list, one);
    free(message);
    free(hint);
}

static void add_restart(struct json *list, const struct live *live)
{
    const char *key;
    for (size_t i = 0; (key = restart_keys_waiting(live->restart, i)) != NULL; i++)
        add(list, NOTICE_RESTART_NEEDED,
            memory_format("\"%s\" has changed in the global file since the service was started, "
                          "and what it said then is in force",
                          key),
            memory_copy_text(SLICE("systemctl restart owui-spoa")));
}

static void add_standstills(struct json *list, const struct live *live)
{
    struct standing_thread thread;
    for (size_t i = 0; standstill_at(live->standstill, i, &thread); i++)
        add(list, NOTICE_THREAD_STANDS_STILL,
            memory_format("the thread %s has stood still for %lld s: %s", thread.name, thread.for_s,
                          thread.is_loop ? "requests on its connections are not answered"
                                         : "no certificate is obtained, renewed or given to "
                                           "HAProxy, and nobody is told about them"),
            memory_format("systemctl restart owui-spoa; before that, head "
                          "/proc/%ld/task/*/{comm,wchan} tells what it waits for: a disk that does "
                          "not answer, or else a bug",
                          (long)getpid()));
}

/* How long ago it was, when that is not long; -1: it was never, or long ago. */
static int64_t lately_s(int64_t when_mono_ms)
{
    int64_t ago_ms = clock_mono_ms() - when_mono_ms;
    return when_mono_ms == 0 || ago_ms > PASSING_TOLD_MS ? -1 : ago_ms / 1000;
}

static void add_pauses(struct json *list, const struct live *live)
{
    int64_t last_mono_ms = 0;
    for (size_t i = 0; i < live->listener_count; i++) {
        int64_t paused_mono_ms = listener_paused_mono_ms(live->listeners[i]);
        last_mono_ms = paused_mono_ms > last_mono_ms ? paused_mono_ms : last_mono_ms;
    }
    int64_t ago_s = lately_s(last_mono_ms);
    if (ago_s < 0)
        return;
    add(list, NOTICE_ACCEPT_PAUSED,
        memory_format("HAProxy's connections had to wait because they could not be accepted, %lld "
                      "s ago for the last time",
                      (long long)ago_s),
        memory_copy_text(SLICE("journalctl -u owui-spoa -g accept_paused has the reason; where it "
                               "is descriptors, raise LimitNOFILE= of the service (systemctl edit "
                               "owui-spoa)")));
}

static void add_full(struct json *list, const struct live *live)
{
    int64_t ago_s = lately_s(loops_gave_way_mono_ms(live->loops));
    if (ago_s < 0)
        return;
    add(list, NOTICE_CONNECTIONS_FULL,
        memory_format("there were as many connections to the agent's socket as descriptors allow: "
                      "%llu that asked nothing were closed to make room for new ones, %lld s ago "
                      "for the last time",
                      (unsigned long long)loops_counter(live->loops, LOOP_CLOSED_GAVE_WAY),
                      (long long)ago_s),
        memory_copy_text(SLICE("journalctl -u owui-spoa -g connections_full names one of the "
                               "processes or addresses that had them; where it is HAProxy, raise "
                               "LimitNOFILE= of the service (systemctl edit owui-spoa)")));
}

static void add_watch(struct json *list, const struct live *live)
{
    char *trouble = live->watch != NULL ? watch_trouble(live->watch) : NULL;
    if (trouble == NULL)
        return;
    add(list, NOTICE_CANNOT_WATCH,
        memory_format("%s: what changes there is in force some seconds later", trouble),
        memory_copy_text(SLICE("journalctl -u owui-spoa -g cannot_watch has the reason; where "
                               "others have used them up, raise fs.inotify.max_user_instances or "
                               "fs.inotify.max_user_watches (sysctl)")));
    free(trouble);
}

static void add_keys(struct json *list, const struct live *live)
{
    struct key_source source;
    size_t count = 0;
    for (size_t i = 0; key_keeper_source(live->keys, i, &source); i++) {
        if (source.problem == NULL || ++count > NOTICES_OF_A_KIND_MAX)
            continue;
        add(list, NOTICE_JWKS_FAILED,
            memory_format("the keys of %s cannot be had: %s; %s", source.name, source.problem,
                          source.has_keys ? "the last good ones stay in force"
                                          : "who comes with a token of this issuer is nobody"),
            memory_copy_text(SLICE("\"jwks\" of the tenant's \"identity\" is to lead to the "
                                   "issuer's keys, and \"ca_file\" of the global file's \"jwks\" "
                                   "to who signs its certificate")));
    }
}

static void add_haproxy(struct json *list, const struct live *live)
{
    const struct configuration *configuration = publisher_configuration(live->publisher);
    const char *missing = haproxy_files_missing(live->haproxy_files, configuration,
                                                publisher_snapshot(live->publisher));
    bool differs = report_haproxy_still_differs(haproxy_files_written_ms(&configuration->haproxy));
    if (missing == NULL && !differs)
        return;
    char *path = hap_config_path(&configuration->haproxy);
    char *message =
        missing != NULL
            ? memory_format("%s, or the SPOE file beside it, lacks what the configuration asks "
                            "for: %s",
                            path, missing)
            : memory_format("%s is not what the configuration asks for since its last change",
                            path);
    add(list, NOTICE_HAPROXY_CONFIG_DIFFERS, message, haproxy_files_fix(configuration));
    free(path);
}

struct json *notices_list(const struct live *live)
{
    struct json *list = json_new_array();
    add_standstills(list, live);
    add_pauses(list, live);
    add_full(list, live);
    add_watch(list, live);
    add_restart(list, live);
    add_keys(list, live);
    add_haproxy(list, live);
    return list;
}

size_t notices_count(const struct json *list, const char *kind)
{
    size_t count = 0;
    for (size_t i = 0; i < json_count(list); i++) {
        struct slice text = {0};
        count += json_read_text(json_get(json_at(list, i), "kind"), &text) &&
                 slice_equal(text, slice_of(kind));
    }
    return count;
}

void notices_put(struct json *object, const struct live *live)
{
    const struct hap_config *haproxy = &publisher_configuration(live->publisher)->haproxy;
    struct json *list = notices_list(live);
    json_put_bool(object, "haproxy_config_differs",
                  notices_count(list, NOTICE_HAPROXY_CONFIG_DIFFERS) > 0);
    json_put_integer(object, "haproxy_config_written", haproxy_files_written_ms(haproxy) / 1000);
    json_put(object, "notices", list);
}
