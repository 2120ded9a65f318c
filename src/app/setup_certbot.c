/* certbot's folder, which only root may read: its certificates are handed to the daemon by a copy
 * in the daemon's own folder, for as long as it takes them over. See setup.h. */
#include "admin/admin_client.h"
#include "ask.h"
#include "core/memory.h"
#include "host_file.h"
#include "setup.h"
#include "terminal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LINEAGES_MAX = 10000, TRIES = 100, TRY_MS = 20 };

static const char *const FILES[] = {"fullchain.pem", "privkey.pem"};

size_t setup_certbot_names(const char *certbot, char ***names)
{
    char *live = memory_format("%s/live", certbot);
    DIR *folder = opendir(live);
    const struct dirent *entry;
    size_t count = 0;
    *names = NULL;
    while (folder != NULL && count < LINEAGES_MAX && (entry = readdir(folder)) != NULL) {
        char *file = memory_format("%s/%s/%s", live, entry->d_name, FILES[0]);
        if (entry->d_name[0] != '.' && access(file, F_OK) == 0) {
            *names = memory_resize(*names, count + 1, sizeof(**names));
            (*names)[count++] = memory_copy_text(slice_of(entry->d_name));
        }
        free(file);
    }
    if (folder != NULL)
        closedir(folder);
    free(live);
    return count;
}

static enum error copy_file(const char *from, const char *to, struct error_text *why)
{
    char *text;
    enum error error = setup_file_read(from, &text, why);
    if (error != ERROR_OK)
        return error;
    if (text == NULL)
        return error_set(why, ERROR_NOT_FOUND, "there is no %s", from);
    int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    size_t size = strlen(text);
    if (fd >= 0)
        host_file_give(fd, "owui-spoa", "owui-spoa");
    if (fd < 0 || write(fd, text, size) != (ssize_t)size)
        error = error_set_errno(why, "cannot write %s", to);
    if (fd >= 0)
        close(fd);
    memory_wipe(text, size);
    free(text);
    return error;
}

/* Copies a lineage, or with `remove` takes the copy away. */
static void each_file(const char *certbot, const char *copies, const char *name, bool remove)
{
    struct error_text why;
    char *folder = memory_format("%s/%s", copies, name);
    enum error error =
        remove ? ERROR_OK : setup_folder(folder, 0700, "owui-spoa", "owui-spoa", &why);
    for (size_t i = 0; i < COUNT_OF(FILES) && error == ERROR_OK; i++) {
        char *from = memory_format("%s/live/%s/%s", certbot, name, FILES[i]);
        char *to = memory_format("%s/%s", folder, FILES[i]);
        if (remove)
            unlink(to);
        else
            error = copy_file(from, to, &why);
        free(from);
        free(to);
    }
    if (error != ERROR_OK)
        terminal_complain("%s: %s", name, why.text);
    if (remove)
        rmdir(folder);
    free(folder);
}

/* A daemon that has just started takes a moment to see its tenants, and leaves everything aside
 * until then. */
static struct json *import(const char *socket, const char *copies, unsigned *status,
                           struct error_text *why)
{
    const struct timespec pause = {.tv_nsec = TRY_MS * 1000000L};
    struct json *body = json_new_object();
    struct json *answer = NULL;
    json_put_text(body, "folder", slice_of(copies));
    for (int i = 0; i < TRIES; i++) {
        answer = admin_request(socket, "POST", "/v1/import", body, status, why);
        bool taken = json_count(json_get(answer, "imported")) > 0 ||
                     json_count(json_get(answer, "unchanged")) > 0;
        if (taken || i + 1 == TRIES)
            break;
        json_free(answer);
        nanosleep(&pause, NULL);
    }
    json_free(body);
    return answer;
}

static void tell(const struct json *answer)
{
    const struct json *imported = json_get(answer, "imported");
    const struct json *skipped = json_get(answer, "skipped");
    for (size_t i = 0; i < json_count(imported); i++)
        printf("  taken over from certbot: %.*s\n",
               SLICE_PRINT(ask_text(json_at(imported, i), "lineage")));
    for (size_t i = 0; i < json_count(skipped); i++) {
        char *text =
            memory_format("%.*s: %.*s", SLICE_PRINT(ask_text(json_at(skipped, i), "lineage")),
                          SLICE_PRINT(ask_text(json_at(skipped, i), "reason")));
        terminal_wrap("  left to certbot: ", 4, text, terminal_columns());
        free(text);
    }
}

void setup_import(const struct setup_plan *plan, const char *certbot)
{
    const struct configuration *configuration = plan->whole.configuration;
    struct error_text why;
    char **names;
    unsigned status = 0;
    size_t count = setup_certbot_names(certbot, &names);
    char *copies = memory_format("%s/from-certbot", configuration->acme.state_dir);
    bool ready =
        count > 0 && setup_folder(copies, 0700, "owui-spoa", "owui-spoa", &why) == ERROR_OK;
    for (size_t i = 0; i < count && ready; i++)
        each_file(certbot, copies, names[i], false);
    if (ready) {
        struct json *answer = import(configuration->admin_socket, copies, &status, &why);
        if (answer != NULL && status == 200)
            tell(answer);
        else
            terminal_complain(
                "certbot's certificates are not taken over: %.*s",
                SLICE_PRINT(answer != NULL ? ask_text(answer, "error") : slice_of(why.text)));
        json_free(answer);
    } else if (count > 0) {
        terminal_complain("%s", why.text);
    }
    for (size_t i = 0; i < count; i++) {
        each_file(certbot, copies, names[i], true);
        free(names[i]);
    }
    rmdir(copies);
    free(copies);
    free(names);
}
