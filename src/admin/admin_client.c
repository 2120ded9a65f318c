/* The command line's side: see admin/admin_client.h.
 *
 * HTTP/1.0 to our own server over a unix socket, which ends the connection after its answer: so the
 * answer is what comes until the end, and no HTTP library is needed. */
#include "admin/admin_client.h"

#include "core/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_MAX_BYTES = JSON_MAX_TEXT_BYTES, TIMEOUT_S = 30 };

static void set_silent(const char *path, struct error_text *text)
{
    error_set(
        text, ERROR_TIMEOUT,
        "no answer on %s within %d s: the daemon hangs, or has very much to do (journalctl -u "
        "owui-spoa); what was asked of it may still be done",
        path, TIMEOUT_S);
}

static int connect_to(const char *path, struct error_text *text)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval timeout = {.tv_sec = TIMEOUT_S};
    if (strlen(path) >= sizeof(address.sun_path)) {
        error_set(text, ERROR_TOO_BIG, "the socket path %s is too long", path);
        return -1;
    }
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* Before connecting, which waits too when a daemon that hangs has its queue full. */
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) == 0 &&
        connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    if (fd >= 0 && errno == EAGAIN) {
        set_silent(path, text);
        close(fd);
        return -1;
    }
    const char *fix =
        errno == EACCES         ? " (try sudo, or join the socket's group)"
        : errno == ENOENT       ? " (is owui-spoa running, with this \"admin_socket\"? systemctl "
                                  "status owui-spoa)"
        : errno == ECONNREFUSED ? " (is owui-spoa running? systemctl status owui-spoa)"
                                : "";
    error_set(text, ERROR_SYSTEM, "cannot connect to %s: %s%s", path, strerror(errno), fix);
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool send_all(int fd, struct slice bytes)
{
    while (bytes.size > 0) {
        ssize_t count = send(fd, bytes.data, bytes.size, MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return false;
        bytes = slice_skip(bytes, (size_t)count);
    }
    return true;
}

/* Everything till the end of the connection; NULL on failure. */
static char *receive_all(int fd, size_t *size)
{
    char *answer = NULL;
    size_t capacity = 0;
    *size = 0;
    for (;;) {
        if (*size == capacity) {
            capacity = capacity * 2 + 16384;
            answer = memory_resize(answer, capacity, 1);
        }
        ssize_t count = recv(fd, answer + *size, capacity - *size, 0);
        if (count < 0 && errno == EINTR)
            continue;
        if (count >= 0 && *size > ANSWER_MAX_BYTES)
            errno = EMSGSIZE;
        if (count < 0 || *size > ANSWER_MAX_BYTES) {
            free(answer); /* which leaves errno */
            return NULL;
        }
        if (count == 0)
            return answer;
        *size += (size_t)count;
    }
}

static struct json *parse_answer(struct slice answer, unsigned *status, struct error_text *text)
{
    struct error_text reason = {""};
    if (answer.size == 0) {
        error_set(text, ERROR_CLOSED,
                  "the daemon closed the connection without an answer: it is ending, or was asked "
                  "for too much at once; what was asked of it may have been done");
        return NULL;
    }
    const char *body = memmem(answer.data, answer.size, "\r\n\r\n", 4);
    if (body == NULL || answer.size < 12 || memcmp(answer.data, "HTTP/1.", 7) != 0) {
        error_set(text, ERROR_PROTOCOL, "the answer on the admin socket is not HTTP");
        return NULL;
    }
    *status = (unsigned)strtoul(answer.data + 9, NULL, 10);
    struct slice json = slice_skip(answer, (size_t)(body - answer.data) + 4);
    struct json *value = json_parse(json, JSON_MAX_TEXT_BYTES, NULL, &reason);
    if (value == NULL)
        error_set(text, ERROR_PROTOCOL, "the answer on the admin socket is cut off, or no JSON: %s",
                  reason.text);
    return value;
}

struct json *admin_request(const char *socket_path, const char *method, const char *path,
                           const struct json *body, unsigned *status, struct error_text *text)
{
    return admin_request_if(socket_path, method, path, NULL, body, status, text);
}

struct json *admin_request_if(const char *socket_path, const char *method, const char *path,
                              const char *if_match, const struct json *body, unsigned *status,
                              struct error_text *text)
{
    struct json *answer = NULL;
    char *received = NULL;
    size_t size;
    char *payload =
        body != NULL ? json_print(body, JSON_STYLE_COMPACT) : memory_copy_text(SLICE(""));
    char *head =
        memory_format("%s %s HTTP/1.0\r\nHost: owui-spoa\r\nContent-Length: %zu\r\n%s%s%s\r\n",
                      method, path, strlen(payload), if_match != NULL ? "If-Match: " : "",
                      if_match != NULL ? if_match : "", if_match != NULL ? "\r\n" : "");
    int fd = connect_to(socket_path, text);

    if (fd >= 0 && send_all(fd, slice_of(head)) && send_all(fd, slice_of(payload)))
        received = receive_all(fd, &size);
    if (received != NULL)
        answer = parse_answer(slice_from(received, size), status, text);
    else if (fd >= 0 && errno == EAGAIN)
        set_silent(socket_path, text);
    else if (fd >= 0)
        error_set_errno(text, "no answer on %s", socket_path);
    if (fd >= 0)
        close(fd);
    free(received);
    free(payload);
    free(head);
    return answer;
}
