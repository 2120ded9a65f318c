/* HTTPS requests without blocking: see http/http_client.h.
 *
 * libcurl says which sockets and which moment it waits for; the loop tells it when they come. What
 * has ended is collected after each such call, and told from a list that survives whatever the
 * callbacks do to other exchanges.
 *
 * Exchanges wait for their turn here, and never in libcurl, whose limits of time count from when an
 * exchange is given to it: what waits for others' sake is not given up for being slow.
 */
#include "http/http_client.h"

#include "core/clock.h"
#include "core/memory.h"
#include "core/version.h"
#include "http/http_head.h"
#include "libcurl.h"

#include <stdlib.h>

enum {
    TIMEOUT_MS = 60 * 1000,
    CONNECT_MS = 15 * 1000,
    ANSWER_MAX_BYTES = 256 * 1024,
    HEADERS_MAX_BYTES = 64 * 1024,
    CHAIN_MAX_BYTES = 128 * 1024,
    AT_ONCE = 8,
    SMALL_HEADER_SIZE = 128,
    COOKIES_SIZE = 2048,
    LINK_SIZE = HTTP_URL_SIZE + 64,
};

/* There when there is a client. */
static const struct libcurl *const curl = &libcurl;

/* From the first to the last: those that came first. */
struct exchange_list {
    struct http_exchange *first, *last;
    size_t count;
};

struct http_client {
    struct main_loop *loop;
    struct main_timer *timer;      /* libcurl's */
    struct main_timer *turn_timer; /* somebody may have to begin, outside of everybody's call */
    CURLM *multi;
    struct curl_slist *post_headers;
    char *ca_file;
    struct http_client_settings settings;
    struct exchange_list running;
    struct exchange_list waiting;
};

/* One socket of libcurl's; it keeps the pointer for us. */
struct client_socket {
    struct http_client *client;
    curl_socket_t fd;
    struct main_watch *watch;
};

struct http_exchange {
    struct http_client *client;
    struct exchange_list *list; /* that it is in; NULL: none */
    struct http_exchange *next, *previous;
    CURL *easy;
    http_response_fn *on_answer;
    http_probed_fn *on_probed; /* of a probe, which has no on_answer */
    void *context;
    struct curl_slist *connect_to;
    struct curl_slist *probe_headers;
    bool upgraded; /* the answer to a probe is 101: what follows is not HTTP */
    struct bytes request_body;
    struct bytes body;
    struct bytes chain; /* of a probe: what the server has shown */
    size_t header_bytes;
    char failure[CURL_ERROR_SIZE];
    char location[HTTP_URL_SIZE];
    char retry_after[SMALL_HEADER_SIZE];
    char date[SMALL_HEADER_SIZE];
    char nonce[SMALL_HEADER_SIZE];
    char links[HTTP_LINKS_MAX][LINK_SIZE];
    size_t link_count;
    char allow_origin[SMALL_HEADER_SIZE];
    char refused[SMALL_HEADER_SIZE];
    char cookies[COOKIES_SIZE];
};

/* -- What libcurl waits for -- */

static void collect(struct http_client *client);

static void on_socket(void *context)
{
    struct client_socket *socket = context;
    struct http_client *client = socket->client;
    int running;
    /* No event mask: libcurl looks for itself. It may free `socket`. */
    curl->multi_socket_action(client->multi, socket->fd, 0, &running);
    collect(client);
}

static void on_timer(void *context)
{
    struct http_client *client = context;
    int running;
    curl->multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(client);
}

static int want_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *own)
{
    struct http_client *client = context;
    struct client_socket *socket = own;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (socket != NULL)
            main_watch_free(socket->watch);
        free(socket);
        return 0;
    }
    int events = (what & CURL_POLL_IN ? MAIN_READ : 0) | (what & CURL_POLL_OUT ? MAIN_WRITE : 0);
    if (socket == NULL) {
        socket = memory_new(sizeof(*socket));
        *socket = (struct client_socket){.client = client, .fd = fd};
        socket->watch = main_watch_new(client->loop, fd, events, on_socket, socket);
        curl->multi_assign(client->multi, fd, socket);
    } else {
        main_watch_set(socket->watch, events);
    }
    return 0;
}

static int want_timer(CURLM *multi, long delay_ms, void *context)
{
    struct http_client *client = context;
    (void)multi;
    if (delay_ms < 0)
        main_timer_stop(client->timer);
    else
        main_timer_once(client->timer, delay_ms);
    return 0;
}

/* -- What arrives -- */

static size_t take_body(char *data, size_t size, size_t count, void *context)
{
    struct http_exchange *exchange = context;
    size_t limit = exchange->client->settings.answer_max_bytes;
    if (!bytes_append(&exchange->body, slice_from(data, size * count), limit))
        return 0; /* ends the exchange */
    return size * count;
}

static void forget_headers(struct http_exchange *exchange)
{
    exchange->location[0] = exchange->retry_after[0] = '\0';
    exchange->date[0] = exchange->nonce[0] = '\0';
    exchange->link_count = 0;
    exchange->allow_origin[0] = exchange->refused[0] = exchange->cookies[0] = '\0';
}

/* One a line; what does not fit is left out. */
static void add_cookie(struct http_exchange *exchange, struct slice value)
{
    size_t used = strlen(exchange->cookies);
    if (used + value.size + 2 > sizeof(exchange->cookies))
        return;
    memcpy(exchange->cookies + used, value.data, value.size);
    memcpy(exchange->cookies + used + value.size, "\n", 2);
}

/* A value that does not fit is as good as none, also behind one that did. */
static void copy_header(struct slice value, char *copy, size_t size)
{
    copy[0] = '\0';
    if (value.size >= size)
        return;
    memcpy(copy, value.data, value.size);
    copy[value.size] = '\0';
}

/* Cuts off the first of the links of a header, which may have several behind commas (RFC 8288 3); a
 * comma in a URL or in quotes is none of those. */
static struct slice cut_link(struct slice *links)
{
    size_t size = 0;
    bool in_url = false, in_quotes = false;
    for (; size < links->size; size++) {
        char c = links->data[size];
        if (c == ',' && !in_url && !in_quotes)
            break;
        if (c == '"' && !in_url)
            in_quotes = !in_quotes;
        else if ((c == '<' || c == '>') && !in_quotes)
            in_url = c == '<';
    }
    struct slice link = slice_trim(slice_head(*links, size));
    *links = slice_skip(*links, size < links->size ? size + 1 : size);
    return link;
}

static void add_links(struct http_exchange *exchange, struct slice links)
{
    while (links.size > 0 && exchange->link_count < HTTP_LINKS_MAX) {
        struct slice link = cut_link(&links);
        if (link.size > 0 && link.size < LINK_SIZE)
            copy_header(link, exchange->links[exchange->link_count++], LINK_SIZE);
    }
}

static void take_header_line(struct http_exchange *exchange, struct slice line)
{
    if (slice_starts_with(line, SLICE("HTTP/")))
        forget_headers(exchange); /* those before were of a 1xx, or of a proxy */
    if (!slice_has(line, ':'))
        return;
    struct slice name = slice_cut(&line, ':');
    struct slice value = slice_trim(line);
    if (!http_is_field_value(value)) /* what is in one here may be shown to people */
        return;
    if (slice_equal_nocase(name, SLICE("location")))
        copy_header(value, exchange->location, sizeof(exchange->location));
    else if (slice_equal_nocase(name, SLICE("retry-after")))
        copy_header(value, exchange->retry_after, sizeof(exchange->retry_after));
    else if (slice_equal_nocase(name, SLICE("date")))
        copy_header(value, exchange->date, sizeof(exchange->date));
    else if (slice_equal_nocase(name, SLICE("replay-nonce")))
        copy_header(value, exchange->nonce, sizeof(exchange->nonce));
    else if (slice_equal_nocase(name, SLICE("access-control-allow-origin")))
        copy_header(value, exchange->allow_origin, sizeof(exchange->allow_origin));
    else if (slice_equal_nocase(name, SLICE("x-refused")))
        copy_header(value, exchange->refused, sizeof(exchange->refused));
    else if (slice_equal_nocase(name, SLICE("set-cookie")))
        add_cookie(exchange, value);
    else if (slice_equal_nocase(name, SLICE("link")))
        add_links(exchange, value);
}

static size_t take_header(char *data, size_t size, size_t count, void *context)
{
    struct http_exchange *exchange = context;
    struct slice line = {data, size * count};
    exchange->header_bytes += line.size;
    if (exchange->header_bytes > HEADERS_MAX_BYTES)
        return 0;
    while (line.size > 0 && (line.data[line.size - 1] == '\n' || line.data[line.size - 1] == '\r'))
        line.size--;
    take_header_line(exchange, line);
    if (line.size == 0 && exchange->probe_headers != NULL) {
        long status = 0;
        curl->easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
        exchange->upgraded = status == 101;
    }
    return exchange->upgraded ? 0 : size * count;
}

/* -- Exchanges -- */

static void append(struct exchange_list *list, struct http_exchange *exchange)
{
    exchange->list = list;
    exchange->next = NULL;
    exchange->previous = list->last;
    if (list->last != NULL)
        list->last->next = exchange;
    else
        list->first = exchange;
    list->last = exchange;
    list->count++;
}

static void take_out(struct http_exchange *exchange)
{
    struct exchange_list *list = exchange->list;
    if (exchange->previous != NULL)
        exchange->previous->next = exchange->next;
    else
        list->first = exchange->next;
    if (exchange->next != NULL)
        exchange->next->previous = exchange->previous;
    else
        list->last = exchange->previous;
    list->count--;
    exchange->list = NULL;
}

static void free_exchange(struct http_exchange *exchange)
{
    curl->easy_cleanup(exchange->easy);
    curl->slist_free_all(exchange->connect_to);
    curl->slist_free_all(exchange->probe_headers);
    bytes_free(&exchange->request_body);
    bytes_free(&exchange->body);
    bytes_free(&exchange->chain);
    free(exchange);
}

void http_exchange_cancel(struct http_exchange *exchange)
{
    if (exchange == NULL)
        return;
    struct http_client *client = exchange->client;
    if (exchange->list == &client->running)
        curl->multi_remove_handle(client->multi, exchange->easy);
    take_out(exchange);
    free_exchange(exchange);
    main_timer_once(client->turn_timer, 0);
}

static const char *reason_of(const struct http_exchange *exchange, CURLcode result)
{
    if (result == CURLE_WRITE_ERROR || result == CURLE_FILESIZE_EXCEEDED)
        return "the answer exceeds its size limit";
    return exchange->failure[0] != '\0' ? exchange->failure : curl->easy_strerror(result);
}

/* libcurl takes any number for one: "HTTP/2 99999". 0: there is none. */
static int status_of(const struct http_exchange *exchange)
{
    long status = 0;
    curl->easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
    return status >= 100 && status <= 999 ? (int)status : 0;
}

static void tell(struct http_exchange *exchange, CURLcode result)
{
    struct http_response answer = {.received_s = clock_wall_s()};
    if (result == CURLE_OK) {
        answer.status = status_of(exchange);
        answer.body = bytes_slice(&exchange->body);
        answer.location = slice_of(exchange->location);
        answer.retry_after = slice_of(exchange->retry_after);
        answer.date = slice_of(exchange->date);
        answer.link_count = exchange->link_count;
        for (size_t i = 0; i < exchange->link_count; i++)
            answer.links[i] = slice_of(exchange->links[i]);
        if (answer.status == 0)
            answer.failure = "the answer has no status that is one";
    } else {
        answer.failure = reason_of(exchange, result);
    }
    answer.nonce = slice_of(exchange->nonce);
    exchange->on_answer(exchange->context, &answer);
}

/* libcurl tells a certificate as "Name:value" lines, the last of which is its PEM text. */
static struct slice pem_of(const struct curl_slist *lines)
{
    for (const struct curl_slist *line = lines; line != NULL; line = line->next) {
        struct slice text = slice_of(line->data);
        if (slice_starts_with(text, SLICE("Cert:")))
            return slice_skip(text, 5);
    }
    return (struct slice){0};
}

/* More than anybody would read is left out. */
static void tell_chain(struct http_exchange *exchange, struct http_probe_answer *answer)
{
    struct curl_certinfo *chain = NULL;
    if (curl->easy_getinfo(exchange->easy, CURLINFO_CERTINFO, &chain) != CURLE_OK ||
        chain == NULL || chain->num_of_certs < 1)
        return;
    answer->certificate = pem_of(chain->certinfo[0]);
    for (int i = 0; i < chain->num_of_certs; i++)
        if (!bytes_append(&exchange->chain, pem_of(chain->certinfo[i]), CHAIN_MAX_BYTES) ||
            !bytes_append(&exchange->chain, SLICE("\n"), CHAIN_MAX_BYTES))
            break;
    answer->chain = bytes_slice(&exchange->chain);
}

static void tell_probe(struct http_exchange *exchange, CURLcode result)
{
    struct http_probe_answer answer = {.result = HTTP_PROBE_BROKEN};
    switch (result) {
    case CURLE_OK: answer.result = HTTP_PROBE_ANSWERED; break;
    case CURLE_COULDNT_CONNECT: answer.result = HTTP_PROBE_REFUSED; break;
    case CURLE_OPERATION_TIMEDOUT: answer.result = HTTP_PROBE_TIMED_OUT; break;
    case CURLE_SSL_CONNECT_ERROR: answer.result = HTTP_PROBE_NO_TLS; break;
    default: break;
    }
    if (exchange->upgraded)
        answer.result = HTTP_PROBE_ANSWERED;
    else if (result != CURLE_OK)
        answer.failure = reason_of(exchange, result);
    answer.status = status_of(exchange);
    answer.body = bytes_slice(&exchange->body);
    answer.location = slice_of(exchange->location);
    answer.cookies = slice_of(exchange->cookies);
    answer.allow_origin = slice_of(exchange->allow_origin);
    answer.refused = slice_of(exchange->refused);
    tell_chain(exchange, &answer);
    exchange->on_probed(exchange->context, &answer);
}

/* Its owner may send, cancel, or free whatever else it has: the exchange is off all lists. */
static void end(struct http_exchange *exchange, CURLcode result)
{
    if (exchange->on_probed != NULL)
        tell_probe(exchange, result);
    else
        tell(exchange, result);
    free_exchange(exchange);
}

static bool has_turn(const struct http_client *client)
{
    return client->running.count < client->settings.at_once;
}

static void begin(struct http_exchange *exchange)
{
    struct http_client *client = exchange->client;
    if (curl->multi_add_handle(client->multi, exchange->easy) == CURLM_OK)
        append(&client->running, exchange);
    else
        end(exchange, CURLE_OUT_OF_MEMORY);
}

static void on_turn(void *context)
{
    struct http_client *client = context;
    struct http_exchange *next;
    while (has_turn(client) && (next = client->waiting.first) != NULL) {
        /* Who has ended is off the list, which the analyzer does not see. */
        take_out(next); /* NOLINT(clang-analyzer-unix.Malloc) */
        begin(next);
    }
}

/* Tells the exchanges that have ended. */
static void collect(struct http_client *client)
{
    CURLMsg *message;
    int left;
    while ((message = curl->multi_info_read(client->multi, &left)) != NULL) {
        struct http_exchange *exchange = NULL;
        CURLcode result = message->data.result; /* the message dies with its handle */
        if (message->msg != CURLMSG_DONE)
            continue;
        curl->easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&exchange);
        curl->multi_remove_handle(client->multi, exchange->easy);
        take_out(exchange);
        end(exchange, result);
    }
    on_turn(client);
}

enum allowed { ALLOW_HTTPS, ALLOW_HTTP, ALLOW_BOTH };

/* libcurl speaks more than a URL from a stranger may ask for. */
static bool allow_protocols(CURL *easy, enum allowed allowed)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    static const char *const PROTOCOLS[] = {"https", "http", "http,https"};
    return curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, PROTOCOLS[allowed]) == CURLE_OK;
#else
    static const long PROTOCOLS[] = {CURLPROTO_HTTPS, CURLPROTO_HTTP,
                                     CURLPROTO_HTTP | CURLPROTO_HTTPS};
    return curl->easy_setopt(easy, CURLOPT_PROTOCOLS, PROTOCOLS[allowed]) == CURLE_OK;
#endif
}

/* In the place of the system's: of these libcurl may know a folder besides, which it would go on
 * trusting. Some TLS libraries have no folders. */
static bool set_roots(CURL *easy, const char *ca_file)
{
    if (curl->easy_setopt(easy, CURLOPT_CAINFO, ca_file) != CURLE_OK)
        return false;
    CURLcode result = curl->easy_setopt(easy, CURLOPT_CAPATH, (char *)NULL);
    return result == CURLE_OK || result == CURLE_NOT_BUILT_IN;
}

static bool set_limits(struct http_exchange *exchange)
{
    const struct http_client_settings *settings = &exchange->client->settings;
    CURL *easy = exchange->easy;
    bool set = allow_protocols(easy, ALLOW_HTTPS);
    set = set && curl->easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK;
    set = set && curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
    set =
        set && curl->easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)settings->timeout_ms) == CURLE_OK;
    set = set && curl->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)settings->connect_ms) ==
                     CURLE_OK;
    set = set && curl->easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE,
                                   (curl_off_t)settings->answer_max_bytes) == CURLE_OK;
    set = set && curl->easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L) == CURLE_OK;
#if LIBCURL_VERSION_NUM >= 0x075700
    /* A name is asked for in a thread. Who gives up leaves it alone instead of waiting until it has
     * an answer, which takes name servers that are away half a minute. A libcurl that is older than
     * its header does not know how. */
    if (set)
        (void)curl->easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
    if (exchange->client->ca_file != NULL)
        set = set && set_roots(easy, exchange->client->ca_file);
    return set;
}

static bool set_request(struct http_exchange *exchange, const struct http_client_request *request)
{
    CURL *easy = exchange->easy;
    bool set =
        curl->easy_setopt(easy, CURLOPT_URL, request->url) == CURLE_OK &&
        curl->easy_setopt(easy, CURLOPT_USERAGENT, "owui-spoa/" OWUI_SPOA_VERSION) == CURLE_OK &&
        curl->easy_setopt(easy, CURLOPT_PRIVATE, exchange) == CURLE_OK &&
        curl->easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->failure) == CURLE_OK &&
        curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
        curl->easy_setopt(easy, CURLOPT_WRITEDATA, exchange) == CURLE_OK &&
        curl->easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header) == CURLE_OK &&
        curl->easy_setopt(easy, CURLOPT_HEADERDATA, exchange) == CURLE_OK;
    if (request->method == HTTP_HEAD)
        set = set && curl->easy_setopt(easy, CURLOPT_NOBODY, 1L) == CURLE_OK;
    if (request->method == HTTP_POST)
        set =
            set && bytes_set(&exchange->request_body, request->body) &&
            curl->easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.size) ==
                CURLE_OK &&
            curl->easy_setopt(easy, CURLOPT_POSTFIELDS,
                              request->body.size > 0 ? exchange->request_body.data : "") ==
                CURLE_OK &&
            curl->easy_setopt(easy, CURLOPT_HTTPHEADER, exchange->client->post_headers) == CURLE_OK;
    return set &&
           curl->easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK;
}

/* NULL when memory runs out. */
static struct http_exchange *new_exchange(struct http_client *client, void *context)
{
    struct http_exchange *exchange = calloc(1, sizeof(*exchange));
    if (exchange == NULL)
        return NULL;
    exchange->client = client;
    exchange->context = context;
    exchange->easy = curl->easy_init();
    if (exchange->easy == NULL || !set_limits(exchange)) {
        free_exchange(exchange);
        return NULL;
    }
    return exchange;
}

/* Takes over the exchange; NULL when it is not `ready`. */
static struct http_exchange *start(struct http_exchange *exchange, bool ready)
{
    struct http_client *client = exchange->client;
    if (!ready) {
        free_exchange(exchange);
        return NULL;
    }
    append(&client->waiting, exchange);
    if (has_turn(client))
        main_timer_once(client->turn_timer, 0);
    return exchange;
}

struct http_exchange *http_client_send(struct http_client *client,
                                       const struct http_client_request *request,
                                       http_response_fn *on_answer, void *context)
{
    struct http_exchange *exchange = new_exchange(client, context);
    if (exchange == NULL)
        return NULL;
    exchange->on_answer = on_answer;
    return start(exchange, set_request(exchange, request));
}

/* A server with certificates of both kinds shows the one that the client's ciphers allow; TLS 1.3
 * has no such ciphers. */
static bool set_key_choice(CURL *easy, const struct http_probe *probe)
{
    if (probe->key == HTTP_PROBE_ANY_KEY)
        return true;
    const char *ciphers = probe->key == HTTP_PROBE_RSA ? "ECDHE+aRSA:DHE+aRSA:aRSA" : "ECDHE+ECDSA";
    return curl->easy_setopt(easy, CURLOPT_SSLVERSION,
                             (long)(CURL_SSLVERSION_TLSv1_2 | CURL_SSLVERSION_MAX_TLSv1_2)) ==
               CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_SSL_CIPHER_LIST, ciphers) == CURLE_OK;
}

static bool add_line(struct http_exchange *exchange, const char *line)
{
    struct curl_slist *longer = curl->slist_append(exchange->probe_headers, line);
    exchange->probe_headers = longer != NULL ? longer : exchange->probe_headers;
    return longer != NULL;
}

/* "Origin: https://..."; nothing when there is no value. */
static bool add_field(struct http_exchange *exchange, const char *name, const char *value)
{
    if (value == NULL)
        return true;
    char *line = memory_format("%s%s", name, value);
    bool added = add_line(exchange, line);
    free(line);
    return added;
}

/* What a page sends; to open a WebSocket more (RFC 6455 section 4.1), whose key is as good as any.
 */
static bool set_headers(struct http_exchange *exchange, const struct http_probe *probe)
{
    static const char *const UPGRADE[] = {"Upgrade: websocket", "Connection: Upgrade",
                                          "Sec-WebSocket-Version: 13",
                                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="};
    bool websocket = probe->websocket_origin != NULL;
    bool set =
        add_field(exchange, "Origin: ", websocket ? probe->websocket_origin : probe->origin) &&
        add_field(exchange, "Authorization: Bearer ", probe->bearer);
    for (size_t i = 0; websocket && i < COUNT_OF(UPGRADE) && set; i++)
        set = add_line(exchange, UPGRADE[i]);
    return set && curl->easy_setopt(exchange->easy, CURLOPT_HTTPHEADER, exchange->probe_headers) ==
                      CURLE_OK;
}

static bool set_probe_tls(CURL *easy, const struct http_probe *probe)
{
    return (probe->path != NULL || curl->easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L) == CURLE_OK) &&
           curl->easy_setopt(easy, CURLOPT_CERTINFO, 1L) == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L) == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L) == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L) == CURLE_OK &&
           set_key_choice(easy, probe);
}

/* One GET on a connection of its own, to the address that the caller says. */
static bool set_own_connection(struct http_exchange *exchange, const char *url,
                               const char *connect_to)
{
    CURL *easy = exchange->easy;
    char *entry = memory_format("::%s", connect_to);
    const struct http_client_request request = {.method = HTTP_GET, .url = url};
    exchange->connect_to = curl->slist_append(NULL, entry);
    free(entry);
    bool set = exchange->connect_to != NULL && set_request(exchange, &request) &&
               curl->easy_setopt(easy, CURLOPT_CONNECT_TO, exchange->connect_to) == CURLE_OK &&
               curl->easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK &&
               curl->easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L) == CURLE_OK &&
               curl->easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK;
    return set;
}

static bool set_probe(struct http_exchange *exchange, const struct http_probe *probe)
{
    CURL *easy = exchange->easy;
    bool tls = probe->tls || probe->path == NULL;
    char *url = memory_format("%s://%s%s", tls ? "https" : "http", probe->host,
                              probe->path != NULL ? probe->path : "/");
    bool set = set_own_connection(exchange, url, probe->connect_to);
    set = set && allow_protocols(easy, tls ? ALLOW_HTTPS : ALLOW_HTTP);
    if (tls)
        set = set && set_probe_tls(easy, probe);
    set = set && set_headers(exchange, probe);
    if (probe->proxy_line)
        set = set && curl->easy_setopt(easy, CURLOPT_HAPROXYPROTOCOL, 1L) == CURLE_OK;
    free(url);
    return set;
}

struct http_exchange *http_client_probe(struct http_client *client, const struct http_probe *probe,
                                        http_probed_fn *on_probed, void *context)
{
    struct http_exchange *exchange = new_exchange(client, context);
    if (exchange == NULL)
        return NULL;
    exchange->on_probed = on_probed;
    return start(exchange, set_probe(exchange, probe));
}

static bool set_look(struct http_exchange *exchange, const struct http_look *look)
{
    CURL *easy = exchange->easy;
    bool set = set_own_connection(exchange, look->url, look->connect_to) &&
               allow_protocols(easy, ALLOW_BOTH);
    if (look->no_verify)
        set = set && curl->easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L) == CURLE_OK &&
              curl->easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L) == CURLE_OK;
    return set;
}

struct http_exchange *http_client_look(struct http_client *client, const struct http_look *look,
                                       http_probed_fn *on_probed, void *context)
{
    struct http_exchange *exchange = new_exchange(client, context);
    if (exchange == NULL)
        return NULL;
    exchange->on_probed = on_probed;
    return start(exchange, set_look(exchange, look));
}

/* -- The client -- */

static void apply_defaults(struct http_client_settings *settings)
{
    if (settings->timeout_ms == 0)
        settings->timeout_ms = TIMEOUT_MS;
    if (settings->connect_ms == 0)
        settings->connect_ms = CONNECT_MS;
    if (settings->answer_max_bytes == 0)
        settings->answer_max_bytes = ANSWER_MAX_BYTES;
    if (settings->at_once == 0)
        settings->at_once = AT_ONCE;
    settings->ca_file = settings->post_type = NULL; /* copied */
}

static bool set_multi(struct http_client *client)
{
    CURLM *multi = client->multi;
    return curl->multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, want_socket) == CURLM_OK &&
           curl->multi_setopt(multi, CURLMOPT_SOCKETDATA, client) == CURLM_OK &&
           curl->multi_setopt(multi, CURLMOPT_TIMERFUNCTION, want_timer) == CURLM_OK &&
           curl->multi_setopt(multi, CURLMOPT_TIMERDATA, client) == CURLM_OK;
}

static bool set_post_headers(struct http_client *client,
                             const struct http_client_settings *settings)
{
    if (settings->post_type == NULL)
        return true;
    char *header = memory_format("Content-Type: %s", settings->post_type);
    client->post_headers = curl->slist_append(NULL, header);
    free(header);
    return client->post_headers != NULL;
}

enum error http_client_possible(struct error_text *why)
{
    return libcurl_load(why);
}

struct http_client *http_client_new(struct main_loop *loop,
                                    const struct http_client_settings *settings,
                                    struct error_text *why)
{
    if (libcurl_load(why) != ERROR_OK)
        return NULL;
    struct http_client *client = memory_new(sizeof(*client));
    client->loop = loop;
    client->settings = *settings;
    apply_defaults(&client->settings);
    if (settings->ca_file != NULL)
        client->ca_file = memory_copy_text(slice_of(settings->ca_file));
    client->timer = main_timer_new(loop, on_timer, client);
    client->turn_timer = main_timer_new(loop, on_turn, client);
    client->multi = curl->multi_init();
    if (client->multi == NULL || !set_post_headers(client, settings) || !set_multi(client)) {
        error_set(why, ERROR_NO_MEMORY, "libcurl does not start: out of memory");
        http_client_free(client);
        return NULL;
    }
    return client;
}

void http_client_free(struct http_client *client)
{
    if (client == NULL)
        return;
    /* Cancelling takes the first out of the list, which the analyzer does not see. */
    while (client->running.first != NULL)
        http_exchange_cancel(client->running.first); /* NOLINT(clang-analyzer-unix.Malloc) */
    while (client->waiting.first != NULL)
        http_exchange_cancel(client->waiting.first); /* NOLINT(clang-analyzer-unix.Malloc) */
    if (client->multi != NULL)
        curl->multi_cleanup(client->multi); /* gives its sockets back through want_socket() */
    curl->slist_free_all(client->post_headers);
    main_timer_free(client->timer);
    main_timer_free(client->turn_timer);
    free(client->ca_file);
    free(client);
}
