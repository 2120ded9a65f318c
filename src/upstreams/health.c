/* Looks at the servers of tenants: see health.h.
 *
 * A server is known by a text of all that its checks depend on. Its timer leads to a check, or into
 * a queue when too many run; an answer leads to the timer again. Those that are down have a queue
 * of their own and never all of the checks: one that is silent takes seconds, and a tenant with
 * hundreds of these would keep the death of another's from being noticed. While a server is on its
 * slow start, a second timer raises its share. */
#include "upstreams/health.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "http/http_client.h"
#include "route/check.h"
#include "route/replica.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    DOWN_AT_ONCE = HEALTH_CHECKS_AT_ONCE / 2,
    TIMEOUT_MS = 5000,
    CONNECT_MS = 3000,
    /* An old Open WebUI answers with its page, in which pictures may stand. */
    BODY_MAX_BYTES = 1024 * 1024,
    FIRST_WITHIN_MS = 200, /* the first checks of new servers are spread over this time */
    JITTER_PERCENT = 10,
    /* A server that did not know the path is asked again after so many checks: it may have been
     * replaced by a newer Open WebUI. */
    ASK_AGAIN_AFTER = 20,
    SHARE_STEPS = 32,
    SHARE_STEP_MIN_MS = 20,
};

/* Servers that wait for a check, first in, first out, and how many have one under way. */
struct lane {
    struct server *waiting;
    struct server **waiting_end;
    size_t running;
};

struct server {
    struct health *health;
    struct lane *lane; /* where it waits, or its check is counted */
    char *key;
    char *tenant; /* who named it first, for the log */
    char *url;    /* "http://10.2.0.11:8080" */
    struct upstream upstream;
    struct check_rule rule;
    unsigned slow_start_ms;
    struct replica_health *word;
    struct check_state state;
    unsigned fallback_left; /* checks before `path` is tried again */
    bool asks_fallback;     /* what the check under way asks for */
    int64_t changed_ms;
    struct main_timer *timer;
    struct main_timer *share_timer;
    struct http_exchange *exchange;
    bool is_waiting;
    struct server *next_waiting;
    struct server **waiting_link; /* what leads to it in the queue */
    struct server *next;
};

struct health {
    struct main_loop *main_loop;
    struct http_client *client; /* made for the first server */
    bool has_no_client;         /* and that was told */
    char *ca_file;
    void *tree; /* servers by key */
    struct server *servers;
    struct lane alive; /* with those of whom nothing is known */
    struct lane down;
    uint64_t random;
};

/* -- Life ------------------------------------------------------------------------------------- */

struct health *health_new(struct main_loop *main_loop)
{
    struct health *health = memory_new(sizeof(*health));
    health->main_loop = main_loop;
    health->alive.waiting_end = &health->alive.waiting;
    health->down.waiting_end = &health->down.waiting;
    health->random = (uint64_t)clock_mono_us() | 1;
    return health;
}

static int compare_servers(const void *a, const void *b)
{
    return strcmp(((const struct server *)a)->key, ((const struct server *)b)->key);
}

static void leave_in_place(void *server)
{
    (void)server;
}

static void leave_queue(struct server *server)
{
    if (!server->is_waiting)
        return;
    *server->waiting_link = server->next_waiting;
    if (server->next_waiting != NULL)
        server->next_waiting->waiting_link = server->waiting_link;
    else
        server->lane->waiting_end = server->waiting_link;
    server->is_waiting = false;
}

static void stop_check(struct server *server)
{
    if (server->exchange == NULL)
        return;
    http_exchange_cancel(server->exchange);
    server->exchange = NULL;
    server->lane->running--;
}

static void server_free(struct server *server)
{
    leave_queue(server);
    stop_check(server);
    main_timer_free(server->timer);
    main_timer_free(server->share_timer);
    replica_health_unref(server->word);
    upstream_fini(&server->upstream);
    free(server->rule.path);
    free(server->rule.fallback);
    free(server->key);
    free(server->tenant);
    free(server->url);
    free(server);
}

void health_free(struct health *health)
{
    if (health == NULL)
        return;
    tdestroy(health->tree, leave_in_place);
    while (health->servers != NULL) {
        struct server *server = health->servers;
        health->servers = server->next;
        server_free(server);
    }
    http_client_free(health->client);
    free(health->ca_file);
    free(health);
}

/* -- Timers ----------------------------------------------------------------------------------- */

/* xorshift64 (Marsaglia 2003): it only has to spread. */
static uint64_t random_below(struct health *health, uint64_t limit)
{
    uint64_t x = health->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    health->random = x;
    return limit > 0 ? x % limit : 0;
}

static void wait_for_next(struct server *server)
{
    unsigned delay_ms = check_delay_ms(&server->state, &server->rule);
    unsigned jitter_ms = delay_ms * JITTER_PERCENT / 100;
    delay_ms += (unsigned)random_below(server->health, 2 * (uint64_t)jitter_ms + 1) - jitter_ms;
    main_timer_once(server->timer, delay_ms > 0 ? delay_ms : 1);
}

static void set_share(struct server *server)
{
    unsigned share = check_share(&server->state, server->slow_start_ms, clock_mono_ms());
    atomic_store_explicit(&server->word->share, share, memory_order_relaxed);
    if (share > 0 && share < REPLICA_SHARE_FULL) {
        unsigned step_ms = server->slow_start_ms / SHARE_STEPS;
        main_timer_once(server->share_timer,
                        step_ms > SHARE_STEP_MIN_MS ? step_ms : SHARE_STEP_MIN_MS);
    } else {
        main_timer_stop(server->share_timer);
    }
}

static void on_share_timer(void *context)
{
    set_share(context);
}

/* -- Checks ----------------------------------------------------------------------------------- */

static void check(struct server *server);

static void tell_change(const struct server *server, bool was_unknown, const char *reason)
{
    int64_t stood_s = (clock_mono_ms() - server->changed_ms) / 1000;
    if (server->state.standing == STANDING_DOWN)
        log_event(LOG_WARNING, "server_down", LOG_TEXT("url", server->url),
                  LOG_TEXT("tenant", server->tenant), LOG_TEXT("reason", reason));
    else if (was_unknown)
        log_event(LOG_DEBUG, "server_up", LOG_TEXT("url", server->url),
                  LOG_TEXT("tenant", server->tenant));
    else
        log_event(LOG_INFO, "server_up", LOG_TEXT("url", server->url),
                  LOG_TEXT("tenant", server->tenant), LOG_NUMBER("down_s", stood_s));
}

static void count_answer(struct server *server, bool is_good, const char *reason)
{
    bool was_unknown = server->state.standing == STANDING_UNKNOWN;
    if (check_count(&server->state, &server->rule, is_good, clock_mono_ms())) {
        tell_change(server, was_unknown, reason);
        server->changed_ms = clock_mono_ms();
        set_share(server);
    }
    wait_for_next(server);
}

static bool has_room(const struct health *health, const struct lane *lane)
{
    return health->alive.running + health->down.running < HEALTH_CHECKS_AT_ONCE &&
           (lane == &health->alive || lane->running < DOWN_AT_ONCE);
}

static void start_waiting_in(struct health *health, struct lane *lane)
{
    while (lane->waiting != NULL && has_room(health, lane)) {
        struct server *server = lane->waiting;
        leave_queue(server);
        check(server);
    }
}

static void start_waiting(struct health *health)
{
    start_waiting_in(health, &health->alive);
    start_waiting_in(health, &health->down);
}

static void on_answer(void *context, const struct http_probe_answer *answer)
{
    struct server *server = context;
    struct health *health = server->health;
    char status[32] = "";
    server->exchange = NULL;
    server->lane->running--;
    if (answer->result != HTTP_PROBE_ANSWERED) {
        count_answer(server, false, answer->failure);
        start_waiting(health);
        return;
    }
    enum check_verdict verdict = check_judge(answer->status, answer->body);
    if (verdict == CHECK_UNKNOWN_PATH && !server->asks_fallback && server->rule.fallback != NULL) {
        server->fallback_left = ASK_AGAIN_AFTER;
        check(server);
        start_waiting(health); /* should it not have begun */
        return;
    }
    snprintf(status, sizeof(status), "status %d%s", answer->status,
             verdict == CHECK_UNKNOWN_PATH && answer->status != 404 ? " and a page" : "");
    count_answer(server, verdict == CHECK_GOOD, status);
    start_waiting(health);
}

static void begin(struct server *server)
{
    const struct upstream *upstream = &server->upstream;
    char address[IP_PORT_TEXT_SIZE];
    char *url = upstream_check_url(upstream, server->asks_fallback ? server->rule.fallback
                                                                   : server->rule.path);
    const struct http_look look = {
        .url = url,
        .connect_to = ip_print_with_port(&upstream->address, upstream->port, address),
        .no_verify = upstream->scheme == UPSTREAM_HTTPS_NO_VERIFY,
    };
    server->exchange = http_client_look(server->health->client, &look, on_answer, server);
    if (server->exchange != NULL)
        server->lane->running++;
    else
        wait_for_next(server); /* memory ran out: that says nothing about the server */
    free(url);
}

static void wait_for_turn(struct server *server)
{
    struct lane *lane = server->lane;
    server->is_waiting = true;
    server->next_waiting = NULL;
    server->waiting_link = lane->waiting_end;
    *lane->waiting_end = server;
    lane->waiting_end = &server->next_waiting;
}

/* What it lacks, descriptors or a library, may be there the next time: told once, until it works.
 */
static void make_client(struct health *health)
{
    const struct http_client_settings settings = {
        .ca_file = health->ca_file,
        .timeout_ms = TIMEOUT_MS,
        .connect_ms = CONNECT_MS,
        .answer_max_bytes = BODY_MAX_BYTES,
        .at_once = HEALTH_CHECKS_AT_ONCE,
    };
    struct error_text why;
    health->client = http_client_new(health->main_loop, &settings, &why);
    if (health->client == NULL && !health->has_no_client)
        log_event(LOG_ERROR, "cannot_check", LOG_TEXT("reason", why.text));
    health->has_no_client = health->client == NULL;
}

/* Asks now, or when it is the server's turn. */
static void check(struct server *server)
{
    struct health *health = server->health;
    if (health->client == NULL)
        make_client(health);
    if (server->upstream.address.family == IP_NONE || health->client == NULL) {
        wait_for_next(server);
        return;
    }
    server->lane = server->state.standing == STANDING_DOWN ? &health->down : &health->alive;
    if (!has_room(health, server->lane)) {
        wait_for_turn(server);
        return;
    }
    server->asks_fallback = server->rule.fallback != NULL && server->fallback_left > 0;
    if (server->fallback_left > 0)
        server->fallback_left--;
    begin(server);
}

static void on_timer(void *context)
{
    check(context);
}

/* -- Which servers ---------------------------------------------------------------------------- */

void health_set_ca_file(struct health *health, const char *ca_file)
{
    struct slice before = slice_of(health->ca_file);
    if ((ca_file == NULL) == (health->ca_file == NULL) && slice_equal(before, slice_of(ca_file)))
        return;
    free(health->ca_file);
    health->ca_file = memory_copy_optional(ca_file);
    if (health->client == NULL)
        return;
    for (struct server *server = health->servers; server != NULL; server = server->next) {
        if (server->exchange == NULL)
            continue;
        stop_check(server);
        wait_for_next(server);
    }
    http_client_free(health->client);
    health->client = NULL;
    start_waiting(health);
}

/* All that the checks depend on, but the address, which may change. */
static char *key_of(const struct upstream *upstream, const struct check_rule *rule,
                    unsigned slow_start_ms, const char *url)
{
    return memory_format("%s %d %s %s %s %u %u %u %u", url, (int)upstream->scheme,
                         upstream->server_name != NULL ? upstream->server_name : "-", rule->path,
                         rule->fallback != NULL ? rule->fallback : "-", rule->every_ms, rule->rise,
                         rule->fall, slow_start_ms);
}

/* Takes `key` and `url`. */
static struct server *server_new(struct health *health, const struct tenant *tenant,
                                 const struct upstream *upstream, unsigned slow_start_ms, char *key,
                                 char *url)
{
    const struct check_rule *rule = tenant->check;
    struct server *server = memory_new(sizeof(*server));
    server->health = health;
    server->key = key;
    server->url = url;
    server->tenant = memory_copy_text(slice_of(tenant->name));
    upstream_copy(upstream, &server->upstream);
    server->rule = *rule;
    server->rule.path = memory_copy_text(slice_of(rule->path));
    server->rule.fallback = memory_copy_optional(rule->fallback);
    server->slow_start_ms = slow_start_ms;
    server->word = replica_health_new();
    server->changed_ms = clock_mono_ms();
    server->timer = main_timer_new(health->main_loop, on_timer, server);
    server->share_timer = main_timer_new(health->main_loop, on_share_timer, server);
    main_timer_once(server->timer, (int64_t)random_below(health, FIRST_WITHIN_MS));
    server->next = health->servers;
    health->servers = server;
    return server;
}

static struct replica_health *attach(struct health *health, const struct tenant *tenant,
                                     const struct upstream *upstream, unsigned slow_start_ms)
{
    char *url = upstream_url(upstream);
    struct server wanted = {.key = key_of(upstream, tenant->check, slow_start_ms, url)};
    struct server *const *found = tfind(&wanted, &health->tree, compare_servers);
    struct server *server;
    if (found != NULL) {
        server = *found;
        server->upstream.address = upstream->address;
        free(wanted.key);
        free(url);
    } else {
        server = server_new(health, tenant, upstream, slow_start_ms, wanted.key, url);
        if (tsearch(server, &health->tree, compare_servers) == NULL)
            memory_give_up(sizeof(*server));
    }
    return replica_health_ref(server->word);
}

static void give(struct replica_health **word, struct replica_health *given)
{
    replica_health_unref(*word);
    *word = given;
}

void health_attach(struct health *health, struct tenant *tenant)
{
    struct replica_set *set = tenant->replicas;
    if (tenant->check == NULL)
        return;
    if (set == NULL) {
        give(&tenant->health, attach(health, tenant, &tenant->upstream, 0));
        return;
    }
    for (size_t i = 0; i < set->count; i++)
        give(&set->items[i].health,
             attach(health, tenant, &set->items[i].upstream, set->slow_start_ms));
}

void health_forget_unused(struct health *health)
{
    struct server **link = &health->servers;
    while (*link != NULL) {
        struct server *server = *link;
        if (server->word->references > 1) {
            link = &server->next;
            continue;
        }
        *link = server->next;
        tdelete(server, &health->tree, compare_servers);
        server_free(server);
    }
    start_waiting(health); /* what they had under way is over */
}
