/* A Runtime API whose answers are a test's, in a thread of its own. */
#pragma once

#include "core/memory.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct fake_runtime;

/* What is answered to a command; NULL: nothing. `*is_cut`: the connection breaks behind it. */
typedef const char *fake_answer_fn(struct fake_runtime *fake, const char *command, bool *is_cut);

struct fake_runtime {
    char path[64];
    int listen_fd;
    pthread_t thread;
    fake_answer_fn *answer; /* called in the thread, with the lock held */
    pthread_mutex_t lock;
    char *commands; /* first lines of all but `show info`, each with its newline; under the lock */
    unsigned state; /* the test's; under the lock */
};

static inline void fake_runtime_note(struct fake_runtime *fake, const char *command)
{
    char *longer = memory_format("%s%.*s\n", fake->commands, (int)strcspn(command, "\n"), command);
    if (strncmp(command, "show info", 9) == 0) {
        free(longer);
        return;
    }
    free(fake->commands);
    fake->commands = longer;
}

static inline void fake_runtime_serve(struct fake_runtime *fake, int fd)
{
    char command[32 * 1024];
    bool is_cut = false;
    /* What is left unread makes the end of the connection a reset. */
    ssize_t size = recv(fd, command, sizeof(command) - 1, MSG_PEEK);
    if (size <= 0)
        return;
    command[size] = '\0';
    pthread_mutex_lock(&fake->lock);
    fake_runtime_note(fake, command);
    const char *answer = fake->answer(fake, command, &is_cut);
    pthread_mutex_unlock(&fake->lock);
    while (!is_cut && recv(fd, command, sizeof(command), 0) > 0)
        continue;
    if (answer != NULL)
        (void)!send(fd, answer, strlen(answer), MSG_NOSIGNAL);
}

static inline void *fake_runtime_run(void *context)
{
    struct fake_runtime *fake = context;
    int fd;
    while ((fd = accept(fake->listen_fd, NULL, NULL)) >= 0) {
        fake_runtime_serve(fake, fd);
        close(fd);
    }
    return NULL;
}

static inline void fake_runtime_start(struct fake_runtime *fake, fake_answer_fn *answer)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    *fake = (struct fake_runtime){.answer = answer, .commands = memory_copy_text(SLICE(""))};
    strcpy(fake->path, "/tmp/owui-fake-XXXXXX");
    cr_assert(mkdtemp(fake->path) != NULL);
    strcat(fake->path, "/run.sock");
    strcpy(address.sun_path, fake->path);
    fake->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(bind(fake->listen_fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    cr_assert(listen(fake->listen_fd, 16) == 0);
    pthread_mutex_init(&fake->lock, NULL);
    cr_assert(pthread_create(&fake->thread, NULL, fake_runtime_run, fake) == 0);
}

static inline void fake_runtime_stop(struct fake_runtime *fake)
{
    shutdown(fake->listen_fd, SHUT_RDWR);
    pthread_join(fake->thread, NULL);
    close(fake->listen_fd);
    unlink(fake->path);
    *strrchr(fake->path, '/') = '\0';
    rmdir(fake->path);
    free(fake->commands);
    pthread_mutex_destroy(&fake->lock);
}

/* What was asked since this was called last, for free(). */
static inline char *fake_runtime_take(struct fake_runtime *fake)
{
    pthread_mutex_lock(&fake->lock);
    char *taken = fake->commands;
    fake->commands = memory_copy_text(SLICE(""));
    pthread_mutex_unlock(&fake->lock);
    return taken;
}

static inline void fake_runtime_set(struct fake_runtime *fake, unsigned state)
{
    pthread_mutex_lock(&fake->lock);
    fake->state = state;
    pthread_mutex_unlock(&fake->lock);
}
