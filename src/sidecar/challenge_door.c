/* The challenge server's port: see challenge_door.h. */
#include "challenge_door.h"

#include "core/log.h"
#include "core/memory.h"
#include "net/listen_socket.h"

#include <stdlib.h>

enum { BACKLOG = 512, RETRY_MS = 1000 };

struct challenge_door {
    struct main_loop *loop;
    struct listen_address address;
    char *listen; /* "tcp:127.0.0.1:8688" */
    struct listen_sockets sockets;
    struct challenge_server *server;
    struct main_timer *retry;
    bool is_told; /* that the port is waited for */
};

static bool serve(struct challenge_door *door)
{
    const struct listen_options options = {.backlog = BACKLOG};
    struct error_text why;
    if (listen_sockets_open(&door->address, &options, &door->sockets, &why) == ERROR_OK) {
        challenge_server_listen(door->server, door->loop, door->sockets.fds[0]);
        door->sockets.fds[0] = -1; /* the server's now */
        return true;
    }
    if (!door->is_told)
        log_event(LOG_ERROR, "challenges_wait", LOG_TEXT("address", door->listen),
                  LOG_TEXT("reason", why.text),
                  LOG_TEXT("hint", "whoever listens there is asked for challenges that HAProxy "
                                   "does not answer by itself: `ss -ltnp` tells who it is"));
    door->is_told = true;
    main_timer_once(door->retry, RETRY_MS);
    return false;
}

static void on_retry(void *context)
{
    struct challenge_door *door = context;
    if (serve(door))
        log_event(LOG_INFO, "serving_challenges", LOG_TEXT("address", door->listen));
}

struct challenge_door *challenge_door_new(struct main_loop *loop,
                                          const struct sidecar_settings *settings,
                                          const struct challenges *challenges,
                                          struct error_text *text)
{
    struct challenge_door *door = memory_new(sizeof(*door));
    *door = (struct challenge_door){
        .loop = loop,
        .listen = memory_format("tcp:%s", settings->challenge_listen),
        .server = challenge_server_new(challenges, settings->webroot, text),
        .retry = main_timer_new(loop, on_retry, door),
    };
    if (door->server == NULL ||
        listen_address_parse(slice_of(door->listen), &door->address, text) != ERROR_OK) {
        challenge_door_free(door);
        return NULL;
    }
    (void)serve(door);
    return door;
}

void challenge_door_free(struct challenge_door *door)
{
    if (door == NULL)
        return;
    challenge_server_free(door->server);
    listen_sockets_close(&door->sockets);
    main_timer_free(door->retry);
    free(door->listen);
    free(door);
}
