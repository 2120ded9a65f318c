/* certbot's folder, which only root may read: its certificates are handed to the daemon by a copy
 * in the daemon's own folder, for as long as it takes them over. See setup.h. */
#include "admin/admin_client.h"
#include "certbot_copies.h"
#include "cli/ask.h"
#include "cli/terminal.h"
#include "core/memory.h"
#include "crypto/crypto.h"
#include "route/host.h"
#include "setup.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define CHAIN_FILE "fullchain.pem"

enum { LINEAGES_MAX = 10000, TRIES = 100, TRY_MS = 20 };

/* Its folders with a certificate: certbot calls them as it likes, "chat.example.com-0001" too. */
static size_t find_lineages(const char *certbot, char ***names)
{
    char *live = memory_format("%s/live", certbot);
    DIR *folder = opendir(live);
    const struct dirent *entry;
    size_t count = 0;
    *names = NULL;
    while (folder != NULL && count < LINEAGES_MAX && (entry = readdir(folder)) != NULL) {
        char *file = memory_format("%s/%s/%s", live, entry->d_name, CHAIN_FILE);
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

/* One host, as the configuration has it; a wildcard is none. */
static bool is_host(const char *name)
{
    char host[HOST_MAX_BYTES + 1];
    bool is_wildcard;
    return host_pattern_parse(slice_of(name), host, &is_wildcard) && !is_wildcard;
}

static enum error add_names(const char *file, char ***names, size_t *count, struct error_text *why)
{
    struct crypto_certificate certificate;
    char *text;
    enum error error = setup_file_read(file, &text, why);
    if (error != ERROR_OK || text == NULL)
        return error;
    error = crypto_certificate_read(slice_of(text), &certificate, why);
    free(text);
    if (error != ERROR_OK)
        return error;
    for (size_t i = 0; i < certificate.name_count; i++) {
        if (!is_host(certificate.names[i]))
            continue;
        *names = memory_resize(*names, *count + 1, sizeof(**names));
        (*names)[(*count)++] = memory_copy_text(slice_of(certificate.names[i]));
    }
    crypto_certificate_free(&certificate);
    return ERROR_OK;
}

size_t setup_certbot_names(const char *certbot, char ***names)
{
    struct error_text why;
    char **lineages;
    size_t lineage_count = find_lineages(certbot, &lineages);
    size_t count = 0;
    *names = NULL;
    for (size_t i = 0; i < lineage_count; i++) {
        char *file = memory_format("%s/live/%s/%s", certbot, lineages[i], CHAIN_FILE);
        if (add_names(file, names, &count, &why) != ERROR_OK)
            terminal_complain("%s: %s", file, why.text);
        free(file);
    }
    memory_free_texts(lineages, lineage_count);
    return memory_sort_texts_once(*names, count);
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

/* Whether the daemon has some of them. */
static bool tell(const struct json *answer)
{
    const struct json *imported = json_get(answer, "imported");
    const struct json *skipped = json_get(answer, "skipped");
    for (size_t i = 0; i < json_count(imported); i++)
        printf("  taken over from certbot: %.*s\n",
               SLICE_PRINT(json_get_text(json_at(imported, i), "lineage")));
    for (size_t i = 0; i < json_count(skipped); i++) {
        char *text =
            memory_format("%.*s: %.*s", SLICE_PRINT(json_get_text(json_at(skipped, i), "lineage")),
                          SLICE_PRINT(json_get_text(json_at(skipped, i), "reason")));
        terminal_wrap("  left to certbot: ", 4, text, terminal_columns());
        free(text);
    }
    return json_count(imported) + json_count(json_get(answer, "unchanged")) > 0;
}

static bool hand_over(const char *socket, const char *folder)
{
    struct error_text why;
    unsigned status = 0;
    struct json *answer = import(socket, folder, &status, &why);
    bool taken = answer != NULL && status == 200 && tell(answer);
    if (answer == NULL || status != 200)
        terminal_complain(
            "certbot's certificates are not taken over: %.*s",
            SLICE_PRINT(answer != NULL ? json_get_text(answer, "error") : slice_of(why.text)));
    json_free(answer);
    return taken;
}

bool setup_import(const struct setup_plan *plan, const char *certbot)
{
    const struct configuration *configuration = plan->whole.configuration;
    struct error_text why;
    char **names;
    size_t count = find_lineages(certbot, &names);
    struct certbot_copies *copies =
        count > 0 ? certbot_copies_new(configuration->acme.state_dir, &why) : NULL;
    if (count > 0 && copies == NULL)
        terminal_complain("%s", why.text);
    for (size_t i = 0; i < count; i++) {
        if (copies != NULL && certbot_copies_add(copies, certbot, names[i], &why) != ERROR_OK)
            terminal_complain("%s: %s", names[i], why.text);
        free(names[i]);
    }
    free(names);
    bool taken =
        copies != NULL && hand_over(configuration->admin_socket, certbot_copies_path(copies));
    certbot_copies_free(copies);
    return taken;
}
