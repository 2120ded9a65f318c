/* http_client: what a server may answer with, whose turn it is, and what is asked nobody else. */
#include "core/clock.h"
#include "core/memory.h"
#include "crypto/crypto.h"
#include "http/http_client.h"
#include "libcurl.h"
#include "loopback_listener.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 8, MAX_BYTES = 100 };

/* What came of one request. */
struct asked {
    struct test *test;
    struct http_exchange *exchange; /* NULL when it has ended */
    size_t turn;                    /* 1: the first to end; 0: it has not */
    int result, status;
    char failure[300];
    char location[HTTP_URL_SIZE], refused[300], cookies[4096];
    size_t body_size;
};

/* A server that answers every connection with the same, or with nothing (NULL). */
struct test {
    struct main_loop *loop;
    struct http_client *client;
    int listener;
    char address[32];
    const char *answer;
    struct main_watch *listening;
    struct connection {
        struct test *test;
        int fd;
        struct main_watch *watch;
    } connections[CONNECTIONS_MAX];
    size_t connection_count;
    size_t ended, expected;
};

static void on_request(void *context)
{
    struct connection *connection = context;
    const char *answer = connection->test->answer;
    char request[4096];
    ssize_t size = recv(connection->fd, request, sizeof(request), 0);
    if (size <= 0)
        main_watch_set(connection->watch, 0);
    else if (answer != NULL)
        for (size_t sent = 0; sent < strlen(answer) && size > 0; sent += (size_t)size) {
            size = send(connection->fd, answer + sent, strlen(answer) - sent, MSG_NOSIGNAL);
            if (size < 0)
                break;
        }
}

static void on_connection(void *context)
{
    struct test *test = context;
    cr_assert(lt(sz, test->connection_count, CONNECTIONS_MAX));
    struct connection *connection = &test->connections[test->connection_count++];
    connection->test = test;
    connection->fd = accept(test->listener, NULL, NULL);
    connection->watch =
        main_watch_new(test->loop, connection->fd, MAIN_READ, on_request, connection);
}

static void begin(struct test *test, const struct http_client_settings *settings,
                  const char *answer)
{
    struct error_text why = {0};
    uint16_t port;
    *test = (struct test){.loop = main_loop_new(&why), .answer = answer};
    test->listener = listen_on_loopback(&port);
    snprintf(test->address, sizeof(test->address), "127.0.0.1:%u", port);
    test->listening = main_watch_new(test->loop, test->listener, MAIN_READ, on_connection, test);
    test->client = http_client_new(test->loop, settings, &why);
    cr_assert(ne(ptr, test->client, NULL), "%s", why.text);
}

static void end(struct test *test)
{
    http_client_free(test->client);
    for (size_t i = 0; i < test->connection_count; i++) {
        main_watch_free(test->connections[i].watch);
        close(test->connections[i].fd);
    }
    main_watch_free(test->listening);
    close(test->listener);
    main_loop_free(test->loop);
}

static void note_end(struct asked *asked)
{
    struct test *test = asked->test;
    asked->exchange = NULL;
    asked->turn = ++test->ended;
    if (test->ended == test->expected)
        main_loop_stop(test->loop);
}

static void copy(struct slice text, char *to, size_t size)
{
    cr_assert(lt(sz, text.size, size));
    snprintf(to, size, "%.*s", SLICE_PRINT(text));
}

static void on_probed(void *context, const struct http_probe_answer *answer)
{
    struct asked *asked = context;
    asked->result = (int)answer->result;
    asked->status = answer->status;
    asked->body_size = answer->body.size;
    copy(slice_of(answer->failure), asked->failure, sizeof(asked->failure));
    copy(answer->location, asked->location, sizeof(asked->location));
    copy(answer->refused, asked->refused, sizeof(asked->refused));
    copy(answer->cookies, asked->cookies, sizeof(asked->cookies));
    note_end(asked);
}

static void on_answer(void *context, const struct http_response *answer)
{
    struct asked *asked = context;
    asked->status = answer->status;
    copy(slice_of(answer->failure), asked->failure, sizeof(asked->failure));
    note_end(asked);
}

static void look(struct test *test, struct asked *asked, const char *url)
{
    const struct http_look at = {.url = url, .connect_to = test->address};
    *asked = (struct asked){.test = test};
    asked->exchange = http_client_look(test->client, &at, on_probed, asked);
    cr_assert(ne(ptr, asked->exchange, NULL));
}

/* Runs until so many have ended. */
static void run(struct test *test, size_t count)
{
    test->expected = test->ended + count;
    main_loop_run(test->loop);
}

/* The answer to one look, with the limits of these tests. */
static struct asked answer_of(const char *answer)
{
    static const struct http_client_settings SETTINGS = {.answer_max_bytes = MAX_BYTES};
    struct test test;
    struct asked asked;
    begin(&test, &SETTINGS, answer);
    look(&test, &asked, "http://a.test/");
    run(&test, 1);
    cr_expect(eq(sz, test.connection_count, 1)); /* a redirect is the asker's business */
    end(&test);
    return asked;
}

static char *repeat(char c, size_t count)
{
    char *text = memory_new(count + 1);
    memset(text, c, count);
    return text;
}

/* -- What a server answers -- */

Test(http_client, of_several_answers_the_last_one_counts)
{
    struct asked asked = answer_of("HTTP/1.1 103 Early Hints\r\nLocation: /early\r\n"
                                   "X-Refused: early\r\nSet-Cookie: early=1\r\n\r\n"
                                   "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    cr_expect(eq(int, asked.status, 200));
    cr_expect(eq(str, asked.location, ""));
    cr_expect(eq(str, asked.refused, ""));
    cr_expect(eq(str, asked.cookies, ""));
    asked = answer_of("HTTP/1.1 302 Found\r\nLocation: http://a.test/b\r\nContent-Length: 0\r\n"
                      "X-REFUSED: \t why \r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\n\r\n");
    cr_expect(eq(int, asked.status, 302));
    cr_expect(eq(str, asked.location, "http://a.test/b"));
    cr_expect(eq(str, asked.refused, "why"));
    cr_expect(eq(str, asked.cookies, "a=1\nb=2\n"));
}

/* A value has room for 127 bytes, all cookies together for 2047, each with its end. */
Test(http_client, what_there_is_no_room_for_is_left_out)
{
    static const struct {
        size_t refused, cookie;
    } SIZES[] = {{127, 2046 - 4}, {128, 2047 - 4}};
    for (size_t i = 0; i < COUNT_OF(SIZES); i++) {
        char *value = repeat('v', SIZES[i].refused), *cookie = repeat('c', SIZES[i].cookie);
        char *answer = memory_format("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
                                     "X-Refused: before\r\nX-Refused: %s\r\n"
                                     "Set-Cookie: a=1\r\nSet-Cookie: %s\r\n\r\n",
                                     value, cookie);
        struct asked asked = answer_of(answer);
        bool fits = i == 0;
        cr_expect(eq(sz, strlen(asked.refused), fits ? SIZES[i].refused : 0));
        cr_expect(eq(sz, strlen(asked.cookies), 4 + (fits ? SIZES[i].cookie + 1 : 0)));
        free(answer);
        free(cookie);
        free(value);
    }
}

Test(http_client, a_value_with_control_bytes_is_none)
{
    static const char *const VALUES[] = {"a\001b", "a\033[2Jb", "a\177"};
    for (size_t i = 0; i < COUNT_OF(VALUES); i++) {
        char *answer = memory_format("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
                                     "X-Refused: %s\r\nSet-Cookie: %s\r\n\r\n",
                                     VALUES[i], VALUES[i]);
        struct asked asked = answer_of(answer);
        cr_expect(eq(str, asked.refused, ""));
        cr_expect(eq(str, asked.cookies, ""));
        free(answer);
    }
}

Test(http_client, an_answer_has_its_limits)
{
    char *most = repeat('x', MAX_BYTES), *more = repeat('x', MAX_BYTES + 1);
    char *filler = repeat('f', 1000);
    struct bytes headers = {0};
    cr_assert(bytes_append(&headers, SLICE("HTTP/1.1 200 OK\r\n"), 1 << 20));
    for (size_t i = 0; i < 66; i++) {
        char *line = memory_format("X-F: %s\r\n", filler);
        cr_assert(bytes_append(&headers, slice_of(line), 1 << 20));
        free(line);
    }
    cr_assert(bytes_append(&headers, SLICE("Content-Length: 0\r\n\r\n"), 1 << 20));
    char *texts[] = {
        memory_format("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", MAX_BYTES, most),
        memory_format("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", MAX_BYTES + 1, more),
        memory_format("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n",
                      MAX_BYTES + 1, more),
        memory_copy_text(bytes_slice(&headers)),
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct asked asked = answer_of(texts[i]);
        cr_expect(eq(int, asked.result, i == 0 ? HTTP_PROBE_ANSWERED : HTTP_PROBE_BROKEN));
        cr_expect(eq(str, asked.failure,
                     i == 0 ? (char[]){""} : (char[]){"the answer exceeds its size limit"}),
                  "%zu", i);
        cr_expect(le(sz, asked.body_size, MAX_BYTES));
        free(texts[i]);
    }
    bytes_free(&headers);
    free(filler);
    free(more);
    free(most);
}

Test(http_client, what_stands_there_is_told)
{
    struct asked asked = answer_of("220 mail.example.test ESMTP\r\n\r\n");
    cr_expect(eq(int, asked.result, HTTP_PROBE_BROKEN));
    cr_expect(ne(str, asked.failure, ""));

    struct test test;
    begin(&test, &(struct http_client_settings){0}, "HTTP/1.1 400 Bad Request\r\n\r\n");
    look(&test, &asked, "https://a.test/");
    run(&test, 1);
    cr_expect(eq(int, asked.result, HTTP_PROBE_NO_TLS));
    main_watch_free(test.listening);
    close(test.listener);
    test.listener = -1;
    test.listening = NULL;
    look(&test, &asked, "http://a.test/");
    run(&test, 1);
    cr_expect(eq(int, asked.result, HTTP_PROBE_REFUSED));
    end(&test);
}

/* -- Whom it asks -- */

/* Whatever a CA has said: no other protocol, no password, nothing in between. */
Test(http_client, nobody_else_is_asked)
{
    struct test test;
    struct asked asked = {.test = &test};
    char url[64];
    begin(&test, &(struct http_client_settings){0}, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    snprintf(url, sizeof(url), "http://%s/", test.address);
    const struct http_client_request request = {.method = HTTP_GET, .url = url};
    asked.exchange = http_client_send(test.client, &request, on_answer, &asked);
    cr_assert(ne(ptr, asked.exchange, NULL));
    run(&test, 1);
    cr_expect(eq(int, asked.status, 0));
    cr_expect(ne(str, asked.failure, ""));
    static const char *const TRAPS[] = {"http://user:secret@a.test/", "file:///etc/passwd",
                                        "dict://a.test/"};
    for (size_t i = 0; i < COUNT_OF(TRAPS); i++) {
        look(&test, &asked, TRAPS[i]);
        run(&test, 1);
        cr_expect(eq(int, asked.result, HTTP_PROBE_BROKEN), "%s", TRAPS[i]);
    }
    cr_expect(zero(sz, test.connection_count));

    /* Each look has a connection of its own, or it would not be one. */
    setenv("http_proxy", "http://127.0.0.1:1/", 1);
    for (size_t i = 1; i <= 2; i++) {
        look(&test, &asked, "http://a.test/");
        run(&test, 1);
        cr_expect(eq(int, asked.result, HTTP_PROBE_ANSWERED), "%s", asked.failure);
        cr_expect(eq(sz, test.connection_count, i));
    }
    end(&test);
}

/* -- Whom it trusts -- */

/* What libcurl says of it, on its way to a server. */
static char told[4000];
static __typeof__(libcurl.multi_add_handle) real_add_handle;

static int on_word(CURL *easy, curl_infotype kind, char *text, size_t size, void *context)
{
    size_t used = strlen(told);
    (void)easy, (void)context;
    if (kind == CURLINFO_TEXT)
        snprintf(told + used, sizeof(told) - used, "%.*s", (int)size, text);
    return 0;
}

static CURLMcode add_with_words(CURLM *multi, CURL *easy)
{
    cr_assert(libcurl.easy_setopt(easy, CURLOPT_VERBOSE, 1L) == CURLE_OK);
    cr_assert(libcurl.easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_word) == CURLE_OK);
    return real_add_handle(multi, easy);
}

static const char *words_with(const char *ca_file)
{
    struct test test;
    struct asked asked = {.test = &test};
    char url[64];
    told[0] = '\0';
    begin(&test, &(struct http_client_settings){.ca_file = ca_file}, "HTTP/1.1 200 OK\r\n\r\n");
    snprintf(url, sizeof(url), "https://%s/", test.address);
    const struct http_client_request request = {.method = HTTP_GET, .url = url};
    asked.exchange = http_client_send(test.client, &request, on_answer, &asked);
    cr_assert(ne(ptr, asked.exchange, NULL));
    run(&test, 1);
    end(&test);
    return told;
}

static void write_root(const char *path)
{
    struct bytes pem = {0};
    struct crypto_key *key = crypto_key_new(CRYPTO_EC_P256, NULL);
    cr_assert(crypto_self_signed(key, "a.test", 0, 4000000000, &pem, NULL) == ERROR_OK);
    FILE *stream = fopen(path, "w");
    cr_assert(ne(ptr, stream, NULL));
    cr_assert(fwrite(pem.data, pem.size, 1, stream) == 1);
    fclose(stream);
    bytes_free(&pem);
    crypto_key_free(key);
}

/* The system's are a file and a folder to libcurl, each of which is trusted by itself. */
Test(http_client, roots_of_its_own_take_the_place_of_the_systems)
{
    char path[] = "/tmp/owui-roots-XXXXXX", expected[64];
    close(mkstemp(path));
    write_root(path);
    cr_assert(libcurl_load(NULL) == ERROR_OK);
    real_add_handle = libcurl.multi_add_handle;
    libcurl.multi_add_handle = add_with_words;
    bool has_folder = strstr(words_with(NULL), "CApath: /") != NULL;
    const char *words = words_with(path);
    snprintf(expected, sizeof(expected), "CAfile: %s\n", path);
    unlink(path);
    if (!has_folder)
        cr_skip_test("this libcurl has no folder, or does not tell of it");
    cr_expect(ne(ptr, strstr(words, expected), NULL), "%s", words);
    cr_expect(eq(ptr, strstr(words, "CApath: /"), NULL), "%s", words);
}

/* -- Time and turns -- */

Test(http_client, a_connection_has_less_time_than_an_answer)
{
    static const struct http_client_settings SETTINGS = {.connect_ms = 200, .timeout_ms = 20000};
    struct test test;
    struct asked asked;
    int64_t begun_ms = clock_mono_ms();
    begin(&test, &SETTINGS, NULL);
    look(&test, &asked, "https://a.test/"); /* it is connected when it has TLS */
    run(&test, 1);
    cr_expect(eq(int, asked.result, HTTP_PROBE_TIMED_OUT));
    cr_expect(lt(i64, clock_mono_ms() - begun_ms, 15000));
    end(&test);
}

/* Each has its whole time, which begins with its turn. */
Test(http_client, who_waits_for_its_turn_is_not_late)
{
    static const struct http_client_settings SETTINGS = {.at_once = 1, .timeout_ms = 300};
    struct test test;
    struct asked asked[3];
    begin(&test, &SETTINGS, NULL);
    int64_t begun_ms = clock_mono_ms();
    for (size_t i = 0; i < COUNT_OF(asked); i++)
        look(&test, &asked[i], "http://a.test/");
    run(&test, COUNT_OF(asked));
    for (size_t i = 0; i < COUNT_OF(asked); i++) {
        cr_expect(eq(int, asked[i].result, HTTP_PROBE_TIMED_OUT));
        cr_expect(eq(sz, asked[i].turn, i + 1)); /* those that came first */
    }
    cr_expect(eq(sz, test.connection_count, 3));
    cr_expect(ge(i64, clock_mono_ms() - begun_ms, 890));
    end(&test);
}

static void give_up_first(void *context)
{
    struct asked *asked = context;
    cr_expect(eq(sz, asked[0].test->connection_count, 1));
    asked[0].test->answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    http_exchange_cancel(asked[1].exchange); /* waits */
    http_exchange_cancel(asked[0].exchange); /* runs */
    http_exchange_cancel(NULL);
}

Test(http_client, who_gives_up_makes_room)
{
    static const struct http_client_settings SETTINGS = {.at_once = 1};
    struct test test;
    struct asked asked[4];
    begin(&test, &SETTINGS, NULL);
    for (size_t i = 0; i < COUNT_OF(asked); i++)
        look(&test, &asked[i], "http://a.test/");
    struct main_timer *timer = main_timer_new(test.loop, give_up_first, asked);
    main_timer_once(timer, 300);
    run(&test, 2);
    main_timer_free(timer);
    for (size_t i = 0; i < COUNT_OF(asked); i++)
        cr_expect(eq(sz, asked[i].turn, i < 2 ? 0 : i - 1));
    test.answer = NULL;
    for (size_t i = 0; i < 2; i++) /* dropped with the client, without a call */
        look(&test, &asked[i], "http://a.test/");
    end(&test);
    cr_expect(eq(sz, test.ended, 2));
}

static void ask_another(void *context)
{
    struct asked *asked = context;
    struct test *test = asked[0].test;
    test->answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    look(test, &asked[1], "http://a.test/");
}

Test(http_client, a_server_that_is_silent_keeps_nobody_waiting)
{
    static const struct http_client_settings SETTINGS = {.at_once = 2, .timeout_ms = 10000};
    struct test test;
    struct asked asked[2];
    begin(&test, &SETTINGS, NULL);
    look(&test, &asked[0], "http://a.test/");
    struct main_timer *timer = main_timer_new(test.loop, ask_another, asked);
    main_timer_once(timer, 300);
    run(&test, 1);
    main_timer_free(timer);
    cr_expect(eq(sz, asked[0].turn, 0));
    cr_expect(eq(int, asked[1].result, HTTP_PROBE_ANSWERED));
    end(&test);
}

/* -- Names that nobody answers for -- */

static atomic_uint names_asked;

/* Instead of the C library's, which asks name servers: they are away. */
__attribute__((visibility("default"))) int getaddrinfo(const char *name, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **found)
{
    (void)name;
    (void)service;
    (void)hints;
    (void)found;
    atomic_fetch_add(&names_asked, 1);
    sleep(5);
    return EAI_AGAIN;
}

static void send_to_dead_name(struct test *test, struct asked *asked)
{
    static const struct http_client_request REQUEST = {.method = HTTP_GET, .url = "https://a.test"};
    unsetenv("https_proxy");
    unsetenv("HTTPS_PROXY");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    *asked = (struct asked){.test = test};
    asked->exchange = http_client_send(test->client, &REQUEST, on_answer, asked);
    cr_assert(ne(ptr, asked->exchange, NULL));
}

Test(http_client, a_name_without_an_answer_holds_up_nobody)
{
    static const struct http_client_settings SETTINGS = {.connect_ms = 300};
    struct test test;
    struct asked asked;
    int64_t begun_ms = clock_mono_ms();
    begin(&test, &SETTINGS, NULL);
    send_to_dead_name(&test, &asked);
    run(&test, 1);
    cr_expect(eq(int, asked.status, 0));
    cr_expect(ne(str, asked.failure, ""));
    end(&test);
    cr_expect(lt(i64, clock_mono_ms() - begun_ms, 4000));
    cr_expect(eq(uint, atomic_load(&names_asked), 1));
}

static void give_up_name(void *context)
{
    struct asked *asked = context;
    http_exchange_cancel(asked->exchange);
    main_loop_stop(asked->test->loop);
}

Test(http_client, who_gives_up_does_not_wait_for_a_name)
{
    static const struct http_client_settings SETTINGS = {0};
    struct test test;
    struct asked asked;
    int64_t begun_ms = clock_mono_ms();
    begin(&test, &SETTINGS, NULL);
    send_to_dead_name(&test, &asked);
    struct main_timer *timer = main_timer_new(test.loop, give_up_name, &asked);
    main_timer_once(timer, 300);
    main_loop_run(test.loop);
    main_timer_free(timer);
    end(&test);
    cr_expect(eq(sz, test.ended, 0));
    cr_expect(lt(i64, clock_mono_ms() - begun_ms, 4000));
    cr_expect(eq(uint, atomic_load(&names_asked), 1));
}
