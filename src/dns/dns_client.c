/* Questions to name servers: see dns/dns_client.h. The only file that knows c-ares.
 *
 * The library is driven from the main loop: it says which sockets it waits for and when it wants to
 * be called again. Its callbacks may come before the call that asked has returned.
 */
#include "dns/dns_client.h"

#include "core/file_stamp.h"
#include "core/memory.h"

#include <ares.h>
#include <stdlib.h>

enum {
    CLASS_INTERNET = 1,
    TYPE_CAA = 257,
    CAA_RECORDS_MAX = 64, /* of one answer; those behind are passed over */
};

static const char SYSTEM_FILE[] = "/etc/resolv.conf";

struct socket_watch {
    struct dns_client *client;
    struct main_watch *watch;
    ares_socket_t fd;
    int events;
    struct socket_watch *next;
};

struct dns_client {
    struct main_loop *main_loop;
    struct dns_client_settings settings;
    ares_channel channel;     /* NULL: not opened yet */
    struct file_stamp system; /* of SYSTEM_FILE, when it was opened */
    size_t questions;         /* under way, and those whose answers are being told */
    struct main_timer *timer;
    struct socket_watch *sockets;
};

struct address_question {
    struct dns_client *client;
    dns_addresses_fn *on_answer;
    void *context;
};

struct caa_question {
    struct dns_client *client;
    dns_caas_fn *on_answer;
    void *context;
};

/* -- The library and the main loop ------------------------------------------------------------ */

static void arm_timer(struct dns_client *client)
{
    struct timeval room;
    struct timeval *next = ares_timeout(client->channel, NULL, &room);
    if (next == NULL)
        main_timer_stop(client->timer);
    else
        main_timer_once(client->timer, next->tv_sec * 1000 + next->tv_usec / 1000 + 1);
}

static void on_timer(void *context)
{
    struct dns_client *client = context;
    ares_process_fd(client->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    arm_timer(client);
}

static void on_socket(void *context)
{
    const struct socket_watch *socket = context;
    struct dns_client *client = socket->client;
    ares_socket_t writable = (socket->events & MAIN_WRITE) != 0 ? socket->fd : ARES_SOCKET_BAD;
    ares_process_fd(client->channel, socket->fd, writable);
    arm_timer(client); /* `socket` may be gone */
}

/* The library opened a socket, waits for something else on it, or is about to close it. */
static void on_socket_state(void *context, ares_socket_t fd, int readable, int writable)
{
    struct dns_client *client = context;
    struct socket_watch **link = &client->sockets;
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
        socket->client = client;
        socket->fd = fd;
        socket->watch = main_watch_new(client->main_loop, fd, events, on_socket, socket);
        socket->next = client->sockets;
        client->sockets = socket;
    }
    socket->events = events;
    main_watch_set(socket->watch, events);
}

static char *join(const char *const *texts, size_t count)
{
    char *joined = memory_copy_text(SLICE(""));
    for (size_t i = 0; i < count; i++) {
        char *longer = memory_format("%s%s%s", joined, i > 0 ? "," : "", texts[i]);
        free(joined);
        joined = longer;
    }
    return joined;
}

static enum error open_channel(struct dns_client *client, struct error_text *why)
{
    const struct dns_client_settings *settings = &client->settings;
    struct ares_options options = {
        .timeout = settings->try_ms,
        .tries = (int)settings->tries,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = client,
    };
    int set = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
    if (settings->whole_names)
        set |= ARES_OPT_DOMAINS; /* to none */
    client->system = file_stamp_read(SYSTEM_FILE);
    int status = ares_init_options(&client->channel, &options, set);
    if (status != ARES_SUCCESS) {
        client->channel = NULL;
        return error_set(why, ERROR_SYSTEM, "cannot set up name resolution: %s",
                         ares_strerror(status));
    }
    if (settings->nameserver_count == 0)
        return ERROR_OK;
    char *nameservers = join(settings->nameservers, settings->nameserver_count);
    status = ares_set_servers_ports_csv(client->channel, nameservers);
    enum error error = ERROR_OK;
    if (status != ARES_SUCCESS)
        error = error_set(why, ERROR_INVALID, "not a list of name servers: \"%s\": %s", nameservers,
                          ares_strerror(status));
    free(nameservers);
    return error;
}

struct dns_client *dns_client_new(struct main_loop *main_loop,
                                  const struct dns_client_settings *settings,
                                  struct error_text *why)
{
    struct dns_client *client = memory_new(sizeof(*client));
    client->main_loop = main_loop;
    client->settings = *settings;
    client->timer = main_timer_new(main_loop, on_timer, client);
    ares_library_init(ARES_LIB_INIT_ALL); /* does nothing, and cannot fail, on Unix */
    if (settings->nameserver_count == 0 || open_channel(client, why) == ERROR_OK)
        return client;
    dns_client_free(client);
    return NULL;
}

/* The library takes 150 kB, and many never ask: so it is set up with the first question, unless
 * there are name servers to be understood. */
static bool is_open(struct dns_client *client, struct error_text *why)
{
    return client->channel != NULL || open_channel(client, why) == ERROR_OK;
}

bool dns_client_is_outdated(const struct dns_client *client)
{
    if (client->settings.nameserver_count > 0 || client->channel == NULL)
        return false;
    struct file_stamp present = file_stamp_read(SYSTEM_FILE);
    return !file_stamp_equal(&present, &client->system);
}

/* Not from within a callback of the library, whose question is under way until it has returned. */
void dns_client_follow(struct dns_client *client)
{
    if (client->questions > 0 || !dns_client_is_outdated(client))
        return;
    main_timer_stop(client->timer);
    ares_destroy(client->channel);
    client->channel = NULL;
}

void dns_client_free(struct dns_client *client)
{
    if (client == NULL)
        return;
    if (client->channel != NULL)
        ares_destroy(client->channel);
    ares_library_cleanup();
    main_timer_free(client->timer);
    free(client);
}

static enum dns_status status_of(int status)
{
    switch (status) {
    case ARES_SUCCESS: return DNS_FOUND;
    case ARES_ENODATA:
    case ARES_ENOTFOUND: return DNS_NOTHING;
    case ARES_EDESTRUCTION:
    case ARES_ECANCELLED: return DNS_CANCELLED;
    default: return DNS_TROUBLE;
    }
}

/* -- Addresses --------------------------------------------------------------------------------- */

/* What a CNAME leads to is another one's address when its own time is up, however long that of the
 * address is. */
static int shortest_cname_s(const struct ares_addrinfo *answers)
{
    int ttl_s = INT32_MAX;
    const struct ares_addrinfo_cname *cname = answers != NULL ? answers->cnames : NULL;
    for (; cname != NULL; cname = cname->next)
        if (cname->ttl < ttl_s)
            ttl_s = cname->ttl;
    return ttl_s;
}

static size_t count_addresses(const struct ares_addrinfo *answers)
{
    size_t count = 0;
    const struct ares_addrinfo_node *node = answers != NULL ? answers->nodes : NULL;
    for (; node != NULL; node = node->ai_next)
        count++;
    return count;
}

/* All are told: among those of an answer in turns, whoever asks looks for the one that it has. */
static void on_addresses(void *context, int status, int timeouts, struct ares_addrinfo *answers)
{
    struct address_question *question = context;
    struct dns_address *items = memory_resize(NULL, count_addresses(answers) + 1, sizeof(*items));
    size_t count = 0;
    int cname_s = shortest_cname_s(answers);
    (void)timeouts;
    const struct ares_addrinfo_node *node = answers != NULL ? answers->nodes : NULL;
    for (; node != NULL; node = node->ai_next) {
        items[count].ttl_s = node->ai_ttl < cname_s ? node->ai_ttl : cname_s;
        count += ip_from_socket(node->ai_addr, &items[count].ip, NULL);
    }
    if (status == ARES_SUCCESS && count == 0)
        status = ARES_ENODATA;
    const struct dns_addresses told = {.status = status_of(status),
                                       .reason = ares_strerror(status),
                                       .items = items,
                                       .count = count};
    question->on_answer(question->context, &told);
    question->client->questions--;
    free(items);
    ares_freeaddrinfo(answers);
    free(question);
}

void dns_client_addresses(struct dns_client *client, const char *name, enum dns_family family,
                          dns_addresses_fn *on_answer, void *context)
{
    static const int FAMILIES[] = {
        [DNS_ANY_FAMILY] = AF_UNSPEC, [DNS_IPV4] = AF_INET, [DNS_IPV6] = AF_INET6};
    const struct ares_addrinfo_hints hints = {
        .ai_family = FAMILIES[family], .ai_flags = ARES_AI_NOSORT, .ai_socktype = SOCK_STREAM};
    struct error_text why;
    if (!is_open(client, &why)) {
        on_answer(context, &(struct dns_addresses){.status = DNS_TROUBLE, .reason = why.text});
        return;
    }
    struct address_question *question = memory_new(sizeof(*question));
    *question = (struct address_question){client, on_answer, context};
    client->questions++;
    ares_getaddrinfo(client->channel, name, NULL, &hints, on_addresses, question);
    arm_timer(client);
}

/* -- CAA --------------------------------------------------------------------------------------- */

static void on_caas(void *context, int status, int timeouts, unsigned char *answer, int size)
{
    struct caa_question *question = context;
    struct ares_caa_reply *first = NULL;
    struct dns_caa items[CAA_RECORDS_MAX];
    size_t count = 0;
    (void)timeouts;
    if (status == ARES_SUCCESS)
        status = ares_parse_caa_reply(answer, size, &first);
    for (const struct ares_caa_reply *record = first; record != NULL && count < COUNT_OF(items);
         record = record->next)
        items[count++] = (struct dns_caa){
            .tag = slice_from(record->property, record->plength),
            .value = slice_from(record->value, record->length),
        };
    if (status == ARES_SUCCESS && count == 0)
        status = ARES_ENODATA;
    const struct dns_caas told = {.status = status_of(status),
                                  .reason = ares_strerror(status),
                                  .items = items,
                                  .count = count};
    question->on_answer(question->context, &told);
    if (first != NULL)
        ares_free_data(first);
    question->client->questions--;
    free(question);
}

void dns_client_caa(struct dns_client *client, const char *name, dns_caas_fn *on_answer,
                    void *context)
{
    struct error_text why;
    if (!is_open(client, &why)) {
        on_answer(context, &(struct dns_caas){.status = DNS_TROUBLE, .reason = why.text});
        return;
    }
    struct caa_question *question = memory_new(sizeof(*question));
    *question = (struct caa_question){client, on_answer, context};
    client->questions++;
    ares_query(client->channel, name, CLASS_INTERNET, TYPE_CAA, on_caas, question);
    arm_timer(client);
}
