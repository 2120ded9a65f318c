/* The answers to HTTP-01 challenges (RFC 8555 8.3) that are out, and who asks for them: an HTTP
 * server for HAProxy's challenge backend. It also serves a webroot folder, so that certbot
 * --webroot works beside us. */
#pragma once

#include "core/error.h"
#include "core/slice.h"
#include "net/main_loop.h"

enum {
    CHALLENGE_TOKEN_MAX_BYTES = 128,
    CHALLENGE_ANSWER_MAX_BYTES = 256, /* token, ".", thumbprint */
};

struct challenges;

struct challenges *challenges_new(void);
void challenges_free(struct challenges *challenges); /* NULL is fine */
/* `answer` is the key authorization; a token that is there gets the new one. ERROR_INVALID for a
 * token that is not base64url, and for one or an answer that is too long. */
MUST_CHECK enum error challenges_set(struct challenges *challenges, struct slice token,
                                     struct slice answer);
void challenges_unset(struct challenges *challenges, struct slice token);
/* Empty when there is none; valid until the next change. */
struct slice challenges_find(const struct challenges *challenges, struct slice token);
size_t challenges_count(const struct challenges *challenges);
/* One of them, in no order; the texts are valid until the next change. */
void challenges_at(const struct challenges *challenges, size_t index, const char **token,
                   const char **answer);

struct challenge_server;

/* Has `challenges` (not owned), and the files of `webroot` (the folder that holds ".well-known";
 * NULL for none) for tokens that are not ours. */
MUST_CHECK struct challenge_server *challenge_server_new(const struct challenges *challenges,
                                                         const char *webroot,
                                                         struct error_text *text);
/* Serves them on `listen_fd`, which is the server's from now on. Once. */
void challenge_server_listen(struct challenge_server *server, struct main_loop *loop,
                             int listen_fd);
void challenge_server_free(struct challenge_server *server); /* NULL is fine */
