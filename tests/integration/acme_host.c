/* The ACME worker with the least that it needs around it: a loop, the store, and the responder for
 * challenges. For tests of the client alone, without agent and HAProxy.
 *
 *     acme_host SETTINGS.json
 *
 * Reads commands from stdin, one a line: "renew NAME", "revoke NAME", "put-back NAME",
 * "change-key", "want NAME HOST...", "unwant NAME", "status". Writes one JSON object a line to
 * stdout. Ends with stdin.
 */
#include "acme/acme_worker.h"
#include "core/file.h"
#include "core/log.h"
#include "core/memory.h"
#include "net/main_loop.h"
#include "sidecar/challenges.h"
#include "json/json.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 64 * 1024, WORDS_MAX = 110 };

static struct host_state {
    struct main_loop *loop;
    struct store *store;
    struct acme_worker *worker;
    struct challenges *challenges;
    char line[LINE_MAX_BYTES];
    size_t line_size;
    int steps_left;
} state;

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "acme_host: %s: %s\n", what, why);
    exit(1);
}

/* Prints and frees. */
static void say(struct json *event)
{
    char *text = json_print(event, JSON_STYLE_COMPACT);
    puts(text);
    fflush(stdout);
    free(text);
    json_free(event);
}

static struct json *event_of(const char *name)
{
    struct json *event = json_new_object();
    json_put_text(event, "event", slice_of(name));
    return event;
}

/* -- Hooks -- */

static void publish(void *context, uint64_t ticket, const struct acme_challenge *challenges,
                    size_t count)
{
    (void)context;
    for (size_t i = 0; i < count; i++)
        if (challenges_set(state.challenges, slice_of(challenges[i].token),
                           slice_of(challenges[i].key_authorization)) != ERROR_OK)
            fail("challenge", challenges[i].token);
    acme_worker_published(state.worker, ticket);
}

static void withdraw(void *context, const char *token)
{
    (void)context;
    challenges_unset(state.challenges, slice_of(token));
}

static void ready(void *context, const char *name, const struct crypto_certificate *certificate)
{
    struct json *event = event_of("ready");
    (void)context;
    json_put_text(event, "name", slice_of(name));
    json_put_text(event, "serial", slice_of(certificate->serial));
    json_put_text(event, "root", slice_of(certificate->root));
    json_put_integer(event, "hosts", (int64_t)certificate->name_count);
    json_put_integer(event, "challenges_left", (int64_t)challenges_count(state.challenges));
    say(event);
}

static void done(void *context, const struct acme_problem *problem)
{
    struct json *event = event_of((const char *)context);
    json_put_text(event, "class", slice_of(problem != NULL ? acme_class_name(problem->class) : ""));
    json_put_text(event, "reason", slice_of(problem != NULL ? problem->detail : ""));
    say(event);
}

/* -- Commands -- */

static void put_problem(struct json *object, const struct acme_problem *problem)
{
    if (problem == NULL)
        return;
    struct json *told = json_new_object();
    json_put_text(told, "class", slice_of(acme_class_name(problem->class)));
    json_put_text(told, "type", slice_of(problem->type));
    json_put_text(told, "detail", slice_of(problem->detail));
    json_put_text(told, "url", slice_of(problem->url));
    json_put(object, "problem", told);
}

static void tell_status(void *context, const struct acme_status *status)
{
    struct json *event = event_of("status"), *hosts = json_new_object();
    (void)context;
    json_put_text(event, "name", slice_of(status->name));
    json_put_text(event, "serial",
                  slice_of(status->certificate != NULL ? status->certificate->serial : ""));
    json_put_text(event, "doing", slice_of(status->doing));
    json_put_text(event, "why", slice_of(status->why));
    json_put_text(event, "ca", slice_of(status->ca));
    json_put_integer(event, "failures", status->failures);
    json_put_integer(event, "next_in_ms", status->next_in_ms);
    json_put_integer(event, "renewal_s", status->renewal_s);
    put_problem(event, status->problem);
    for (size_t i = 0; i < status->host_count; i++) {
        struct json *host = json_new_object();
        put_problem(host, status->hosts[i].problem);
        json_put(hosts, status->hosts[i].host, host);
    }
    json_put(event, "hosts", hosts);
    say(event);
}

static void want(const char *name, const char *const *hosts, size_t count,
                 enum crypto_key_type type)
{
    struct error_text why = {0};
    const struct acme_wanted wanted = {
        .name = name, .hosts = hosts, .host_count = count, .key_type = type};
    if (acme_worker_want(state.worker, &wanted, &why) != ERROR_OK)
        fail("want", why.text);
}

static enum error put_back(const char *name, struct error_text *why)
{
    enum error error = store_rollback(state.store, name, why);
    if (error == ERROR_OK)
        acme_worker_put_back(state.worker, name);
    return error;
}

static void run_command(char **words, size_t count)
{
    static char revoked[] = "revoked", key_changed[] = "key-changed";
    struct error_text why = {0};
    enum error error = ERROR_OK;
    if (strcmp(words[0], "change-key") == 0)
        error = acme_worker_change_key(state.worker, done, key_changed, &why);
    else if (count < 2)
        fail("command", words[0]);
    else if (strcmp(words[0], "status") == 0)
        (void)!acme_worker_status(state.worker, words[1], tell_status, NULL);
    else if (strcmp(words[0], "renew") == 0)
        error = acme_worker_renew(state.worker, words[1]);
    else if (strcmp(words[0], "revoke") == 0)
        error = acme_worker_revoke(state.worker, words[1], done, revoked, &why);
    else if (strcmp(words[0], "put-back") == 0)
        error = put_back(words[1], &why);
    else if (strcmp(words[0], "unwant") == 0)
        acme_worker_unwant(state.worker, words[1]);
    else if (strcmp(words[0], "want") == 0)
        want(words[1], (const char *const *)words + 2, count - 2, CRYPTO_EC_P256);
    else
        fail("command", words[0]);
    if (error == ERROR_OK)
        return;
    struct json *event = event_of("refused");
    json_put_text(event, "reason", slice_of(why.text[0] != '\0' ? why.text : error_name(error)));
    say(event);
}

static void run_line(char *line)
{
    char *words[WORDS_MAX], *rest = NULL;
    size_t count = 0;
    for (char *word = strtok_r(line, " ", &rest); word != NULL && count < WORDS_MAX;
         word = strtok_r(NULL, " ", &rest))
        words[count++] = word;
    if (count > 0)
        run_command(words, count);
}

static void on_stdin(void *context)
{
    (void)context;
    ssize_t count =
        read(STDIN_FILENO, state.line + state.line_size, sizeof(state.line) - state.line_size - 1);
    if (count <= 0) {
        main_loop_stop(state.loop);
        return;
    }
    state.line_size += (size_t)count;
    char *end;
    while ((end = memchr(state.line, '\n', state.line_size)) != NULL) {
        *end = '\0';
        run_line(state.line);
        size_t used = (size_t)(end - state.line) + 1;
        memmove(state.line, end + 1, state.line_size - used);
        state.line_size -= used;
    }
}

/* -- Settings -- */

static const char *text_of(const struct json *object, const char *key)
{
    struct slice text;
    return json_read_text(json_get(object, key), &text) ? text.data : NULL; /* NUL-terminated */
}

static int64_t number_of(const struct json *object, const char *key)
{
    int64_t number = 0;
    return json_read_integer(json_get(object, key), &number) ? number : 0;
}

static const char **texts_of(const struct json *array, size_t *count)
{
    *count = json_count(array);
    const char **texts = memory_new((*count + 1) * sizeof(*texts));
    for (size_t i = 0; i < *count; i++) {
        struct slice text;
        if (!json_read_text(json_at(array, i), &text))
            fail("settings", "a list of texts holds something else");
        texts[i] = text.data;
    }
    return texts;
}

static struct json *read_settings(const char *path)
{
    static char text[16 << 20];
    struct error_text why = {0};
    FILE *file = fopen(path, "r");
    if (file == NULL)
        fail("cannot open", path);
    size_t size = fread(text, 1, sizeof(text), file);
    fclose(file);
    struct json *settings = json_parse(slice_from(text, size), sizeof(text), NULL, &why);
    if (settings == NULL)
        fail(path, why.text);
    return settings;
}

static int listen_on(int64_t port)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 128) < 0)
        fail("cannot listen", "port is taken");
    return fd;
}

static void open_store(const struct json *settings)
{
    struct error_text why = {0};
    const struct store_settings store = {.state = text_of(settings, "state"),
                                         .certs = text_of(settings, "certs"),
                                         .owner = -1,
                                         .group = -1};
    state.store = store_open(&store, &why);
    if (state.store == NULL)
        fail("store", why.text);
}

static struct acme_worker_settings worker_settings(const struct json *settings)
{
    struct acme_worker_settings worker = {
        .orders_at_once = (unsigned)number_of(settings, "orders_at_once"),
        .second_after = (unsigned)number_of(settings, "second_after"),
        .hooks = {.publish = publish, .withdraw = withdraw, .ready = ready}};
    for (size_t i = 0; i < COUNT_OF(worker.cas); i++) {
        const struct json *ca = json_at(json_get(settings, "cas"), i);
        struct acme_ca_settings *own = &worker.cas[i];
        own->directory_url = text_of(ca, "directory");
        own->ca_file = text_of(ca, "ca_file");
        own->external_kid = text_of(ca, "external_kid");
        own->external_secret = text_of(ca, "external_secret");
        own->profile = text_of(ca, "profile");
        own->preferred_chain = text_of(ca, "preferred_chain");
        own->timeout_ms = number_of(ca, "timeout_ms");
        own->limits = number_of(ca, "limits") != 0 ? ACME_LIMITS_ON : ACME_LIMITS_BY_CA;
        own->contacts = texts_of(json_get(ca, "contacts"), &own->contact_count);
    }
    return worker;
}

static enum crypto_key_type key_type_of(const char *name)
{
    unsigned type = 0;
    while (strcmp(name, crypto_key_type_name(type)) != 0)
        if (++type == CRYPTO_OTHER)
            fail("key", name);
    return type;
}

static void want_all(const struct json *certificates)
{
    for (struct json_member m = {0}; json_next(certificates, &m);) {
        const char *key = text_of(m.value, "key");
        size_t count;
        const char **hosts = texts_of(json_get(m.value, "hosts"), &count);
        want(m.key.data, hosts, count, key != NULL ? key_type_of(key) : CRYPTO_EC_P256);
        free(hosts);
    }
}

static void die_at_step(const char *step)
{
    if (state.steps_left-- > 0)
        return;
    fprintf(stderr, "acme_host: killed before: %s\n", step);
    _exit(137);
}

int main(int argc, char **argv)
{
    struct error_text why = {0};
    if (argc != 2)
        fail("usage", "acme_host SETTINGS.json");
    struct json *settings = read_settings(argv[1]);
    log_setup(LOG_DEBUG, LOG_FORMAT_TEXT);
    state.steps_left = (int)number_of(settings, "die_at");
    if (state.steps_left > 0)
        file_step = die_at_step;
    state.loop = main_loop_new(&why);
    if (state.loop == NULL)
        fail("loop", why.text);
    open_store(settings);
    state.challenges = challenges_new();
    int fd = listen_on(number_of(settings, "challenge_port"));
    struct challenge_server *server = challenge_server_new(state.challenges, NULL, &why);
    if (server == NULL)
        fail("challenge server", why.text);
    challenge_server_listen(server, state.loop, fd);
    struct acme_worker_settings worker = worker_settings(settings);
    state.worker = acme_worker_new(state.loop, state.store, &worker, &why);
    if (state.worker == NULL)
        fail("worker", why.text);
    struct main_watch *watch = main_watch_new(state.loop, STDIN_FILENO, MAIN_READ, on_stdin, NULL);
    want_all(json_get(settings, "certificates"));
    say(event_of("started"));

    main_loop_run(state.loop);

    main_watch_free(watch);
    acme_worker_free(state.worker);
    challenge_server_free(server);
    challenges_free(state.challenges);
    store_close(state.store);
    main_loop_free(state.loop);
    for (size_t i = 0; i < COUNT_OF(worker.cas); i++)
        free((void *)(uintptr_t)worker.cas[i].contacts);
    json_free(settings);
    return 0;
}
