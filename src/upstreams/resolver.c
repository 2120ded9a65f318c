/* Addresses of upstreams that are given by name: see resolver.h. Answers may come before the call
 * that asked has returned.
 */
#include "upstreams/resolver.h"

#include "core/clock.h"
#include "core/fair.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/memory.h"
#include "dns/dns_client.h"

#include <search.h>
#include <stdlib.h>

enum {
    MAX_IN_FLIGHT = 64,
    MAX_FIRST_IN_FLIGHT = 48, /* while others wait */
    MAX_SLOW_IN_FLIGHT = 16,
    QUESTION_TRY_MS = 1000,
    QUESTION_TRIES = 3,
    SWEEP_MS = 1000, /* how often names whose time is up are looked for */
    LANES = 256,     /* for labels, see below */
};

/* The first question for a name is waited for, and that comes first; servers that have not answered
 * must not hold up the names of others. Nor must those who make names up, all of which are first.
 */
enum urgency { FIRST, USUAL, SLOW, URGENCY__MAX };

struct name_queue {
    struct name *head, *tail;
};

/* First questions for labels of one tenant, or of few whose names' hashes are alike. Lanes take
 * turns, and none gets more than a share: whoever makes up labels of one tenant, which no server
 * may answer for, holds up no label of another one. */
struct lane {
    struct name_queue queue;
    size_t in_flight;
};

struct name {
    struct resolver *resolver;
    struct lane *lane; /* NULL: nobody can make it up */
    char *text;
    struct ip address; /* IP_NONE: none so far */
    int64_t due_ms;
    bool answered; /* well or not */
    bool failing;  /* the last answer was no good, and that has been told */
    bool in_flight;
    enum urgency urgency; /* in flight: as which */
    bool queued;
    bool other_family; /* than that of the address in use is what the last answer led to */
    bool used;         /* asked for since the last resolver_forget_unused() */
    bool forgotten;    /* freed when its answer comes */
    struct name *next;
    struct name *next_queued;
};

struct resolver {
    struct main_loop *main_loop;
    struct resolver_events events;
    unsigned interval_s;
    char **nameservers; /* none: the system's */
    size_t nameserver_count;
    struct dns_client *client; /* NULL while it is being replaced */
    struct main_timer *sweep_timer;
    void *tree; /* names by text */
    struct name *names;
    struct name_queue queues[URGENCY__MAX]; /* without what is in lanes */
    size_t in_flight[URGENCY__MAX];
    struct lane lanes[LANES];
    unsigned next_lane; /* whose turn it is */
    size_t pending;
    bool is_starting; /* questions, one after the other */
};

/* -- Questions and answers -------------------------------------------------------------------- */

static void name_free(struct name *name)
{
    free(name->text);
    free(name);
}

/* IPv4 is what Open WebUI listens on unless told. A machine that has no IPv4 has no way to it,
 * though the name has such an address for others. */
bool resolver_prefers(const struct ip *ip, const struct ip *other)
{
    if (other->family == IP_NONE)
        return true;
    if (ip->family == other->family)
        return memcmp(ip->bytes, other->bytes, sizeof(ip->bytes)) < 0;
    bool has_route = ip_has_route(ip);
    return has_route != ip_has_route(other) ? has_route : ip->family < other->family;
}

/* The one in use stays while it is among those of its family. */
static bool is_better(const struct name *name, const struct ip *address, const struct ip *chosen)
{
    if (address->family != chosen->family)
        return resolver_prefers(address, chosen);
    return !ip_equal(chosen, &name->address) &&
           (ip_equal(address, &name->address) || resolver_prefers(address, chosen));
}

/* Chooses among the answers; `*ttl_s` is the shortest of all. False when none may be used. */
static bool choose(const struct name *name, const struct dns_addresses *answers, struct ip *chosen,
                   int *ttl_s)
{
    const struct resolver_events *events = &name->resolver->events;
    *chosen = (struct ip){0};
    *ttl_s = INT32_MAX;
    for (size_t i = 0; i < answers->count; i++) {
        const struct ip *address = &answers->items[i].ip;
        if (!events->is_allowed(events->context, address))
            continue;
        if (answers->items[i].ttl_s < *ttl_s)
            *ttl_s = answers->items[i].ttl_s;
        if (is_better(name, address, chosen))
            *chosen = *address;
    }
    return chosen->family != IP_NONE;
}

static void start_queued(struct resolver *resolver);

static enum urgency urgency_of(const struct name *name)
{
    return !name->answered ? FIRST : name->failing ? SLOW : USUAL;
}

/* In which a question of this urgency is; NULL: in none. */
static struct lane *lane_of(const struct name *name, enum urgency urgency)
{
    return urgency == FIRST ? name->lane : NULL;
}

static void take_failure(struct name *name, const char *reason, bool is_first)
{
    const struct resolver_events *events = &name->resolver->events;
    bool has_address = name->address.family != IP_NONE;
    name->due_ms = clock_mono_ms() + (has_address ? RESOLVE_MIN_S : RESOLVE_NEGATIVE_S) * 1000;
    if (!name->failing)
        events->on_failure(events->context, name->text, reason, &name->address);
    name->failing = true;
    if (is_first)
        events->on_change(events->context, name->text);
}

static void take_success(struct name *name, const struct ip *address, int ttl_s)
{
    const struct resolver_events *events = &name->resolver->events;
    int64_t keep_s = ttl_s;
    if (keep_s > name->resolver->interval_s)
        keep_s = name->resolver->interval_s;
    if (keep_s < RESOLVE_MIN_S)
        keep_s = RESOLVE_MIN_S;
    name->due_ms = clock_mono_ms() + keep_s * 1000;
    name->failing = false;
    if (ip_equal(address, &name->address))
        return;
    name->address = *address;
    events->on_change(events->context, name->text);
}

/* Where the answer for one family is lost, all there is to see is one for the other, which the
 * upstream need not listen on. So the address in use stays until that is said a second time. */
static bool is_lost(struct name *name, uint8_t family)
{
    bool is_first_time = !name->other_family;
    name->other_family = name->address.family != IP_NONE && name->address.family != family;
    return name->other_family && is_first_time;
}

static void on_answer(void *context, const struct dns_addresses *answers)
{
    struct name *name = context;
    struct resolver *resolver = name->resolver;
    struct ip address = {0};
    int ttl_s;

    struct lane *lane = lane_of(name, name->urgency);
    name->in_flight = false;
    resolver->in_flight[name->urgency]--;
    if (lane != NULL)
        lane->in_flight--;
    if (name->forgotten) {
        if (!name->answered)
            resolver->pending--;
        name_free(name);
        return;
    }
    if (answers->status == DNS_CANCELLED)
        return; /* others are to be asked: the name is asked for again */
    bool is_first = !name->answered;
    name->answered = true;
    if (is_first)
        resolver->pending--;
    if (answers->status != DNS_FOUND)
        take_failure(name, answers->reason, is_first);
    else if (!choose(name, answers, &address, &ttl_s))
        take_failure(name, "none of its addresses is in upstream_allow", is_first);
    else if (is_lost(name, address.family))
        take_success(name, &name->address, RESOLVE_MIN_S);
    else
        take_success(name, &address, ttl_s);
    start_queued(resolver);
}

static void ask(struct name *name)
{
    name->in_flight = true;
    name->urgency = urgency_of(name);
    name->resolver->in_flight[name->urgency]++;
    struct lane *lane = lane_of(name, name->urgency);
    if (lane != NULL)
        lane->in_flight++;
    dns_client_addresses(name->resolver->client, name->text, DNS_ANY_FAMILY, on_answer, name);
}

static void enqueue(struct name *name)
{
    enum urgency urgency = urgency_of(name);
    struct lane *lane = lane_of(name, urgency);
    struct name_queue *queue = lane != NULL ? &lane->queue : &name->resolver->queues[urgency];
    if (name->queued || name->in_flight)
        return;
    name->queued = true;
    name->next_queued = NULL;
    if (queue->tail != NULL)
        queue->tail->next_queued = name;
    else
        queue->head = name;
    queue->tail = name;
}

static struct name *take_first(struct name_queue *queue)
{
    struct name *name = queue->head;
    queue->head = name->next_queued;
    if (queue->head == NULL)
        queue->tail = NULL;
    name->queued = false;
    return name;
}

static bool has_room(const struct resolver *resolver, enum urgency urgency)
{
    const struct name_queue *queues = resolver->queues;
    bool others_wait = queues[USUAL].head != NULL || queues[SLOW].head != NULL;
    switch (urgency) {
    case FIRST: return !others_wait || resolver->in_flight[FIRST] < MAX_FIRST_IN_FLIGHT;
    case SLOW: return resolver->in_flight[SLOW] < MAX_SLOW_IN_FLIGHT;
    default: return true;
    }
}

static struct name *next_in_lanes(struct resolver *resolver)
{
    for (unsigned i = 0; i < LANES; i++) {
        unsigned index = (resolver->next_lane + i) % LANES;
        struct lane *lane = &resolver->lanes[index];
        if (lane->queue.head == NULL ||
            !fair_has_room(lane->in_flight, resolver->in_flight[FIRST], MAX_FIRST_IN_FLIGHT))
            continue;
        resolver->next_lane = (index + 1) % LANES;
        return take_first(&lane->queue);
    }
    return NULL;
}

static struct name *next_of(struct resolver *resolver, enum urgency urgency)
{
    if (resolver->queues[urgency].head != NULL && has_room(resolver, urgency))
        return take_first(&resolver->queues[urgency]);
    return urgency == FIRST ? next_in_lanes(resolver) : NULL;
}

/* The one to ask now; NULL: there is none, or enough are being asked for. */
static struct name *next_queued(struct resolver *resolver)
{
    const size_t *in_flight = resolver->in_flight;
    if (resolver->client == NULL ||
        in_flight[FIRST] + in_flight[USUAL] + in_flight[SLOW] >= MAX_IN_FLIGHT)
        return NULL;
    struct name *name = NULL;
    for (enum urgency urgency = FIRST; urgency < URGENCY__MAX && name == NULL; urgency++)
        name = next_of(resolver, urgency);
    return name;
}

/* Answers that come at once, as where there is no network, call this again: those questions are
 * left to the loop that is running already. */
static void start_queued(struct resolver *resolver)
{
    if (resolver->is_starting)
        return;
    resolver->is_starting = true;
    for (struct name *name; (name = next_queued(resolver)) != NULL;) {
        if (name->forgotten) {
            if (!name->answered)
                resolver->pending--;
            name_free(name);
            continue;
        }
        ask(name);
    }
    resolver->is_starting = false;
}

/* -- Names ------------------------------------------------------------------------------------ */

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

static struct name *name_new(struct resolver *resolver, const char *text, struct lane *lane)
{
    struct name *name = memory_new(sizeof(*name));
    name->resolver = resolver;
    name->lane = lane;
    name->text = memory_copy_text(slice_of(text));
    name->next = resolver->names;
    resolver->names = name;
    resolver->pending++;
    if (tsearch(name, &resolver->tree, compare_names) == NULL)
        memory_give_up(sizeof(*name));
    return name;
}

static enum resolver_answer find(struct resolver *resolver, const char *text, struct lane *lane,
                                 struct ip *address)
{
    struct name key = {.text = memory_copy_text(slice_of(text))};
    void *const *found = tfind(&key, &resolver->tree, compare_names);
    free(key.text);

    struct name *name = found != NULL ? *found : name_new(resolver, text, lane);
    name->used = true;
    if (found == NULL) {
        enqueue(name);
        start_queued(resolver);
    }
    if (!name->answered)
        return RESOLVER_PENDING;
    if (name->address.family == IP_NONE)
        return RESOLVER_FAILED;
    /* The list of addresses may have been narrowed since the answer came, in which there may be
     * another one. */
    if (!resolver->events.is_allowed(resolver->events.context, &name->address)) {
        if (!name->failing)
            name->due_ms = 0;
        return RESOLVER_FAILED;
    }
    *address = name->address;
    return RESOLVER_KNOWN;
}

enum resolver_answer resolver_find(struct resolver *resolver, const char *name, struct ip *address)
{
    return find(resolver, name, NULL, address);
}

enum resolver_answer resolver_find_label(struct resolver *resolver, const char *tenant,
                                         const char *name, struct ip *address)
{
    return find(resolver, name, &resolver->lanes[hash_bytes(slice_of(tenant)) % LANES], address);
}

size_t resolver_pending(const struct resolver *resolver)
{
    return resolver->pending;
}

static void forget(struct resolver *resolver, struct name *name)
{
    tdelete(name, &resolver->tree, compare_names);
    if (name->in_flight || name->queued) {
        name->forgotten = true;
        return;
    }
    if (!name->answered)
        resolver->pending--;
    name_free(name);
}

void resolver_forget_unused(struct resolver *resolver)
{
    struct name **link = &resolver->names;
    while (*link != NULL) {
        struct name *name = *link;
        if (name->used) {
            name->used = false;
            link = &name->next;
            continue;
        }
        *link = name->next;
        forget(resolver, name);
    }
}

static void close_client(struct resolver *resolver)
{
    struct dns_client *client = resolver->client;
    resolver->client = NULL; /* so that nothing is asked from within the callbacks */
    dns_client_free(client);
}

enum error resolver_restart(struct resolver *resolver, struct error_text *text)
{
    const struct dns_client_settings settings = {
        .nameservers = (const char *const *)resolver->nameservers,
        .nameserver_count = resolver->nameserver_count,
        .try_ms = QUESTION_TRY_MS,
        .tries = QUESTION_TRIES,
    };
    close_client(resolver);
    for (struct name *name = resolver->names; name != NULL; name = name->next)
        enqueue(name);
    resolver->client = dns_client_new(resolver->main_loop, &settings, text);
    start_queued(resolver);
    return resolver->client != NULL ? ERROR_OK : ERROR_INVALID;
}

static bool same_nameservers(const struct resolver *resolver,
                             const struct resolver_options *options)
{
    if (resolver->nameserver_count != options->nameserver_count)
        return false;
    for (size_t i = 0; i < options->nameserver_count; i++)
        if (strcmp(resolver->nameservers[i], options->nameservers[i]) != 0)
            return false;
    return true;
}

static void free_nameservers(struct resolver *resolver)
{
    memory_free_texts(resolver->nameservers, resolver->nameserver_count);
    resolver->nameservers = NULL;
    resolver->nameserver_count = 0;
}

enum error resolver_configure(struct resolver *resolver, const struct resolver_options *options,
                              struct error_text *text)
{
    resolver->interval_s = options->interval_s;
    if (resolver->client != NULL && same_nameservers(resolver, options))
        return ERROR_OK;
    free_nameservers(resolver);
    resolver->nameserver_count = options->nameserver_count;
    resolver->nameservers = memory_new(options->nameserver_count * sizeof(char *));
    for (size_t i = 0; i < options->nameserver_count; i++)
        resolver->nameservers[i] = memory_copy_text(slice_of(options->nameservers[i]));
    return resolver_restart(resolver, text);
}

/* Another network has other servers. Who is told by name whom to ask is not asked for that. */
static void follow_system(struct resolver *resolver)
{
    struct error_text why;
    if (resolver->client == NULL || !dns_client_is_outdated(resolver->client))
        return;
    log_event(LOG_INFO, "nameservers_changed", LOG_TEXT("file", "/etc/resolv.conf"));
    if (resolver_restart(resolver, &why) != ERROR_OK)
        log_event(LOG_ERROR, "cannot_resolve", LOG_TEXT("reason", why.text));
}

static void on_sweep(void *context)
{
    struct resolver *resolver = context;
    int64_t now_ms = clock_mono_ms();
    follow_system(resolver);
    for (struct name *name = resolver->names; name != NULL; name = name->next)
        if (name->answered && now_ms >= name->due_ms)
            enqueue(name);
    start_queued(resolver);
}

struct resolver *resolver_new(struct main_loop *main_loop, const struct resolver_events *events)
{
    struct resolver *resolver = memory_new(sizeof(*resolver));
    resolver->main_loop = main_loop;
    resolver->events = *events;
    resolver->interval_s = RESOLVE_MIN_S;
    resolver->sweep_timer = main_timer_new(main_loop, on_sweep, resolver);
    main_timer_every(resolver->sweep_timer, SWEEP_MS);
    return resolver;
}

static void leave_in_place(void *name)
{
    (void)name;
}

static void free_queued(struct name_queue *queue)
{
    while (queue->head != NULL) {
        struct name *name = take_first(queue);
        if (name->forgotten)
            name_free(name);
    }
}

void resolver_free(struct resolver *resolver)
{
    if (resolver == NULL)
        return;
    close_client(resolver);
    tdestroy(resolver->tree, leave_in_place);
    for (size_t i = 0; i < URGENCY__MAX; i++)
        free_queued(&resolver->queues[i]);
    for (size_t i = 0; i < LANES; i++)
        free_queued(&resolver->lanes[i].queue);
    while (resolver->names != NULL) {
        struct name *name = resolver->names;
        resolver->names = name->next;
        name_free(name);
    }
    main_timer_free(resolver->sweep_timer);
    free_nameservers(resolver);
    free(resolver);
}
