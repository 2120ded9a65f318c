/* `owui-spoa upgrade`: another version of a tenant's Open WebUI, in the order that its guide asks
 * for: nobody is let in, what is under way ends, the operator migrates, all servers are ready
 * again, everybody is let in.
 *
 * It is a program of questions to the daemon, to HAProxy and to the servers, one after the other,
 * and keeps no state of its own: what was interrupted is gone on with by beginning again.
 */
#include "admin/admin_client.h"
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/program.h"
#include "cli/terminal.h"
#include "cli/view.h"
#include "conf/own_address.h"
#include "core/clock.h"
#include "core/memory.h"
#include "entrance.h"
#include "readiness.h"
#include "route/replica.h"
#include "streams.h"
#include "upgrade_lock.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum {
    WAIT_DEFAULT_S = 300,
    READY_DEFAULT_S = 900,
    SECONDS_MAX = 24 * 3600,
    POLL_MS = 1000,
    TELL_EVERY_MS = 15 * 1000,
    CHILD_MS = 100,
    SERVER_MS = 5000,
    /* Whoever is not told that a file has changed looks every five seconds. */
    AGENTS_MS = 10000,
    AGENT_POLL_MS = 100,
    /* On a socket on which nothing but pings has come for so long, no answer is being written. */
    QUIET_POLLS = 5,
    SIGNALS = 3,
};

struct wish {
    const char *configuration;
    const char *socket;
    const char *name;
    const char *to; /* a version to switch to; NULL: the same servers */
    unsigned wait_s;
    unsigned ready_s;
    bool keeps_sockets;
    bool yes;
    bool json;
    char **command; /* up to NULL; NULL: the operator does it */
};

enum stage {
    STAGE_BEFORE,  /* nothing has been changed */
    STAGE_WAITING, /* it is in maintenance, and something may be under way */
    STAGE_STOPPED, /* nobody uses it any more */
    STAGE_READY,   /* the servers are ready, and nobody is let in yet */
    STAGE_DONE,
};

struct upgrade {
    const struct wish *wish;
    struct configuration *configuration;
    char *socket;
    int lock; /* negative: it has not come to that */
    struct main_loop *loop;
    struct main_timer *timer;
    struct main_signal *signals[SIGNALS];
    struct http_client *client;
    struct streams *streams;
    struct json *tenant; /* as the daemon last told of it */
    struct readiness *servers;
    struct entrance *entrance;
    enum stage stage;
    bool was_in_maintenance;
    bool is_interrupted;
    bool is_unanswered;          /* nobody told of the tenant */
    bool is_unknown;             /* nobody told whether maintenance has begun, or ended */
    bool stays_in_maintenance;   /* when it is done, by its "window" */
    struct entrance_told met;    /* by whoever asked HAProxy, before the operator's turn */
    bool was_away;               /* a server has been, since the operator's turn began */
    struct json *before, *after; /* what the servers told, by URL */
    struct streams_told left;
    bool is_left_known; /* all HAProxys have answered the last time */
    size_t closed;
    int64_t waited_ms;
};

/* -- Telling ----------------------------------------------------------------------------------- */

/* Progress is for people; where programs read what comes, it goes beside it. */
static void say(const struct upgrade *upgrade, const char *format, ...) PRINTF_LIKE(2, 3);
static void say(const struct upgrade *upgrade, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = memory_format_list(format, arguments);
    va_end(arguments);
    if (!upgrade->wish->json && isatty(STDOUT_FILENO))
        terminal_wrap("", 0, text, terminal_columns());
    else
        fprintf(upgrade->wish->json ? stderr : stdout, "%s\n", text);
    fflush(stdout);
    free(text);
}

/* Somebody else upgrades, and tells nobody. */
static bool is_by_others(const struct wish *wish)
{
    return wish->yes && wish->command == NULL && wish->to == NULL;
}

/* Commands that are told to be typed ask the same daemon. */
static char *same_daemon(const struct wish *wish)
{
    bool is_usual = strcmp(wish->configuration, DEFAULT_CONFIGURATION) == 0;
    return memory_format("%s%s%s%s", is_usual ? "" : " -c ", is_usual ? "" : wish->configuration,
                         wish->socket != NULL ? " --socket " : "",
                         wish->socket != NULL ? wish->socket : "");
}

/* What others have changed by now would be waited for in vain. */
static void say_ways(const struct wish *wish, const char *daemon)
{
    if (is_by_others(wish))
        terminal_complain_more(
            "  ", "to go on, once the new version is in place: owui-spoa upgrade %s%s -- true",
            wish->name, daemon);
    else
        terminal_complain_more("  ", "to go on: owui-spoa upgrade %s%s%s%s", wish->name,
                               wish->to != NULL ? " --to " : "", wish->to != NULL ? wish->to : "",
                               daemon);
    terminal_complain_more(
        "  ", "to end it, once its servers are ready: owui-spoa maintenance %s --off%s", wish->name,
        daemon);
}

/* There is an agent that knows nothing of the maintenance. */
static bool lets_in(const struct entrance_told *told)
{
    return told->shut > 0 && told->let_in + told->others > 0;
}

static bool is_suspended(const struct upgrade *upgrade)
{
    bool is = false;
    return json_read_bool(json_get(upgrade->tenant, "suspended"), &is) && is;
}

static const char *what_users_get(const struct upgrade *upgrade)
{
    return lets_in(&upgrade->met)  ? "but not for all of HAProxy's agents"
           : is_suspended(upgrade) ? "and suspended, which is what its users are told"
                                   : "its users get 503";
}

/* Where it stands, and both ways from there. */
static void say_state(const struct upgrade *upgrade)
{
    const struct wish *wish = upgrade->wish;
    char *daemon = same_daemon(wish);
    if (upgrade->is_unknown) {
        terminal_complain("whether %s is in maintenance is not known: owui-spoa tenants %s%s",
                          wish->name, wish->name, daemon);
    } else if (upgrade->stage == STAGE_BEFORE) {
        terminal_complain("nothing was changed");
    } else if (upgrade->stage != STAGE_DONE) {
        terminal_complain("%s is in maintenance, %s%s", wish->name, what_users_get(upgrade),
                          upgrade->stage == STAGE_READY ? "; its servers are ready"
                          : upgrade->stage == STAGE_STOPPED
                              ? "; nothing of it is waited for any more"
                              : "");
        say_ways(wish, daemon);
        if (wish->to != NULL)
            terminal_complain_more("  ", "its version in force: %.*s",
                                   SLICE_PRINT(json_get_text(upgrade->tenant, "version")));
    }
    free(daemon);
}

/* -- Waiting ----------------------------------------------------------------------------------- */

static void on_signal(void *context)
{
    struct upgrade *upgrade = context;
    upgrade->is_interrupted = true;
    main_loop_stop(upgrade->loop);
}

static void stop_loop(void *context)
{
    main_loop_stop(context);
}

/* False when it was interrupted. */
static bool let_pass(struct upgrade *upgrade, int64_t ms)
{
    if (upgrade->is_interrupted)
        return false;
    main_timer_once(upgrade->timer, ms);
    main_loop_run(upgrade->loop);
    main_timer_stop(upgrade->timer);
    return !upgrade->is_interrupted;
}

/* -- The daemon -------------------------------------------------------------------------------- */

static void take_tenant(struct upgrade *upgrade, struct json *tenant)
{
    json_free(upgrade->tenant);
    upgrade->tenant = tenant;
    readiness_free(upgrade->servers);
    upgrade->servers =
        readiness_new(upgrade->loop, upgrade->client, json_get(upgrade->tenant, "servers"));
}

static char *tenant_path(const struct upgrade *upgrade)
{
    return memory_format("/v1/tenants/%s", upgrade->wish->name);
}

static bool ask_tenant(struct upgrade *upgrade)
{
    int code;
    char *path = tenant_path(upgrade);
    struct json *tenant = ask(upgrade->socket, "GET", path, NULL, &code);
    free(path);
    upgrade->is_unanswered = tenant == NULL && code == EXIT_WRONG;
    if (tenant != NULL)
        take_tenant(upgrade, tenant);
    return tenant != NULL;
}

/* Where its servers are by now: a container that was made anew may have another address. A daemon
 * that does not answer just now is asked again the next time. */
static bool look_again(struct upgrade *upgrade)
{
    struct error_text why;
    unsigned status = 0;
    char *path = tenant_path(upgrade);
    struct json *tenant = admin_request(upgrade->socket, "GET", path, NULL, &status, &why);
    free(path);
    bool is_told = tenant != NULL && status == 200;
    if (is_told)
        take_tenant(upgrade, tenant);
    else
        json_free(tenant);
    return is_told;
}

static bool is_in_maintenance(const struct upgrade *upgrade)
{
    bool is = false;
    return json_read_bool(json_get(upgrade->tenant, "maintenance"), &is) && is;
}

static bool has_window(const struct upgrade *upgrade)
{
    const struct json *maintenance =
        json_get(json_get(upgrade->tenant, "definition"), "maintenance");
    return json_type_of(json_get(maintenance, "window")) == JSON_TYPE_OBJECT;
}

/* What the command would exit with for it. */
static int post(struct upgrade *upgrade, const char *what, struct json *body)
{
    int code;
    char *path = memory_format("/v1/tenants/%s/%s", upgrade->wish->name, what);
    struct json *answer = ask(upgrade->socket, "POST", path, body, &code);
    free(path);
    json_free(body);
    json_free(answer);
    return code;
}

static bool set_maintenance(struct upgrade *upgrade, bool on)
{
    struct json *body = json_new_object();
    json_put_bool(body, "on", on);
    int code = post(upgrade, "maintenance", body);
    upgrade->is_unknown = code == EXIT_WRONG;
    return code == EXIT_GOOD;
}

static bool switch_version(struct upgrade *upgrade)
{
    struct json *body = json_new_object();
    json_put_text(body, "to", slice_of(upgrade->wish->to));
    return post(upgrade, "switch", body) == EXIT_GOOD && ask_tenant(upgrade);
}

/* -- The servers ------------------------------------------------------------------------------- */

static void put_states(const struct upgrade *upgrade, struct json **told)
{
    json_free(*told);
    *told = json_new_object();
    for (size_t i = 0; i < readiness_count(upgrade->servers); i++) {
        const struct server_state *state = readiness_at(upgrade->servers, i);
        struct json *one = json_new_object();
        json_put_bool(one, "ready", state->is_ready);
        if (state->version[0] != '\0')
            json_put_text(one, "version", slice_of(state->version));
        if (state->deployment[0] != '\0')
            json_put_text(one, "deployment_id", slice_of(state->deployment));
        if (!state->is_ready)
            json_put_text(one, "why", slice_of(state->why));
        json_put(*told, state->url, one);
    }
}

static void say_states(const struct upgrade *upgrade, const char *when)
{
    for (size_t i = 0; i < readiness_count(upgrade->servers); i++) {
        const struct server_state *state = readiness_at(upgrade->servers, i);
        if (state->is_ready)
            say(upgrade, "%s %s is ready, version %s", when, state->url, state->version);
        else
            say(upgrade, "%s %s is not ready: %s", when, state->url, state->why);
    }
}

/* All are ready, and of one version: two must never have one database. */
static bool all_ready(const struct upgrade *upgrade, const char **why)
{
    const char *to = upgrade->wish->to;
    *why = "the version that was switched to is not in force: owui-spoa status tells why";
    if (to != NULL && !slice_equal(json_get_text(upgrade->tenant, "version"), slice_of(to)))
        return false;
    *why = "it is not in force: owui-spoa status tells why";
    if (readiness_count(upgrade->servers) == 0)
        return false;
    for (size_t i = 0; i < readiness_count(upgrade->servers); i++) {
        *why = "not all servers are ready";
        if (!readiness_at(upgrade->servers, i)->is_ready)
            return false;
        *why = "its servers are not all of one version, which Open WebUI's guide forbids";
        if (strcmp(readiness_at(upgrade->servers, i)->version,
                   readiness_at(upgrade->servers, 0)->version) != 0)
            return false;
    }
    return true;
}

/* Whether the operator has done something: a server was away, or is another one than before. */
static bool is_another(struct upgrade *upgrade)
{
    for (size_t i = 0; i < readiness_count(upgrade->servers); i++) {
        const struct server_state *state = readiness_at(upgrade->servers, i);
        const struct json *before = json_get(upgrade->before, state->url);
        upgrade->was_away |= !state->is_ready;
        if (before == NULL ||
            !slice_equal(json_get_text(before, "version"), slice_of(state->version)) ||
            !slice_equal(json_get_text(before, "deployment_id"), slice_of(state->deployment)))
            return true;
    }
    return upgrade->was_away;
}

/* -- Other agents ------------------------------------------------------------------------------ */

/* For free(). */
static char *other_agents(const struct upgrade *upgrade)
{
    char *others = own_address_others(upgrade->configuration);
    return others != NULL ? others : memory_copy_text(SLICE("one that \"agents\" does not name"));
}

static void say_let_in(const struct upgrade *upgrade)
{
    const struct entrance_told *met = &upgrade->met;
    size_t in = met->let_in + met->others;
    char *others = other_agents(upgrade);
    terminal_complain("%zu of %zu requests were let in, and answered with %s: HAProxy asks another "
                      "agent as well (%s), whose files know of no maintenance",
                      in, in + met->shut, met->what, others);
    terminal_complain_more("  ",
                           "give the agents one \"tenants_dir\" that they share, or begin the "
                           "maintenance with each: owui-spoa maintenance %s",
                           upgrade->wish->name);
    free(others);
}

/* As an administrator of "allow_ips" sees it, who passes, or behind lines of the admin's own. */
static void say_unseen(const struct upgrade *upgrade)
{
    const struct entrance_told *met = &upgrade->met;
    char *others = own_address_others(upgrade->configuration);
    if (met->let_in > 0 || others != NULL)
        terminal_complain(
            "whether HAProxy turns everybody away is not known: from this machine %s%s",
            met->what[0] != '\0' ? "it is answered with " : "nobody is answered", met->what);
    free(others);
}

/* Whoever is let in while the database changes is what all of this is there to prevent. */
static bool is_shut(struct upgrade *upgrade)
{
    int64_t end_ms = clock_mono_ms() + AGENTS_MS;
    while (entrance_ask(upgrade->entrance, &upgrade->met)) {
        if (!lets_in(&upgrade->met))
            return true;
        if (clock_mono_ms() >= end_ms) {
            say_let_in(upgrade);
            return false;
        }
        if (!let_pass(upgrade, AGENT_POLL_MS))
            return false;
    }
    return false;
}

/* It is done; what another agent is to be told is more than can be done from here. */
static void look_whether_all_are_open(struct upgrade *upgrade)
{
    struct entrance_told told;
    int64_t end_ms = clock_mono_ms() + AGENTS_MS;
    do {
        if (!entrance_ask(upgrade->entrance, &told) || told.shut == 0)
            return;
    } while (clock_mono_ms() < end_ms && let_pass(upgrade, AGENT_POLL_MS));
    char *others = other_agents(upgrade);
    terminal_complain("%zu of %zu requests are turned away still, by another agent (%s)", told.shut,
                      told.shut + told.let_in + told.others, others);
    terminal_complain_more("  ", "there: owui-spoa maintenance %s --off", upgrade->wish->name);
    free(others);
}

/* -- What is under way ------------------------------------------------------------------------- */

static void say_left(const struct upgrade *upgrade, int64_t left_ms)
{
    const struct streams_told *told = &upgrade->left;
    say(upgrade, "under way: %zu request%s, %zu WebSocket%s (%zu busy); %llds left", told->requests,
        plural_s(told->requests), told->sockets, plural_s(told->sockets), told->busy_sockets,
        (long long)(left_ms / 1000));
}

static bool same_counts(const struct streams_told *a, const struct streams_told *b)
{
    return a->requests == b->requests && a->sockets == b->sockets &&
           a->busy_sockets == b->busy_sockets;
}

static enum error count(struct upgrade *upgrade, struct error_text *why)
{
    enum error error =
        streams_count(upgrade->streams, json_get(upgrade->tenant, "servers"), &upgrade->left, why);
    upgrade->is_left_known = error == ERROR_OK;
    return error;
}

/* Until nothing is under way but sockets on which nothing happens: a tab that is open has one, and
 * keeps it for days. False when it was interrupted. */
static bool wait_for_streams(struct upgrade *upgrade)
{
    struct error_text why;
    struct streams_told said = {.requests = SIZE_MAX};
    int64_t start_ms = clock_mono_ms();
    int64_t end_ms = start_ms + (int64_t)upgrade->wish->wait_s * 1000;
    int64_t said_ms = start_ms;
    unsigned quiet = 0;
    bool has_failed = false;
    for (;;) {
        enum error error = count(upgrade, &why);
        int64_t now_ms = clock_mono_ms();
        upgrade->waited_ms = now_ms - start_ms;
        if (upgrade->is_interrupted)
            return false;
        if (error != ERROR_OK) {
            if (!has_failed)
                terminal_complain("%s", why.text);
            has_failed = true;
            quiet = 0;
        } else {
            bool is_quiet = upgrade->left.requests + upgrade->left.busy_sockets == 0;
            quiet = is_quiet ? quiet + 1 : 0;
            if (upgrade->left.sockets == 0 && is_quiet)
                return true;
            if (!same_counts(&said, &upgrade->left) || now_ms - said_ms >= TELL_EVERY_MS) {
                say_left(upgrade, end_ms - now_ms);
                said = upgrade->left;
                said_ms = now_ms;
            }
        }
        if (quiet > QUIET_POLLS || now_ms >= end_ms)
            return true;
        if (!let_pass(upgrade, POLL_MS))
            return false;
    }
}

/* What is to be closed, where nothing is waited for. It may be so because HAProxy does not answer,
 * of which nothing is said then. */
static void count_once(struct upgrade *upgrade)
{
    struct error_text why;
    (void)!count(upgrade, &why);
}

static void close_sockets(struct upgrade *upgrade)
{
    struct error_text why;
    enum error error = streams_close_sockets(upgrade->streams, &upgrade->closed, &why);
    if (error != ERROR_OK && error != ERROR_CLOSED)
        terminal_complain("WebSockets stay open: %s", why.text);
    say(upgrade, "closed %zu WebSocket%s", upgrade->closed, plural_s(upgrade->closed));
}

static void say_what_has_not_ended(const struct upgrade *upgrade)
{
    const struct streams_told *left = &upgrade->left;
    if (!upgrade->is_left_known)
        terminal_complain("after %u s, what is under way is not known; at last it was %zu "
                          "request%s, %zu WebSocket%s",
                          upgrade->wish->wait_s, left->requests, plural_s(left->requests),
                          left->sockets, plural_s(left->sockets));
    else if (left->requests + left->busy_sockets > 0)
        say(upgrade, "after %u s, %zu request%s and %zu busy WebSocket%s have not ended",
            upgrade->wish->wait_s, left->requests, plural_s(left->requests), left->busy_sockets,
            plural_s(left->busy_sockets));
}

static bool drain(struct upgrade *upgrade)
{
    bool waits = upgrade->wish->wait_s > 0;
    if (waits && !wait_for_streams(upgrade))
        return false;
    if (!waits && !upgrade->wish->keeps_sockets)
        count_once(upgrade);
    if (upgrade->is_interrupted)
        return false;
    if (waits)
        say_what_has_not_ended(upgrade);
    if (!upgrade->wish->keeps_sockets && upgrade->left.sockets > 0)
        close_sockets(upgrade);
    upgrade->stage = STAGE_STOPPED;
    return !upgrade->is_interrupted && is_shut(upgrade); /* an agent may have come back meanwhile */
}

/* -- The operator's turn ----------------------------------------------------------------------- */

/* Waits for a line. */
static bool wait_for_enter(struct upgrade *upgrade)
{
    char line[256];
    say(upgrade, "now stop the old version, upgrade, start the new one; then press Enter");
    (void)!tcflush(STDIN_FILENO, TCIFLUSH); /* what was typed before was no answer to that */
    struct main_watch *keys =
        main_watch_new(upgrade->loop, STDIN_FILENO, MAIN_READ, stop_loop, upgrade->loop);
    main_loop_run(upgrade->loop);
    main_watch_free(keys);
    if (upgrade->is_interrupted)
        return false;
    if (read(STDIN_FILENO, line, sizeof(line)) > 0)
        return true;
    terminal_complain("there is nobody to answer");
    return false;
}

/* What it prints is for people, as what say() tells. */
static int spawn(const struct upgrade *upgrade, pid_t *child)
{
    char **command = upgrade->wish->command;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    int error = 0;
    if (upgrade->wish->json)
        error = posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    if (error == 0)
        error = posix_spawnp(child, command[0], &actions, NULL, command, environ);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* Runs the command, which has the terminal. */
static bool run_command_line(struct upgrade *upgrade)
{
    pid_t child;
    int status = 0;
    say(upgrade, "running %s", upgrade->wish->command[0]);
    int error = spawn(upgrade, &child);
    if (error != 0) {
        terminal_complain("%s cannot be run: %s", upgrade->wish->command[0], strerror(error));
        return false;
    }
    while (waitpid(child, &status, WNOHANG) == 0)
        if (!let_pass(upgrade, CHILD_MS)) {
            terminal_complain("%s may go on, as process %d", upgrade->wish->command[0], (int)child);
            return false;
        }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    if (WIFEXITED(status))
        terminal_complain("%s has ended with %d", upgrade->wish->command[0], WEXITSTATUS(status));
    else
        terminal_complain("%s was ended by signal %d", upgrade->wish->command[0], WTERMSIG(status));
    return false;
}

static bool migrate(struct upgrade *upgrade)
{
    if (upgrade->wish->command != NULL)
        return run_command_line(upgrade);
    if (!upgrade->wish->yes)
        return wait_for_enter(upgrade);
    if (upgrade->wish->to == NULL)
        say(upgrade,
            "waiting for the new version: a server that has been away, or tells another one");
    return true;
}

/* With nobody to tell that it is done, it is done when the servers are others. */
static bool wait_until_ready(struct upgrade *upgrade)
{
    const char *why = NULL;
    const char *said = NULL;
    int64_t end_ms = clock_mono_ms() + (int64_t)upgrade->wish->ready_s * 1000;
    for (;;) {
        look_again(upgrade);
        bool asked = readiness_ask(upgrade->servers);
        if (!asked || upgrade->is_interrupted)
            return false;
        bool is_other = is_another(upgrade);
        bool is_ready = all_ready(upgrade, &why);
        if (is_ready && (is_other || !is_by_others(upgrade->wish)))
            return true;
        if (is_ready)
            why = "the servers are what they were";
        if (said != why)
            say(upgrade, "waiting: %s", why);
        said = why;
        if (clock_mono_ms() >= end_ms) {
            say_states(upgrade, "now:");
            terminal_complain("after %u s: %s", upgrade->wish->ready_s, why);
            return false;
        }
        if (!let_pass(upgrade, POLL_MS))
            return false;
    }
}

/* -- All of it --------------------------------------------------------------------------------- */

/* A slip of the fingers is to be met before anybody is turned away for it. */
static bool is_as_wished(const struct upgrade *upgrade)
{
    const struct wish *wish = upgrade->wish;
    const struct json *versions = json_get(json_get(upgrade->tenant, "definition"), "versions");
    if (wish->to != NULL && json_get(versions, wish->to) == NULL) {
        terminal_complain("%s has no version \"%s\": owui-spoa tenants %s shows its \"versions\"",
                          wish->name, wish->to, wish->name);
        return false;
    }
    char *program = wish->command != NULL ? program_find(wish->command[0], false) : NULL;
    if (wish->command != NULL && program == NULL)
        terminal_complain("there is no program \"%s\" that could be run", wish->command[0]);
    bool good = wish->command == NULL || program != NULL;
    free(program);
    return good;
}

/* Whether it can be done at all, before anything is changed. */
static bool look(struct upgrade *upgrade)
{
    struct error_text why;
    if (!ask_tenant(upgrade) || !is_as_wished(upgrade))
        return false;
    upgrade->lock = upgrade_lock(upgrade->socket, upgrade->wish->name, &why);
    if (upgrade->lock < 0) {
        terminal_complain("%s", why.text);
        return false;
    }
    if (readiness_count(upgrade->servers) == 0) {
        terminal_complain("%s has no server of its own: its upstream depends on the label, or is a "
                          "backend of haproxy.cfg, or it is not in force",
                          upgrade->wish->name);
        terminal_complain_more("  ", "by hand: owui-spoa maintenance %s, and --off when it is done",
                               upgrade->wish->name);
        return false;
    }
    if (upgrade->wish->wait_s > 0 && count(upgrade, &why) != ERROR_OK) {
        if (upgrade->is_interrupted)
            return false;
        terminal_complain("what is under way cannot be told: %s", why.text);
        terminal_complain_more("  ", "--wait 0 goes on without looking");
        return false;
    }
    if (!readiness_ask(upgrade->servers))
        return false;
    put_states(upgrade, &upgrade->before);
    say_states(upgrade, "before:");
    return !upgrade->is_interrupted;
}

static bool begin(struct upgrade *upgrade)
{
    upgrade->was_in_maintenance = is_in_maintenance(upgrade);
    if (!set_maintenance(upgrade, true))
        return false;
    upgrade->stage = STAGE_WAITING;
    upgrade->entrance =
        entrance_new(upgrade->loop, upgrade->client, upgrade->configuration, upgrade->tenant);
    if (upgrade->is_interrupted || !is_shut(upgrade))
        return false;
    if (upgrade->was_in_maintenance)
        say(upgrade, "%s was in maintenance already", upgrade->wish->name);
    else
        say(upgrade, "%s is in maintenance, %s", upgrade->wish->name, what_users_get(upgrade));
    if (upgrade->met.shut == 0)
        say_unseen(upgrade);
    return true;
}

static void say_end(const struct upgrade *upgrade)
{
    const char *name = upgrade->wish->name;
    char *daemon = same_daemon(upgrade->wish);
    if (upgrade->is_unknown)
        say(upgrade, "nobody tells whether %s is in maintenance still, by its \"window\"", name);
    else if (upgrade->stays_in_maintenance)
        say(upgrade, "%s is in maintenance still, by its \"window\"", name);
    else if (is_suspended(upgrade))
        say(upgrade, "%s is in maintenance no more, but suspended: owui-spoa suspend %s --off%s",
            name, name, daemon);
    else
        say(upgrade, "%s serves again", name);
    free(daemon);
}

static bool finish(struct upgrade *upgrade)
{
    upgrade->stage = STAGE_READY;
    put_states(upgrade, &upgrade->after);
    say_states(upgrade, "now:");
    if (!set_maintenance(upgrade, false))
        return false;
    upgrade->stage = STAGE_DONE;
    /* The daemon may be away just now; done it is all the same. */
    bool is_told = look_again(upgrade);
    upgrade->is_unknown = !is_told && has_window(upgrade);
    upgrade->stays_in_maintenance = is_told && is_in_maintenance(upgrade);
    say_end(upgrade);
    if (upgrade->met.shut > 0 && is_told && !upgrade->stays_in_maintenance &&
        !is_suspended(upgrade))
        look_whether_all_are_open(upgrade);
    return true;
}

static bool perform(struct upgrade *upgrade)
{
    return look(upgrade) && begin(upgrade) && drain(upgrade) && migrate(upgrade) &&
           (upgrade->wish->to == NULL || switch_version(upgrade)) && wait_until_ready(upgrade) &&
           finish(upgrade);
}

/* One that is ignored stays so: `nohup owui-spoa upgrade ... &` is to outlive its terminal. */
static void watch_signals(struct upgrade *upgrade)
{
    static const int ENDS[SIGNALS] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction now;
    for (size_t i = 0; i < SIGNALS; i++)
        if (sigaction(ENDS[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
            upgrade->signals[i] = main_signal_new(upgrade->loop, ENDS[i], on_signal, upgrade);
}

static bool open_upgrade(struct upgrade *upgrade)
{
    struct error_text why;
    upgrade->configuration = ask_configuration(upgrade->wish->configuration);
    if (upgrade->configuration == NULL)
        return false;
    const char *socket = upgrade->wish->socket != NULL ? upgrade->wish->socket
                                                       : upgrade->configuration->admin_socket;
    const struct http_client_settings settings = {
        .ca_file = upgrade->configuration->haproxy.upstream_ca_file,
        .timeout_ms = SERVER_MS,
        .connect_ms = SERVER_MS,
        .at_once = REPLICAS_MAX,
    };
    upgrade->socket = memory_copy_text(slice_of(socket));
    upgrade->loop = main_loop_new(&why);
    if (upgrade->loop != NULL)
        upgrade->client = http_client_new(upgrade->loop, &settings, &why);
    if (upgrade->client == NULL) {
        terminal_complain("%s", why.text);
        return false;
    }
    upgrade->streams = streams_new(upgrade->loop, upgrade->configuration);
    upgrade->timer = main_timer_new(upgrade->loop, stop_loop, upgrade->loop);
    watch_signals(upgrade);
    return true;
}

static void close_upgrade(struct upgrade *upgrade)
{
    if (upgrade->lock >= 0)
        close(upgrade->lock);
    streams_free(upgrade->streams);
    readiness_free(upgrade->servers);
    entrance_free(upgrade->entrance);
    http_client_free(upgrade->client);
    for (size_t i = 0; i < SIGNALS; i++)
        main_signal_free(upgrade->signals[i]);
    main_timer_free(upgrade->timer);
    main_loop_free(upgrade->loop);
    json_free(upgrade->tenant);
    json_free(upgrade->before);
    json_free(upgrade->after);
    configuration_free(upgrade->configuration);
    free(upgrade->socket);
}

static bool is_left_in_maintenance(const struct upgrade *upgrade)
{
    if (upgrade->is_unknown)
        return true;
    return upgrade->stage == STAGE_BEFORE ? is_in_maintenance(upgrade)
           : upgrade->stage == STAGE_DONE ? upgrade->stays_in_maintenance
                                          : true;
}

static void print_json(struct upgrade *upgrade)
{
    struct json *root = json_new_object();
    json_put_text(root, "tenant", slice_of(upgrade->wish->name));
    json_put_bool(root, "done", upgrade->stage == STAGE_DONE);
    json_put_bool(root, "interrupted", upgrade->is_interrupted);
    json_put_bool(root, "in_maintenance", is_left_in_maintenance(upgrade));
    json_put_real(root, "waited_s", (double)upgrade->waited_ms / 1000);
    json_put_bool(root, "left_known", upgrade->is_left_known);
    json_put_integer(root, "requests_left", (int64_t)upgrade->left.requests);
    json_put_integer(root, "sockets_left", (int64_t)(upgrade->left.sockets - upgrade->closed));
    json_put_integer(root, "sockets_closed", (int64_t)upgrade->closed);
    if (upgrade->before != NULL)
        json_put(root, "before", json_clone(upgrade->before));
    if (upgrade->after != NULL)
        json_put(root, "after", json_clone(upgrade->after));
    ask_print_json(root);
    json_free(root);
}

static const struct command_usage USAGE = {
    .forms = {"NAME [-- COMMAND...]"},
    .about =
        "Another version of a tenant's Open WebUI, of which two may never have one database: turns "
        "maintenance on, waits until requests have ended and nothing but pings comes on open "
        "WebSockets, closes these, lets the operator (who presses Enter) or COMMAND upgrade, waits "
        "until all servers are ready and of one version, and turns maintenance off. Interrupted, "
        "or when something fails, it tells what is in force, and how to go on.",
    .exit_codes = {"done", "not done: it is in maintenance, or nothing was changed",
                   "wrong usage, or nobody answers"},
    .examples = {"owui-spoa upgrade chat",
                 "owui-spoa upgrade chat --wait 600 -- docker compose up -d --pull always",
                 "owui-spoa upgrade chat --to green --yes --json"},
    .min_words = 1,
    .max_words = 1,
    .missing = "which tenant?",
};

/* What stands behind "--", up to the NULL that ends main()'s arguments; NULL: nothing does. */
static char **take_command(struct command_line *line)
{
    for (size_t i = 0; i < line->count; i++) {
        if (strcmp(line->words[i], "--") != 0)
            continue;
        char **command = i + 1 < line->count ? &line->words[i + 1] : NULL;
        line->count = i;
        return command;
    }
    return NULL;
}

int upgrade_command(struct command_line *line)
{
    struct wish wish = {.configuration = DEFAULT_CONFIGURATION,
                        .wait_s = WAIT_DEFAULT_S,
                        .ready_s = READY_DEFAULT_S};
    const struct command_option options[] = {
        {"wait", 0, "S", "how long requests and answers get to end; 0: not at all (300)",
         .number = &wish.wait_s, .min = 0, .max = SECONDS_MAX},
        {"ready", 0, "S", "how long servers get to be ready (900)", .number = &wish.ready_s,
         .min = 1, .max = SECONDS_MAX},
        {"to", 0, "VERSION", "switch to this one of its \"versions\" while nobody is let in",
         .text = &wish.to},
        {"keep-sockets", 0, NULL, "leave open WebSockets to end with the old version",
         .flag = &wish.keeps_sockets},
        {"yes", 'y', NULL,
         "ask nothing: without COMMAND, it is done when servers were away, or tell another version",
         .flag = &wish.yes},
        command_option_config(&wish.configuration),
        command_option_socket(&wish.socket),
        command_option_json(&wish.json),
        {0},
    };
    wish.command = take_command(line);
    if (!command_line_read(line, &USAGE, options))
        return line->code;
    wish.name = line->words[0];
    if (!ask_item_valid(wish.name))
        return command_line_misused(
            line,
            "\"%s\" is no name for a tenant: up to 63 of a-z, 0-9 and, inside, \".\", \"_\", \"-\"",
            wish.name);
    if (wish.command == NULL && !wish.yes && !isatty(STDIN_FILENO))
        return command_line_misused(
            line, "there is no terminal to ask on: a COMMAND behind \"--\", or --yes");
    struct upgrade upgrade = {.wish = &wish, .lock = -1};
    int code = EXIT_WRONG;
    terminal_outlive_readers();
    if (open_upgrade(&upgrade)) {
        code = perform(&upgrade)                                        ? EXIT_GOOD
               : upgrade.is_unanswered && upgrade.stage == STAGE_BEFORE ? EXIT_WRONG
                                                                        : EXIT_BAD;
        if (upgrade.is_interrupted)
            terminal_complain("interrupted");
        if (code != EXIT_GOOD)
            say_state(&upgrade);
        if (wish.json && upgrade.tenant != NULL)
            print_json(&upgrade);
    }
    close_upgrade(&upgrade);
    return code;
}
