/* `owui-spoa top`: asks the daemon and HAProxy now and again. See top.h. */
#include "top.h"

#include "admin/admin_client.h"
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/terminal.h"
#include "conf/configuration.h"
#include "core/clock.h"
#include "core/memory.h"
#include "hap/runtime.h"
#include "net/main_loop.h"
#include "sidecar/runtime_client.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    ROWS_DEFAULT = 20,
    ROWS_MAX = 10000,
    INTERVAL_MAX_S = 60,
    HAPROXY_MS = 800, /* a HAProxy that does not answer is not waited for */
    SIGNALS = 5,
};

struct wish {
    const char *configuration;
    const char *socket;
    bool once;
    bool json;
    unsigned interval_s;
    unsigned rows; /* 0: as many as fit */
};

struct top;

/* Answers with 5xx since its start. */
struct errors {
    int64_t count; /* negative: it has not answered */
    int64_t at_us;
};

/* One HAProxy's Runtime API. */
struct haproxy {
    struct top *top;
    struct runtime_target target;
    struct runtime_exchange *exchange;
    struct errors before, now;
};

struct top {
    const struct wish *wish;
    char *socket;
    struct main_loop *loop;
    struct main_timer *timer;
    struct main_watch *keys;
    struct main_signal *signals[SIGNALS];
    struct haproxy *haproxys;
    size_t haproxy_count;

    struct json *before;
    struct json *now; /* NULL: the daemon has not answered yet */
    char problem[sizeof(struct error_text)];
    bool failed; /* it did not answer the last time */
    struct top_haproxy haproxy;
    struct top_haproxy asked; /* what is being gathered */
    size_t under_way;         /* HAProxys that have not answered */
    enum top_order order;
    unsigned samples;
};

/* -- HAProxy ----------------------------------------------------------------------------------- */

static int64_t number_of(struct slice text)
{
    char digits[24];
    snprintf(digits, sizeof(digits), "%.*s", SLICE_PRINT(text));
    return strtoll(digits, NULL, 10);
}

/* What its frontends have open, and how many answers were 5xx. */
static void read_stat(struct haproxy *haproxy, struct top_haproxy *all, struct slice answer)
{
    struct slice head = {0};
    struct slice row;
    if (!runtime_next_line(&answer, &head) || runtime_field(head, head, "pxname").size == 0)
        return;
    haproxy->now = (struct errors){.at_us = clock_mono_us()};
    if (all->open < 0)
        all->open = 0;
    while (runtime_next_line(&answer, &row)) {
        if (!slice_equal(runtime_field(head, row, "svname"), SLICE("FRONTEND")))
            continue;
        all->open += number_of(runtime_field(head, row, "scur"));
        haproxy->now.count += number_of(runtime_field(head, row, "hrsp_5xx"));
    }
}

/* The value of `key` in "0x55: key=acme/2 use=1 exp=9999 conn_cur=3". */
static struct slice entry_value(struct slice line, struct slice key)
{
    const char *found = memmem(line.data, line.size, key.data, key.size);
    if (found == NULL)
        return (struct slice){0};
    struct slice rest = slice_skip(line, (size_t)(found - line.data) + key.size);
    return slice_before(rest, ' ');
}

/* "acme" of "acme/", or of "acme/2", which is what its second route counts by itself. */
static struct slice tenant_of(struct slice key)
{
    const char *slash = key.size > 0 ? memrchr(key.data, '/', key.size) : NULL;
    return slash != NULL ? slice_head(key, (size_t)(slash - key.data)) : key;
}

static void read_sockets(struct top_haproxy *haproxy, struct slice answer)
{
    struct slice line;
    while (runtime_next_line(&answer, &line)) {
        struct slice tenant = tenant_of(entry_value(line, SLICE(" key=")));
        struct slice open = entry_value(line, SLICE(" conn_cur="));
        if (tenant.size == 0 || open.size == 0)
            continue;
        char *name = memory_copy_text(tenant);
        json_put_integer(haproxy->sockets, name,
                         ask_number(haproxy->sockets, name) + number_of(open));
        free(name);
    }
}

static void show(struct top *top);

/* Over those that have answered both times, and were not restarted in between: what one has counted
 * while it was silent, or since its start, is not of this second. */
static double errors_per_s(const struct top *top)
{
    double sum = -1;
    for (size_t i = 0; i < top->haproxy_count; i++) {
        const struct errors *before = &top->haproxys[i].before;
        const struct errors *now = &top->haproxys[i].now;
        if (before->count >= 0 && now->count >= before->count && now->at_us > before->at_us)
            sum = (sum < 0 ? 0 : sum) +
                  (double)(now->count - before->count) * 1e6 / (double)(now->at_us - before->at_us);
    }
    return sum;
}

/* All have answered: what was gathered counts. */
static void conclude(struct top *top)
{
    json_free(top->haproxy.sockets);
    top->haproxy = top->asked;
    top->asked.sockets = NULL;
    top->haproxy.errors_per_s = errors_per_s(top);
    show(top);
}

static void on_answer(void *context, enum error error, const char *reason, struct slice answer)
{
    struct haproxy *haproxy = context;
    struct top *top = haproxy->top;
    (void)reason;
    haproxy->exchange = NULL;
    if (error == ERROR_OK) {
        /* Two commands, whose answers are told apart by what they begin with. */
        const char *table = memmem(answer.data, answer.size, "# table:", 8);
        size_t size = table != NULL ? (size_t)(table - answer.data) : answer.size;
        read_stat(haproxy, &top->asked, slice_head(answer, size));
        read_sockets(&top->asked, slice_skip(answer, size));
    }
    if (--top->under_way == 0)
        conclude(top);
}

static void ask_haproxys(struct top *top)
{
    top->asked = (struct top_haproxy){.open = -1, .errors_per_s = -1};
    top->asked.sockets = json_new_object();
    top->under_way = top->haproxy_count;
    for (size_t i = 0; i < top->haproxy_count; i++) {
        struct haproxy *haproxy = &top->haproxys[i];
        struct slice prefix = haproxy->target.prefix;
        char *command = memory_format("%.*sshow stat;%.*sshow table owui_websockets\n",
                                      SLICE_PRINT(prefix), SLICE_PRINT(prefix));
        haproxy->before = haproxy->now;
        haproxy->now.count = -1;
        haproxy->exchange = runtime_exchange_new(top->loop, &haproxy->target, slice_of(command),
                                                 HAPROXY_MS, NULL, on_answer, haproxy);
        free(command);
    }
    if (top->haproxy_count == 0)
        conclude(top);
}

/* -- The daemon -------------------------------------------------------------------------------- */

static void ask_daemon(struct top *top)
{
    struct error_text why;
    unsigned status = 0;
    struct json *answer = admin_request(top->socket, "GET", "/v1/top", NULL, &status, &why);
    if (answer != NULL && status == 200) {
        json_free(top->before);
        top->before = top->now;
        top->now = answer;
        top->failed = false;
        top->samples++;
        return;
    }
    if (answer != NULL)
        snprintf(top->problem, sizeof(top->problem), "%.*s",
                 SLICE_PRINT(json_get_text(answer, "error")));
    else
        snprintf(top->problem, sizeof(top->problem), "%s", why.text);
    json_free(answer);
    top->failed = true;
}

static void on_timer(void *context)
{
    struct top *top = context;
    if (top->under_way > 0)
        return; /* HAProxy is slow: its turn is not over */
    ask_daemon(top);
    ask_haproxys(top);
}

/* -- Showing ----------------------------------------------------------------------------------- */

static bool is_live(const struct top *top)
{
    return !top->wish->once;
}

static struct top_view view_of(const struct top *top)
{
    struct winsize size = {0};
    struct top_view view = {
        .order = top->order,
        .columns = terminal_columns(),
        .rows_max = top->wish->rows,
        .has_colours = terminal_has_colours(),
        .problem = top->failed ? top->problem : NULL,
    };
    if (is_live(top)) {
        view.columns--; /* what is cleared behind a full line is its last character */
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
            view.lines = size.ws_row;
    }
    if (view.rows_max == 0)
        view.rows_max = is_live(top) ? ROWS_MAX : ROWS_DEFAULT;
    return view;
}

static void print_once(const struct top *top, struct top_rates *rates)
{
    const struct top_view view = view_of(top);
    if (top->wish->json) {
        struct json *root = top_rates_json(rates, &top->haproxy, view.rows_max);
        ask_print_json(root);
        json_free(root);
    } else {
        top_screen_print(rates, &top->haproxy, &view, false);
    }
}

/* Once is shown after an interval; live is shown at once, since the daemon's start at first. */
static void show(struct top *top)
{
    struct top_rates rates;
    if (!is_live(top) && (top->failed || top->samples < 2)) {
        if (top->failed)
            main_loop_stop(top->loop);
        return;
    }
    top_rates_make(top->before, top->now, &top->haproxy, &rates);
    top_rates_sort(&rates, top->order);
    if (is_live(top)) {
        const struct top_view view = view_of(top);
        top_screen_print(&rates, &top->haproxy, &view, true);
    } else {
        print_once(top, &rates);
        main_loop_stop(top->loop);
    }
    top_rates_fini(&rates);
}

/* -- Keys and signals -------------------------------------------------------------------------- */

static void on_key(void *context)
{
    struct top *top = context;
    char keys[16];
    ssize_t count = read(STDIN_FILENO, keys, sizeof(keys));
    if (count <= 0) {
        main_loop_stop(top->loop); /* the terminal is gone */
        return;
    }
    for (ssize_t i = 0; i < count; i++) {
        if (keys[i] == 'q' || keys[i] == 'Q') {
            main_loop_stop(top->loop);
            return;
        }
        if (keys[i] == 's')
            top->order = (top->order + 1) % TOP_ORDER__MAX;
    }
    show(top);
}

static void on_end_signal(void *context)
{
    const struct top *top = context;
    main_loop_stop(top->loop);
}

static void on_resize(void *context)
{
    show(context);
}

/* Ctrl-Z: the terminal is the shell's until it is ours again. */
static void on_suspend(void *context)
{
    top_screen_leave();
    raise(SIGSTOP);
    top_screen_enter();
    show(context);
}

static void take_terminal(struct top *top)
{
    static const int ENDS[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < COUNT_OF(ENDS); i++)
        top->signals[i] = main_signal_new(top->loop, ENDS[i], on_end_signal, top);
    top->signals[3] = main_signal_new(top->loop, SIGWINCH, on_resize, top);
    top->signals[4] = main_signal_new(top->loop, SIGTSTP, on_suspend, top);
    top->keys = main_watch_new(top->loop, STDIN_FILENO, MAIN_READ, on_key, top);
    top_screen_enter();
}

/* -- All of it --------------------------------------------------------------------------------- */

/* The daemon's socket, and those of HAProxy; without the file there is the daemon alone. */
static bool read_configuration(struct top *top)
{
    const struct wish *wish = top->wish;
    bool has_file = wish->socket == NULL || access(wish->configuration, R_OK) == 0;
    struct configuration *configuration = has_file ? ask_configuration(wish->configuration) : NULL;
    if (configuration == NULL && has_file)
        return false;
    top->socket = memory_copy_text(
        slice_of(wish->socket != NULL ? wish->socket : configuration->admin_socket));
    size_t count = configuration != NULL ? configuration->haproxy.runtime_count : 0;
    top->haproxys = memory_new((count + 1) * sizeof(*top->haproxys));
    for (size_t i = 0; i < count; i++) {
        struct haproxy *haproxy = &top->haproxys[top->haproxy_count];
        haproxy->top = top;
        haproxy->now.count = -1;
        if (runtime_target_parse(slice_of(configuration->haproxy.runtime[i]), &haproxy->target,
                                 NULL) == ERROR_OK)
            top->haproxy_count++;
    }
    configuration_free(configuration);
    return true;
}

static void close_top(struct top *top)
{
    top_screen_leave();
    for (size_t i = 0; i < COUNT_OF(top->signals); i++)
        main_signal_free(top->signals[i]);
    main_watch_free(top->keys);
    main_timer_free(top->timer);
    for (size_t i = 0; i < top->haproxy_count; i++) {
        runtime_exchange_free(top->haproxys[i].exchange);
        runtime_target_fini(&top->haproxys[i].target);
    }
    free(top->haproxys);
    main_loop_free(top->loop);
    json_free(top->before);
    json_free(top->now);
    json_free(top->haproxy.sockets);
    json_free(top->asked.sockets);
    free(top->socket);
}

static int perform(const struct wish *wish)
{
    struct top top = {.wish = wish};
    struct error_text why;
    int code = EXIT_WRONG;
    top.haproxy = (struct top_haproxy){.open = -1, .errors_per_s = -1};
    if (read_configuration(&top)) {
        ask_daemon(&top);
        top.loop = top.failed ? NULL : main_loop_new(&why);
        if (top.failed)
            terminal_complain("%s", top.problem);
        else if (top.loop == NULL)
            terminal_complain("%s", why.text);
    }
    if (top.loop != NULL) {
        top.timer = main_timer_new(top.loop, on_timer, &top);
        if (is_live(&top))
            take_terminal(&top);
        ask_haproxys(&top);
        main_timer_every(top.timer, (int64_t)wish->interval_s * 1000);
        main_loop_run(top.loop);
        code = top.failed && !is_live(&top) ? EXIT_WRONG : EXIT_GOOD;
    }
    bool failed = top.failed && top.loop != NULL && !is_live(&top);
    close_top(&top);
    if (failed)
        terminal_complain("%s", top.problem);
    return code;
}

static const struct command_usage USAGE = {
    .about = "Asks the running daemon, and HAProxy where it may, every second: requests, refusals, "
             "how long decisions take (99 of 100 less than P99), by tenant, and what is open. "
             "SOCKETS are a tenant's open WebSockets, which HAProxy counts where the tenant's "
             "limits say so. Tenants beyond \"metrics\": {\"tenants\"} are together in _other.",
    .terms_heading = "keys",
    .terms = {{"q, Ctrl-C", "end"}, {"s", "sort by the next column"}},
    .exit_codes = {"shown", NULL, "wrong usage, or nobody answers"},
    .examples = {"owui-spoa top", "owui-spoa top --json --interval 10 | jq '.tenants[0]'"},
};

int top_command(struct command_line *line)
{
    struct wish wish = {.configuration = DEFAULT_CONFIGURATION, .interval_s = 1};
    const struct command_option options[] = {
        {"once", 0, NULL, "print one interval and end, as when the output is no terminal",
         .flag = &wish.once},
        {"interval", 0, "S", "seconds, 1 to 60 (1)", .number = &wish.interval_s, .min = 1,
         .max = INTERVAL_MAX_S},
        {"rows", 0, "N", "tenants, at most (as many as fit; 20)", .number = &wish.rows, .min = 1,
         .max = ROWS_MAX},
        command_option_config(&wish.configuration),
        command_option_socket(&wish.socket),
        command_option_json(&wish.json),
        {0},
    };
    if (!command_line_read(line, &USAGE, options))
        return line->code;
    wish.once |= wish.json || !isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO);
    return perform(&wish);
}
