/* Challenge answers and the HTTP server for them: see sidecar/challenges.h. */
#include "sidecar/challenges.h"

#include "core/memory.h"
#include "crypto/base64url.h"
#include "http/http_server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct slice CHALLENGE_PATH = {"/.well-known/acme-challenge/", 28};

struct challenge {
    char *token;
    char *answer;
};

/* A few hundred at most, and asked for a few times each: a list does. */
struct challenges {
    struct challenge *items;
    size_t count;
};

struct challenge_server {
    const struct challenges *challenges;
    struct http_server *http;
    int webroot_fd; /* of the challenge folder below the webroot; -1: none */
};

/* Base64url (RFC 8555 8.1), which is what makes it a plain file name too. */
static bool is_token(struct slice text)
{
    return text.size <= CHALLENGE_TOKEN_MAX_BYTES && base64url_is_token(text);
}

struct challenges *challenges_new(void)
{
    return memory_new(sizeof(struct challenges));
}

static void challenge_fini(struct challenge *challenge)
{
    free(challenge->token);
    free(challenge->answer);
}

void challenges_free(struct challenges *challenges)
{
    if (challenges == NULL)
        return;
    for (size_t i = 0; i < challenges->count; i++)
        challenge_fini(&challenges->items[i]);
    free(challenges->items);
    free(challenges);
}

static struct challenge *find(const struct challenges *challenges, struct slice token)
{
    for (size_t i = 0; i < challenges->count; i++)
        if (slice_equal(slice_of(challenges->items[i].token), token))
            return &challenges->items[i];
    return NULL;
}

enum error challenges_set(struct challenges *challenges, struct slice token, struct slice answer)
{
    if (!is_token(token) || answer.size > CHALLENGE_ANSWER_MAX_BYTES)
        return ERROR_INVALID;
    struct challenge *challenge = find(challenges, token);
    if (challenge == NULL) {
        challenges->items =
            memory_resize(challenges->items, challenges->count + 1, sizeof(challenges->items[0]));
        challenge = &challenges->items[challenges->count++];
        *challenge = (struct challenge){.token = memory_copy_text(token)};
    }
    free(challenge->answer);
    challenge->answer = memory_copy_text(answer);
    return ERROR_OK;
}

void challenges_unset(struct challenges *challenges, struct slice token)
{
    struct challenge *challenge = find(challenges, token);
    if (challenge == NULL)
        return;
    challenge_fini(challenge);
    *challenge = challenges->items[--challenges->count];
}

struct slice challenges_find(const struct challenges *challenges, struct slice token)
{
    const struct challenge *challenge = find(challenges, token);
    return challenge != NULL ? slice_of(challenge->answer) : (struct slice){0};
}

size_t challenges_count(const struct challenges *challenges)
{
    return challenges->count;
}

void challenges_at(const struct challenges *challenges, size_t index, const char **token,
                   const char **answer)
{
    assert(index < challenges->count);
    *token = challenges->items[index].token;
    *answer = challenges->items[index].answer;
}

/* -- The server -------------------------------------------------------------------------------- */

/* A small regular file of the webroot, read whole; the token's alphabet makes it a plain name. */
static bool read_webroot(const struct challenge_server *server, struct slice token,
                         struct http_answer *answer)
{
    char name[CHALLENGE_TOKEN_MAX_BYTES + 1];
    struct stat about;
    bool found = false;

    if (server->webroot_fd < 0)
        return false;
    memcpy(name, token.data, token.size);
    name[token.size] = '\0';
    int fd = openat(server->webroot_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return false;
    if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode)) {
        char *body = memory_new(CHALLENGE_ANSWER_MAX_BYTES);
        ssize_t size = read(fd, body, CHALLENGE_ANSWER_MAX_BYTES);
        found = size >= 0;
        answer->body = slice_from(body, found ? (size_t)size : 0);
        answer->body_owned = true;
    }
    close(fd);
    return found;
}

static void on_request(void *context, const struct http_request *request,
                       struct http_answer *answer)
{
    struct challenge_server *server = context;
    struct slice token = {0};
    bool reading =
        slice_equal(request->method, SLICE("GET")) || slice_equal(request->method, SLICE("HEAD"));

    if (slice_starts_with(request->path, CHALLENGE_PATH))
        token = slice_skip(request->path, CHALLENGE_PATH.size);
    answer->status = 404;
    answer->body = SLICE("no such challenge\n");
    if (!reading) {
        answer->status = 405;
        answer->body = SLICE("GET or HEAD\n");
        answer->headers[0].name = "Allow";
        answer->headers[0].value = "GET, HEAD";
        return;
    }
    if (is_token(token)) {
        struct slice ours = challenges_find(server->challenges, token);
        if (ours.size > 0)
            answer->body = ours;
        if (ours.size > 0 || read_webroot(server, token, answer)) {
            answer->status = 200;
            answer->content_type = "application/octet-stream"; /* RFC 8555 8.3 */
        }
    }
}

static int open_webroot(const char *webroot)
{
    char *folder = memory_format("%s%.*s", webroot, SLICE_PRINT(CHALLENGE_PATH));
    int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    return fd;
}

struct challenge_server *challenge_server_new(const struct challenges *challenges,
                                              const char *webroot, struct error_text *text)
{
    struct challenge_server *server = memory_new(sizeof(*server));
    server->challenges = challenges;
    server->webroot_fd = -1;
    if (webroot != NULL && (server->webroot_fd = open_webroot(webroot)) < 0) {
        error_set_errno(text, "cannot open %s/.well-known/acme-challenge", webroot);
        challenge_server_free(server);
        return NULL;
    }
    return server;
}

void challenge_server_listen(struct challenge_server *server, struct main_loop *loop, int listen_fd)
{
    const struct http_server_options options = {.on_request = on_request, .context = server};
    server->http = http_server_new(loop, listen_fd, &options);
}

void challenge_server_free(struct challenge_server *server)
{
    if (server == NULL)
        return;
    http_server_free(server->http);
    if (server->webroot_fd >= 0)
        close(server->webroot_fd);
    free(server);
}
