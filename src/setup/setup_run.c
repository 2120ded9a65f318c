/* Programs that `setup` starts: see setup_run.h. */
#include "setup_run.h"

#include "cli/program.h"
#include "core/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OUTPUT_MAX_BYTES = 64 * 1024 };

/* Everything till the end, the beginning of it when it is too long. */
static char *read_output(int fd)
{
    char *text = memory_new(OUTPUT_MAX_BYTES + 1);
    char rest[4096];
    size_t size = 0;
    for (;;) {
        bool full = size == OUTPUT_MAX_BYTES;
        ssize_t got =
            full ? read(fd, rest, sizeof(rest)) : read(fd, text + size, OUTPUT_MAX_BYTES - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        size += full ? 0 : (size_t)got;
    }
    return text;
}

/* Signals that wait until this program is done with something (setup.c) are the child's at once. */
static bool spawn(const char *program, const char *const *command, int output, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    char **arguments;
    memcpy(&arguments, &command, sizeof(arguments)); /* posix_spawn() does not change them */
    sigemptyset(&none);
    if (posix_spawn_file_actions_init(&actions) != 0)
        return false;
    if (posix_spawnattr_init(&attributes) != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return false;
    }
    bool good = posix_spawnattr_setsigmask(&attributes, &none) == 0 &&
                posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK) == 0 &&
                posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0) == 0 &&
                posix_spawn_file_actions_adddup2(&actions, output, 1) == 0 &&
                posix_spawn_file_actions_adddup2(&actions, output, 2) == 0 &&
                posix_spawn(pid, program, &actions, &attributes, arguments, environ) == 0;
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return good;
}

int setup_run(const char *const *command, char **output)
{
    int ends[2];
    int status = 0;
    pid_t pid;
    char *program = program_find(command[0], true);
    if (output != NULL)
        *output = NULL;
    if (program == NULL || pipe2(ends, O_CLOEXEC) != 0) {
        free(program);
        return SETUP_NOT_FOUND;
    }
    fflush(stdout);
    bool started = spawn(program, command, ends[1], &pid);
    close(ends[1]);
    char *text = started ? read_output(ends[0]) : NULL;
    close(ends[0]);
    free(program);
    while (started && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (output != NULL)
        *output = text;
    else
        free(text);
    return started && WIFEXITED(status) ? WEXITSTATUS(status) : SETUP_NOT_FOUND - 1;
}

char *setup_command_text(const char *const *command)
{
    char *text = memory_format("%s", command[0]);
    for (size_t i = 1; command[i] != NULL; i++) {
        char *longer = memory_format("%s %s", text, command[i]);
        free(text);
        text = longer;
    }
    return text;
}
