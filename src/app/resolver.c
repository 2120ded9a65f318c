/* Addresses of upstreams that are given by name: see resolver.h. The only file that knows c-ares.
 *
 * The library is driven from the main loop: it says which sockets it waits for and when it wants to
 * be called again. Its callbacks may come before the call that asked has returned.
 */
#include "resolver.h"

#include "core/clock.h"
#include "core/memory.h"

#include <ares.h>
#include <netinet/in.h>
#include <search.h>
#include <stdlib.h>

enum {
    MAX_IN_FLIGHT = 64,
    QUESTION_TIMEOUT_MS = 1000, /* of the first try; the library doubles it */
    QUESTION_TRIES = 3,
    SWEEP_MS = 1000, /* how often names whose time is up are looked for */
};

struct name {
    struct resolver *resolver;
    char *text;
    struct ip address; /* IP_NONE: none so far */
    int64_t due_ms;
    bool answered; /* well or not */
    bool failing;  /* the last answer was no good, and that has been told */
    bool in_flight;
    bool queued;
    bool used;      /* asked for since the last resolver_forget_unused() */
    bool forgotten; /* freed when its answer comes */
    struct name *next;
    struct name *next_queued;
};

struct socket_watch {
    struct resolver *resolver;
    struct main_watch *watch;
    ares_socket_t fd;
    int events;
    struct socket_watch *next;
};

struct resolver {
    struct main_loop *main_loop;
    struct resolver_events events;
    unsigned interval_s;
    char *nameservers; /* as the library takes them: "127.0.0.1:8600,[::1]:53"; "": the system's */
    ares_channel channel; /* NULL while it is being replaced */
    struct main_timer *library_timer;
    struct main_timer *sweep_timer;
    struct socket_watch *sockets;
    void *tree; /* names by text */
    struct name *names;
    struct name *queue_head;
    struct name *queue_tail;
    size_t in_flight;
    size_t pending;
};

/* -- The library and the main loop ------------------------------------------------------------ */

static void arm_library_timer(struct resolver *resolver)
{
    struct timeval room;
    struct timeval *next =
        resolver->channel != NULL ? ares_timeout(resolver->channel, NULL, &room) : NULL;
    if (next == NULL)
        main_timer_stop(resolver->library_timer);
    else
        main_timer_once(resolver->library_timer, next->tv_sec * 1000 + next->tv_usec / 1000 + 1);
}

static void on_library_timer(void *context)
{
    struct resolver *resolver = context;
    ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    arm_library_timer(resolver);
}

static void on_socket(void *context)
{
    const struct socket_watch *socket = context;
    struct resolver *resolver = socket->resolver;
    ares_socket_t writable = (socket->events & MAIN_WRITE) != 0 ? socket->fd : ARES_SOCKET_BAD;
    ares_process_fd(resolver->channel, socket->fd, writable);
    arm_library_timer(resolver); /* `socket` may be gone */
}

/* The library opened a socket, waits for something else on it, or is about to close it. */
static void on_socket_state(void *context, ares_socket_t fd, int readable, int writable)
{
    struct resolver *resolver = context;
    struct socket_watch **link = &resolver->sockets;
    while (*link != NULL && (*link)->fd != fd)
        link = &(*link)->next;
    struct socket_watch *socket = *link;
    int events = (readable ? MAIN_READ : 0) | (writable ? MAIN_WRITE : 0);

    if (events == 0) {
        if (socket == NULL)
            return;
        *link = socket->next;
        main_watch_free(socket->watch);
        free(socket);
        return;
    }
    if (socket == NULL) {
        socket = memory_new(sizeof(*socket));
        socket->resolver = resolver;
        socket->fd = fd;
        socket->watch = main_watch_new(resolver->main_loop, fd, events, on_socket, socket);
        *link = socket;
    }
    socket->events = events;
    main_watch_set(socket->watch, events);
}

static enum error open_channel(struct resolver *resolver, struct error_text *text)
{
    struct ares_options options = {
        .timeout = QUESTION_TIMEOUT_MS,
        .tries = QUESTION_TRIES,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = resolver,
    };
    int status = ares_init_options(&resolver->channel, &options,
                                   ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
    if (status != ARES_SUCCESS) {
        resolver->channel = NULL;
        return error_set(text, ERROR_SYSTEM, "cannot set up name resolution: %s",
                         ares_strerror(status));
    }
    if (resolver->nameservers[0] == '\0')
        return ERROR_OK;
    status = ares_set_servers_ports_csv(resolver->channel, resolver->nameservers);
    if (status == ARES_SUCCESS)
        return ERROR_OK;
    return error_set(text, ERROR_INVALID, "not a list of name servers: \"%s\": %s",
                     resolver->nameservers, ares_strerror(status));
}

/* -- Questions and answers -------------------------------------------------------------------- */

static void name_free(struct name *name)
{
    free(name->text);
    free(name);
}

static bool address_of(const struct ares_addrinfo_node *node, struct ip *address)
{
    if (node->ai_family == AF_INET) {
        struct sockaddr_in socket;
        memcpy(&socket, node->ai_addr, sizeof(socket));
        return ip_from_bytes(slice_from(&socket.sin_addr, 4), address);
    }
    if (node->ai_family == AF_INET6) {
        struct sockaddr_in6 socket;
        memcpy(&socket, node->ai_addr, sizeof(socket));
        return ip_from_bytes(slice_from(&socket.sin6_addr, 16), address);
    }
    return false;
}

/* The order in which addresses are preferred: IPv4 first, then by their bytes. */
static bool comes_before(const struct ip *a, const struct ip *b)
{
    if (a->family != b->family)
        return a->family < b->family;
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) < 0;
}

/* Chooses among the answers; `*ttl_s` is the shortest of all. False when none may be used. */
static bool choose(const struct name *name, const struct ares_addrinfo *answers, struct ip *chosen,
                   int *ttl_s)
{
    const struct resolver_events *events = &name->resolver->events;
    bool found = false;
    *ttl_s = INT32_MAX;
    for (const struct ares_addrinfo_node *node = answers->nodes; node != NULL;
         node = node->ai_next) {
        struct ip address;
        if (!address_of(node, &address) || !events->is_allowed(events->context, &address))
            continue;
        if (node->ai_ttl < *ttl_s)
            *ttl_s = node->ai_ttl;
        bool is_in_use = ip_equal(&address, &name->address);
        if (!found || is_in_use ||
            (!ip_equal(chosen, &name->address) && comes_before(&address, chosen)))
            *chosen = address;
        found = true;
    }
    return found;
}

static void start_queued(struct resolver *resolver);

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

static void on_answer(void *context, int status, int timeouts, struct ares_addrinfo *answers)
{
    struct name *name = context;
    struct resolver *resolver = name->resolver;
    struct ip address = {0};
    int ttl_s;
    (void)timeouts;

    name->in_flight = false;
    resolver->in_flight--;
    if (name->forgotten) {
        if (!name->answered)
            resolver->pending--;
        ares_freeaddrinfo(answers);
        name_free(name);
        return;
    }
    if (status == ARES_EDESTRUCTION || status == ARES_ECANCELLED)
        return; /* the channel is being replaced: the name is asked for again */
    bool is_first = !name->answered;
    name->answered = true;
    if (is_first)
        resolver->pending--;
    if (status != ARES_SUCCESS)
        take_failure(name, ares_strerror(status), is_first);
    else if (!choose(name, answers, &address, &ttl_s))
        take_failure(name, "none of its addresses is in upstream_allow", is_first);
    else
        take_success(name, &address, ttl_s);
    ares_freeaddrinfo(answers);
    start_queued(resolver);
}

static void ask(struct name *name)
{
    const struct ares_addrinfo_hints hints = {
        .ai_family = AF_UNSPEC, .ai_flags = ARES_AI_NOSORT, .ai_socktype = SOCK_STREAM};
    name->in_flight = true;
    name->resolver->in_flight++;
    ares_getaddrinfo(name->resolver->channel, name->text, NULL, &hints, on_answer, name);
}

static void enqueue(struct name *name)
{
    struct resolver *resolver = name->resolver;
    if (name->queued || name->in_flight)
        return;
    name->queued = true;
    name->next_queued = NULL;
    if (resolver->queue_tail != NULL)
        resolver->queue_tail->next_queued = name;
    else
        resolver->queue_head = name;
    resolver->queue_tail = name;
}

/* Answers that come at once call this again; the queue is then shorter, and the depth is bounded by
 * the questions in flight. */
static void start_queued(struct resolver *resolver)
{
    while (resolver->channel != NULL && resolver->queue_head != NULL &&
           resolver->in_flight < MAX_IN_FLIGHT) {
        struct name *name = resolver->queue_head;
        resolver->queue_head = name->next_queued;
        if (resolver->queue_head == NULL)
            resolver->queue_tail = NULL;
        name->queued = false;
        if (name->forgotten) {
            if (!name->answered)
                resolver->pending--;
            name_free(name);
            continue;
        }
        ask(name);
    }
}

static void on_sweep(void *context)
{
    struct resolver *resolver = context;
    int64_t now_ms = clock_mono_ms();
    for (struct name *name = resolver->names; name != NULL; name = name->next)
        if (name->answered && now_ms >= name->due_ms)
            enqueue(name);
    start_queued(resolver);
    arm_library_timer(resolver);
}

/* -- Names ------------------------------------------------------------------------------------ */

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

static struct name *name_new(struct resolver *resolver, const char *text)
{
    struct name *name = memory_new(sizeof(*name));
    name->resolver = resolver;
    name->text = memory_copy_text(slice_of(text));
    name->next = resolver->names;
    resolver->names = name;
    resolver->pending++;
    if (tsearch(name, &resolver->tree, compare_names) == NULL)
        abort(); /* out of memory */
    return name;
}

enum resolver_answer resolver_find(struct resolver *resolver, const char *text, struct ip *address)
{
    struct name key = {.text = memory_copy_text(slice_of(text))};
    void *const *found = tfind(&key, &resolver->tree, compare_names);
    free(key.text);

    struct name *name = found != NULL ? *found : name_new(resolver, text);
    name->used = true;
    if (found == NULL) {
        enqueue(name);
        start_queued(resolver);
        arm_library_timer(resolver);
    }
    if (!name->answered)
        return RESOLVER_PENDING;
    /* The list of addresses may have been narrowed since the answer came. */
    if (name->address.family == IP_NONE ||
        !resolver->events.is_allowed(resolver->events.context, &name->address))
        return RESOLVER_FAILED;
    *address = name->address;
    return RESOLVER_KNOWN;
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

static void close_channel(struct resolver *resolver)
{
    ares_channel channel = resolver->channel;
    resolver->channel = NULL; /* so that nothing is asked from within the callbacks */
    if (channel != NULL)
        ares_destroy(channel);
}

enum error resolver_restart(struct resolver *resolver, struct error_text *text)
{
    close_channel(resolver);
    for (struct name *name = resolver->names; name != NULL; name = name->next)
        enqueue(name);
    enum error error = open_channel(resolver, text);
    start_queued(resolver);
    arm_library_timer(resolver);
    return error;
}

static char *join(char *const *texts, size_t count)
{
    char *joined = memory_copy_text(SLICE(""));
    for (size_t i = 0; i < count; i++) {
        char *longer = memory_format("%s%s%s", joined, i > 0 ? "," : "", texts[i]);
        free(joined);
        joined = longer;
    }
    return joined;
}

enum error resolver_configure(struct resolver *resolver, const struct resolver_options *options,
                              struct error_text *text)
{
    char *nameservers = join(options->nameservers, options->nameserver_count);
    bool asks_others = resolver->channel == NULL || strcmp(nameservers, resolver->nameservers) != 0;
    free(resolver->nameservers);
    resolver->nameservers = nameservers;
    resolver->interval_s = options->interval_s;
    return asks_others ? resolver_restart(resolver, text) : ERROR_OK;
}

struct resolver *resolver_new(struct main_loop *main_loop, const struct resolver_events *events)
{
    struct resolver *resolver = memory_new(sizeof(*resolver));
    resolver->main_loop = main_loop;
    resolver->events = *events;
    resolver->interval_s = RESOLVE_MIN_S;
    resolver->nameservers = memory_copy_text(SLICE(""));
    resolver->library_timer = main_timer_new(main_loop, on_library_timer, resolver);
    resolver->sweep_timer = main_timer_new(main_loop, on_sweep, resolver);
    main_timer_every(resolver->sweep_timer, SWEEP_MS);
    ares_library_init(ARES_LIB_INIT_ALL); /* does nothing, and cannot fail, on Unix */
    return resolver;
}

static void leave_in_place(void *name)
{
    (void)name;
}

void resolver_free(struct resolver *resolver)
{
    if (resolver == NULL)
        return;
    close_channel(resolver);
    ares_library_cleanup();
    tdestroy(resolver->tree, leave_in_place);
    while (resolver->queue_head != NULL) {
        struct name *name = resolver->queue_head;
        resolver->queue_head = name->next_queued;
        if (name->forgotten)
            name_free(name);
    }
    while (resolver->names != NULL) {
        struct name *name = resolver->names;
        resolver->names = name->next;
        name_free(name);
    }
    main_timer_free(resolver->library_timer);
    main_timer_free(resolver->sweep_timer);
    free(resolver->nameservers);
    free(resolver);
}
