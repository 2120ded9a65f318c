/* The challenge server's port: see challenge_door.h. */
#include "challenge_door.h"

#include "core/log.h"
#include "core/memory.h"
#include "net/listen_socket.h"

#include <stdlib.h>
#include <unistd.h>

enum { BACKLOG = 512, RETRY_MS = 1000 };

struct challenge_door {
    struct main_loop *loop;
    const struct challenges *challenges;
    struct listen_address address;
    char *listen; /* "tcp:127.0.0.1:8688" */
    char *webroot;
    struct listen_sockets sockets;
    struct challenge_server *server; /* NULL: the port is waited for */
    struct main_timer *retry;
    bool is_told;
};

static enum error open_sockets(struct challenge_door *door, struct error_text *why)
{
    const struct listen_options options = {.backlog = BACKLOG};
    return listen_sockets_open(&door->address, &options, &door->sockets, why);
}

static bool serve(struct challenge_door *door, struct error_text *why)
{
    door->server = challenge_server_new(door->loop, door->sockets.fds[0], door->challenges,
                                        door->webroot, why);
    door->sockets.fds[0] = -1; /* the server's now */
    return door->server != NULL;
}

/* A wrong one is told at the start, whoever has the port. */
static bool webroot_is_there(const char *webroot, struct error_text *why)
{
    if (webroot == NULL)
        return true;
    char *folder = memory_format("%s/.well-known/acme-challenge", webroot);
    bool is_there = access(folder, R_OK | X_OK) == 0;
    if (!is_there)
        error_set_errno(why, "cannot open %s", folder);
    free(folder);
    return is_there;
}

static void wait_for_port(struct challenge_door *door, const struct error_text *why)
{
    if (!door->is_told)
        log_event(LOG_ERROR, "challenges_wait", LOG_TEXT("address", door->listen),
                  LOG_TEXT("reason", why->text),
                  LOG_TEXT("hint", "whoever listens there is asked for challenges that HAProxy "
                                   "does not answer by itself: `ss -ltnp` tells who it is"));
    door->is_told = true;
    main_timer_once(door->retry, RETRY_MS);
}

static void on_retry(void *context)
{
    struct challenge_door *door = context;
    struct error_text why;
    if (open_sockets(door, &why) != ERROR_OK || !serve(door, &why)) {
        listen_sockets_close(&door->sockets);
        wait_for_port(door, &why);
        return;
    }
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
        .challenges = challenges,
        .listen = memory_format("tcp:%s", settings->challenge_listen),
        .webroot = settings->webroot != NULL ? memory_copy_text(slice_of(settings->webroot)) : NULL,
        .retry = main_timer_new(loop, on_retry, door),
    };
    bool is_good = webroot_is_there(door->webroot, text) &&
                   listen_address_parse(slice_of(door->listen), &door->address, text) == ERROR_OK;
    if (is_good && open_sockets(door, text) != ERROR_OK)
        wait_for_port(door, text);
    else if (is_good)
        is_good = serve(door, text);
    if (is_good)
        return door;
    challenge_door_free(door);
    return NULL;
}

void challenge_door_free(struct challenge_door *door)
{
    if (door == NULL)
        return;
    challenge_server_free(door->server);
    listen_sockets_close(&door->sockets);
    main_timer_free(door->retry);
    free(door->listen);
    free(door->webroot);
    free(door);
}
