/* Changes of tenants by the command line: see tenants_change.h. */
#include "tenants_change.h"

#include "ask.h"
#include "command.h"
#include "core/memory.h"
#include "environment.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

enum { INPUT_MAX_BYTES = 1024 * 1024 };

bool tenants_change_is_action(const char *word)
{
    return strcmp(word, "add") == 0 || strcmp(word, "set") == 0 || strcmp(word, "remove") == 0;
}

/* -- What is to be ----------------------------------------------------------------------------- */

/* KEY=VALUE, the value as JSON; what is no JSON is a text. NULL when there is no "=". */
static bool put_pair(struct json *object, const char *pair)
{
    const char *sign = strchr(pair, '=');
    if (sign == NULL || sign == pair)
        return false;
    char *key = memory_copy_text(slice_from(pair, (size_t)(sign - pair)));
    char *wrapped = memory_format("[%s]", sign + 1);
    struct json *array = json_parse(slice_of(wrapped), INPUT_MAX_BYTES, NULL, NULL);
    if (sign[1] == '\0')
        json_put_null(object, key);
    else if (array != NULL && json_count(array) == 1)
        json_put(object, key, json_clone(json_at(array, 0)));
    else
        json_put_text(object, key, slice_of(sign + 1));
    json_free(array);
    free(wrapped);
    free(key);
    return true;
}

/* A tenant's object from a file; "-" is stdin. */
static struct json *read_object(const char *path)
{
    struct error_text why;
    char *text = memory_new(INPUT_MAX_BYTES);
    FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    size_t size = in != NULL ? fread(text, 1, INPUT_MAX_BYTES, in) : 0;
    struct json *object = NULL;
    if (in == NULL)
        fprintf(stderr, "owui-spoa: cannot open %s\n", path);
    else if ((object = json_parse(slice_from(text, size), INPUT_MAX_BYTES, NULL, &why)) == NULL)
        fprintf(stderr, "owui-spoa: %s: %s\n", path, why.text);
    if (in != NULL && in != stdin)
        fclose(in);
    free(text);
    return object;
}

/* One file, or pairs. NULL, told, when it is neither. */
static struct json *read_wish(const char *command, int count, char **arguments)
{
    if (count == 1 && strchr(arguments[0], '=') == NULL)
        return read_object(arguments[0]);
    struct json *object = json_new_object();
    for (int i = 0; i < count; i++) {
        if (put_pair(object, arguments[i]))
            continue;
        command_misused(command, "\"%s\": expected KEY=VALUE", arguments[i]);
        json_free(object);
        return NULL;
    }
    return object;
}

/* -- Asking ------------------------------------------------------------------------------------ */

static void print_result(const struct json *answer, const char *done)
{
    bool changed = false;
    struct slice state = ask_text(answer, "state");
    struct slice name = ask_text(answer, "tenant");
    if (!json_read_bool(json_get(answer, "changed"), &changed) || !changed) {
        printf("%.*s: nothing to change\n", SLICE_PRINT(name));
        return;
    }
    printf("%.*s: %s in %.*s, generation %lld", SLICE_PRINT(name), done,
           SLICE_PRINT(ask_text(answer, "file")), (long long)ask_number(answer, "generation"));
    printf(state.size > 0 ? ", %.*s\n" : "\n", SLICE_PRINT(state));
}

static int tell(const struct tenants_change *change, const char *method, const char *path,
                const struct json *body, const char *done)
{
    bool adds = strcmp(done, "added") == 0;
    int code = EXIT_WRONG;
    char *socket = ask_socket(change->socket, change->configuration);
    struct json *answer =
        socket != NULL ? ask_if(socket, method, path, change->if_match, body, &code) : NULL;
    if (answer != NULL && change->json)
        ask_print_json(answer);
    else if (answer != NULL)
        print_result(answer, done);
    if (answer != NULL && !change->json && adds && code == EXIT_GOOD)
        environment_print_tenant(body);
    json_free(answer);
    free(socket);
    return code;
}

int tenants_change(const struct tenants_change *change, const char *action, int count,
                   char **arguments)
{
    bool removes = strcmp(action, "remove") == 0;
    bool adds = strcmp(action, "add") == 0;
    if (count == 0)
        return command_misused("tenants", "%s: which tenant?", action);
    if (!ask_item_valid(arguments[0]))
        return command_misused("tenants", "\"%s\" is no name for a tenant", arguments[0]);
    if (removes ? count != 1 : count == 1)
        return command_misused("tenants", removes ? "remove: one tenant at a time"
                                                  : "expected a file, or KEY=VALUE...");
    if (change->file != NULL && !ask_item_valid(change->file))
        return command_misused("tenants", "\"%s\" is no name for a file", change->file);
    struct json *body = removes ? NULL : read_wish("tenants", count - 1, arguments + 1);
    if (body == NULL && !removes)
        return EXIT_WRONG;
    char *path =
        memory_format("/v1/tenants/%s%s%s", arguments[0], change->file != NULL ? "?file=" : "",
                      change->file != NULL ? change->file : "");
    int code = tell(change,
                    removes ? "DELETE"
                    : adds  ? "POST"
                            : "PATCH",
                    path, body,
                    removes ? "removed"
                    : adds  ? "added"
                            : "changed");
    free(path);
    json_free(body);
    return code;
}

/* -- Commands for one key ---------------------------------------------------------------------- */

struct key_command {
    const char *word;  /* the last part of the path */
    const char *done;  /* for people */
    struct json *body; /* freed here; may be NULL */
};

static int tell_key(const struct tenants_change *change, const char *name,
                    const struct key_command *key)
{
    char *path = memory_format("/v1/tenants/%s/%s", name, key->word);
    int code = tell(change, "POST", path, key->body, key->done);
    free(path);
    json_free(key->body);
    return code;
}

/* Reads what all of them take; the arguments begin at `optind` then. 0, or the exit code plus 1. */
static int read_options(int count, char **arguments, struct tenants_change *change, bool *off)
{
    static const struct option OPTIONS[] = {
        {"config", required_argument, NULL, 'c'}, {"socket", required_argument, NULL, 's'},
        {"json", no_argument, NULL, 'j'},         {"off", no_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},         {0}};
    int option;
    *change = (struct tenants_change){.configuration = DEFAULT_CONFIGURATION};
    *off = false;
    while ((option = getopt_long(count, arguments, "c:h", OPTIONS, NULL)) != -1) {
        switch (option) {
        case 'c': change->configuration = optarg; break;
        case 's': change->socket = optarg; break;
        case 'j': change->json = true; break;
        case 'o': *off = true; break;
        case 'h': return command_help(arguments[0]) + 1;
        default: return command_misused(arguments[0], NULL) + 1;
        }
    }
    if (optind == count || !ask_item_valid(arguments[optind]))
        return command_misused(arguments[0], "which tenant?") + 1;
    return 0;
}

int suspend_command(int count, char **arguments)
{
    struct tenants_change change;
    bool off;
    int code = read_options(count, arguments, &change, &off);
    if (code != 0)
        return code - 1;
    const char *name = arguments[optind++];
    struct json *body = NULL;
    if (optind < count && !off) {
        body = read_wish(arguments[0], count - optind, arguments + optind);
        if (body == NULL)
            return EXIT_WRONG;
    }
    const struct key_command key = {off ? "resume" : "suspend", off ? "resumed" : "suspended",
                                    body};
    return tell_key(&change, name, &key);
}

int maintenance_command(int count, char **arguments)
{
    struct tenants_change change;
    bool off;
    int code = read_options(count, arguments, &change, &off);
    if (code != 0)
        return code - 1;
    const char *name = arguments[optind++];
    struct json *body = read_wish(arguments[0], count - optind, arguments + optind);
    if (body == NULL)
        return EXIT_WRONG;
    json_put_bool(body, "on", !off);
    const struct key_command key = {"maintenance", off ? "maintenance ended" : "in maintenance",
                                    body};
    return tell_key(&change, name, &key);
}

int switch_command(int count, char **arguments)
{
    struct tenants_change change;
    bool off;
    int code = read_options(count, arguments, &change, &off);
    if (code != 0)
        return code - 1;
    if (optind + 2 != count || off)
        return command_misused(arguments[0], "expected a tenant and one of its versions");
    struct json *body = json_new_object();
    json_put_text(body, "to", slice_of(arguments[optind + 1]));
    const struct key_command key = {"switch", "switched", body};
    return tell_key(&change, arguments[optind], &key);
}
