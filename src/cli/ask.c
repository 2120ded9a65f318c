/* Asking the daemon: see ask.h. */
#include "cli/ask.h"

#include "admin/admin_client.h"
#include "cli/command.h"
#include "cli/terminal.h"
#include "conf/own_address.h"
#include "core/file.h"
#include "core/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* NULL, with what is wrong with it told, when it cannot be read. */
static struct configuration *load(const char *path)
{
    struct diagnostics diagnostics = {0};
    struct tenant_file tenants = {0};
    struct configuration *configuration = configuration_load(path, &tenants, &diagnostics);
    for (size_t i = 0; configuration == NULL && i < diagnostics.count; i++) {
        char *text = diagnostic_print(&diagnostics.items[i]);
        if (diagnostics.items[i].severity == SEVERITY_ERROR)
            fputs(text, stderr);
        free(text);
    }
    tenant_file_fini(&tenants);
    diagnostics_fini(&diagnostics);
    return configuration;
}

static void complain_of(const char *path, const char *or_else)
{
    if (access(path, R_OK) != 0 && errno == EACCES)
        terminal_complain("%s may not be read by everybody: run this as root, for example with "
                          "sudo",
                          path);
    else
        terminal_complain("%s cannot be read; -c FILE names another one%s", path, or_else);
}

struct configuration *ask_configuration(const char *path)
{
    struct configuration *configuration = load(path);
    if (configuration == NULL)
        complain_of(path, "");
    return configuration;
}

/* A daemon goes on by what its file said before that was made wrong, and is asked then about that.
 * Whoever else listens where the file seems to say, or where one without a word of it would, is
 * another's. NULL when there is none. */
static char *find_its_daemon(const char *path)
{
    struct error_text why;
    unsigned status = 0;
    char *socket = configuration_admin_socket(path);
    struct json *told = admin_request(socket, "GET", "/v1/status", NULL, &status, &why);
    char *its_path = memory_copy_text(json_get_text(told, "configuration"));
    if (its_path[0] == '\0' || !file_is_same(path, its_path)) {
        free(socket);
        socket = NULL;
    }
    json_free(told);
    free(its_path);
    return socket;
}

static char *socket_of_wrong(const char *path)
{
    bool is_there = access(path, R_OK) == 0;
    char *socket = is_there ? find_its_daemon(path) : NULL;
    if (socket != NULL)
        terminal_complain("%s is wrong: asked is the daemon that has it, at %s, which goes by what "
                          "it said before",
                          path, socket);
    else
        complain_of(path, is_there ? ", --socket PATH the daemon to ask without it" : "");
    return socket;
}

char *ask_socket_of_several(const char *socket, const char *configuration_path, char **others)
{
    *others = NULL;
    if (socket != NULL)
        return memory_copy_text(slice_of(socket));
    struct configuration *configuration = load(configuration_path);
    if (configuration == NULL)
        return socket_of_wrong(configuration_path);
    char *path = memory_copy_text(slice_of(configuration->admin_socket));
    *others = own_address_others(configuration);
    configuration_free(configuration);
    return path;
}

char *ask_socket(const char *socket, const char *configuration_path)
{
    char *others;
    char *path = ask_socket_of_several(socket, configuration_path, &others);
    free(others);
    return path;
}

/* Why a change was refused, beyond its first reason; and how to mend each. */
static void print_problems(const struct json *problems)
{
    for (size_t i = 0; i < json_count(problems); i++) {
        struct slice hint = json_get_text(json_at(problems, i), "hint");
        if (i > 0)
            terminal_complain_more("  ", "%.*s",
                                   SLICE_PRINT(json_get_text(json_at(problems, i), "message")));
        if (hint.size > 0)
            terminal_complain_more("    ", "%.*s", SLICE_PRINT(hint));
    }
}

struct json *ask(const char *socket, const char *method, const char *path, const struct json *body,
                 int *code)
{
    return ask_if(socket, method, path, NULL, body, code);
}

struct json *ask_if(const char *socket, const char *method, const char *path, const char *if_match,
                    const struct json *body, int *code)
{
    struct error_text why;
    unsigned status = 0;
    struct json *answer = admin_request_if(socket, method, path, if_match, body, &status, &why);
    *code = EXIT_GOOD;
    if (answer == NULL) {
        terminal_complain("%s", why.text);
        *code = EXIT_WRONG;
    } else if (status >= 400) {
        terminal_complain("%.*s", SLICE_PRINT(json_get_text(answer, "error")));
        print_problems(json_get(answer, "problems"));
        *code = EXIT_BAD;
        json_free(answer);
        answer = NULL;
    }
    return answer;
}

bool ask_item_valid(const char *name)
{
    static const char GOOD[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-*";
    return name[0] != '\0' && strspn(name, GOOD) == strlen(name);
}

int64_t ask_number(const struct json *object, const char *key)
{
    int64_t number = 0;
    return json_read_integer(json_get(object, key), &number) ? number : 0;
}

void ask_print_json(const struct json *answer)
{
    char *text = json_print(answer, JSON_STYLE_INDENTED);
    fputs(text, stdout);
    free(text);
}
