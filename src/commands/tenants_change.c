/* Changes of tenants by the command line: see tenants_change.h. */
#include "tenants_change.h"

#include "admin/admin_client.h"
#include "analysis/environment.h"
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/terminal.h"
#include "core/clock.h"
#include "core/memory.h"
#include "core/time_text.h"
#include "streams.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { INPUT_MAX_BYTES = 1024 * 1024 };

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
        terminal_complain("\"%s\" is neither KEY=VALUE nor a file that can be read: %s", path,
                          strerror(errno));
    else if ((object = json_parse(slice_from(text, size), INPUT_MAX_BYTES, NULL, &why)) == NULL)
        terminal_complain("%s: %s", path, why.text);
    else if (json_type_of(object) != JSON_TYPE_OBJECT)
        terminal_complain("%s: expected an object, {\"KEY\": VALUE, ...}", path);
    if (json_type_of(object) != JSON_TYPE_OBJECT) {
        json_free(object);
        object = NULL;
    }
    if (in != NULL && in != stdin)
        fclose(in);
    free(text);
    return object;
}

/* One file, or pairs: the words of the line. NULL when it is neither, or cannot be read; told. */
static struct json *read_wish(struct command_line *line)
{
    line->code = EXIT_WRONG;
    if (line->count == 1 && strchr(line->words[0], '=') == NULL)
        return read_object(line->words[0]);
    struct json *object = json_new_object();
    for (size_t i = 0; i < line->count; i++) {
        if (put_pair(object, line->words[i]))
            continue;
        line->code = command_line_misused(line, "\"%s\": expected KEY=VALUE", line->words[i]);
        json_free(object);
        return NULL;
    }
    return object;
}

/* -- Asking ------------------------------------------------------------------------------------ */

static void print_result(const struct json *answer, const char *done)
{
    bool changed = false;
    struct slice state = json_get_text(answer, "state");
    struct slice name = json_get_text(answer, "tenant");
    if (!json_read_bool(json_get(answer, "changed"), &changed) || !changed) {
        printf("%.*s: nothing to change\n", SLICE_PRINT(name));
        return;
    }
    char *text = memory_format("%.*s: %s in %.*s, generation %lld%s%.*s", SLICE_PRINT(name), done,
                               SLICE_PRINT(json_get_text(answer, "file")),
                               (long long)ask_number(answer, "generation"),
                               state.size > 0 ? ", " : "", SLICE_PRINT(state));
    terminal_wrap("", 0, text, terminal_columns());
    free(text);
}

static void print_warnings(const struct json *warnings)
{
    for (size_t i = 0; i < json_count(warnings); i++) {
        const struct json *warning = json_at(warnings, i);
        terminal_complain("warning: %.*s", SLICE_PRINT(json_get_text(warning, "message")));
        terminal_complain_more("    ", "%.*s", SLICE_PRINT(json_get_text(warning, "hint")));
    }
}

/* A change is of this agent's files alone, unless another has the same ones. */
static void print_others(const struct json *answer, const char *others)
{
    bool changed = false;
    if (others == NULL || !json_read_bool(json_get(answer, "changed"), &changed) || !changed)
        return;
    terminal_complain("HAProxy asks %s as well, which is to be told, too, unless it has the same "
                      "\"tenants_dir\"",
                      others);
}

static void print_environment(const char *socket, struct slice name, const struct json *body)
{
    struct error_text why;
    unsigned status = 0;
    char *path = memory_format("/v1/tenants/%.*s", SLICE_PRINT(name));
    struct json *tenant = admin_request(socket, "GET", path, NULL, &status, &why);
    environment_print_tenant(body, json_get(tenant, "environment"));
    json_free(tenant);
    free(path);
}

static int tell(const struct tenants_change *change, const char *method, const char *path,
                const struct json *body, const char *done)
{
    bool adds = strcmp(done, "added") == 0;
    int code = EXIT_WRONG;
    char *others;
    char *socket = ask_socket_of_several(change->socket, change->configuration, &others);
    struct json *answer =
        socket != NULL ? ask_if(socket, method, path, change->if_match, body, &code) : NULL;
    if (answer != NULL && change->json)
        ask_print_json(answer);
    else if (answer != NULL)
        print_result(answer, done);
    if (answer != NULL && !change->json && adds && code == EXIT_GOOD)
        print_environment(socket, json_get_text(answer, "tenant"), body);
    if (!change->json) {
        print_warnings(json_get(answer, "warnings"));
        print_others(answer, others);
    }
    json_free(answer);
    free(socket);
    free(others);
    return code;
}

int tenants_change(const struct tenants_change *change, const char *verb, struct command_line *line)
{
    bool removes = strcmp(verb, "remove") == 0;
    bool adds = strcmp(verb, "add") == 0;
    const char *name = command_line_next(line);
    if (name == NULL)
        return command_line_misused(line, "%s: which tenant?", verb);
    if (!ask_item_valid(name))
        return command_line_misused(
            line,
            "\"%s\" is no name for a tenant: up to 63 of a-z, 0-9 and, inside, \".\", \"_\", \"-\"",
            name);
    if (removes ? line->count > 0 : line->count == 0)
        return command_line_misused(line, removes ? "remove: one tenant at a time"
                                                  : "expected a file, or KEY=VALUE...");
    if (change->file != NULL && !ask_item_valid(change->file))
        return command_line_misused(
            line, "\"%s\" is no name for a file of tenants_dir: expected FILE.json", change->file);
    struct json *body = removes ? NULL : read_wish(line);
    if (body == NULL && !removes)
        return line->code;
    char *path = memory_format("/v1/tenants/%s%s%s", name, change->file != NULL ? "?file=" : "",
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

/* The option that one of them has besides. */
struct own_option {
    const char *name;
    const char *help;
};

static const struct own_option OFF = {"off", "end it"};

static bool read_line(struct command_line *line, const struct command_usage *usage,
                      const struct own_option *own, struct tenants_change *change, bool *flag)
{
    *change = (struct tenants_change){.configuration = DEFAULT_CONFIGURATION};
    const struct command_option options[] = {
        {own->name, 0, NULL, own->help, .flag = flag},
        command_option_config(&change->configuration),
        command_option_socket(&change->socket),
        command_option_json(&change->json),
        {0},
    };
    if (!command_line_read(line, usage, options))
        return false;
    if (!ask_item_valid(line->words[0])) {
        line->code = command_line_misused(
            line,
            "\"%s\" is no name for a tenant: up to 63 of a-z, 0-9 and, inside, \".\", \"_\", \"-\"",
            line->words[0]);
        return false;
    }
    return true;
}

int suspend_command(struct command_line *line)
{
    static const struct command_usage USAGE = {
        .forms = {"NAME [KEY=VALUE...]"},
        .about = "Writes \"suspended\" to the tenant's file: its users get a page until it is "
                 "resumed, which is --off.",
        .exit_codes = {"done", "refused", "wrong usage, or nobody answers"},
        .examples = {"owui-spoa suspend chat", "owui-spoa suspend chat status=403",
                     "owui-spoa suspend chat --off"},
        .min_words = 1,
        .max_words = SIZE_MAX,
        .missing = "which tenant?",
    };
    struct tenants_change change;
    bool off = false;
    if (!read_line(line, &USAGE, &OFF, &change, &off))
        return line->code;
    const char *name = command_line_next(line);
    struct json *body = NULL;
    if (line->count > 0 && off)
        return command_line_misused(line, "unexpected argument \"%s\"", line->words[0]);
    if (line->count > 0) {
        body = read_wish(line);
        if (body == NULL)
            return line->code;
    }
    const struct key_command key = {off ? "resume" : "suspend", off ? "resumed" : "suspended",
                                    body};
    return tell_key(&change, name, &key);
}

/* --off ends what is on; a window stands for itself, and would take people by surprise. */
static void warn_of_window(const struct tenants_change *change, const char *name)
{
    int code;
    int64_t to_s;
    char *socket = ask_socket(change->socket, change->configuration);
    char *path = memory_format("/v1/tenants/%s", name);
    struct json *tenant = socket != NULL ? ask(socket, "GET", path, NULL, &code) : NULL;
    const struct json *maintenance = json_get(json_get(tenant, "definition"), "maintenance");
    const struct json *window = json_get(maintenance, "window");
    struct slice from = json_get_text(window, "from");
    struct slice to = json_get_text(window, "to");
    if (time_text_parse_point(to, &to_s) && to_s > clock_wall_s()) {
        terminal_complain("%s has a \"window\" of maintenance, from %.*s to %.*s, which stays",
                          name, SLICE_PRINT(from), SLICE_PRINT(to));
        terminal_complain_more("  ", "without it: owui-spoa maintenance %s --off window=", name);
    }
    json_free(tenant);
    free(path);
    free(socket);
}

/* What is said of "on"; what is no truth value is the daemon's to refuse. */
static bool is_on(const struct json *body, bool otherwise)
{
    const struct json *told = json_get(body, "on");
    bool on = false;
    return told == NULL ? otherwise : json_read_bool(told, &on) && on;
}

int maintenance_command(struct command_line *line)
{
    static const struct command_usage USAGE = {
        .forms = {"NAME [KEY=VALUE...]"},
        .about =
            "Sets \"maintenance\" in the tenant's file on, or with --off off; what else "
            "stands there stays. With a \"window\" (from, to), nothing begins before its time; "
            "\"window=\" removes it.",
        .exit_codes = {"done", "refused", "wrong usage, or nobody answers"},
        .examples = {"owui-spoa maintenance chat retry_after=30m allow_ips='[\"192.0.2.0/24\"]'",
                     "owui-spoa maintenance chat --off"},
        .min_words = 1,
        .max_words = SIZE_MAX,
        .missing = "which tenant?",
    };
    struct tenants_change change;
    bool off = false;
    if (!read_line(line, &USAGE, &OFF, &change, &off))
        return line->code;
    const char *name = command_line_next(line);
    struct json *body = read_wish(line);
    if (body == NULL)
        return line->code;
    const struct json *window = json_get(body, "window");
    bool plans = !off && window != NULL;
    bool on = is_on(body, !off && !plans);
    if (off && json_get(body, "on") != NULL) {
        json_free(body);
        return command_line_misused(line, "--off says that \"on\" is false: one of them is enough");
    }
    if (!plans && json_get(body, "on") == NULL)
        json_put_bool(body, "on", on);
    const char *done = on                                       ? "maintenance begun"
                       : !plans                                 ? "maintenance ended"
                       : json_type_of(window) == JSON_TYPE_NULL ? "maintenance is planned no more"
                                                                : "maintenance is planned";
    const struct key_command key = {"maintenance", done, body};
    int code = tell_key(&change, name, &key);
    if (!on && !plans && code == EXIT_GOOD)
        warn_of_window(&change, name);
    return code;
}

/* -- Another version --------------------------------------------------------------------------- */

/* Where its requests go, as the daemon has it now: nowhere, when it is not in force. NULL when the
 * daemon does not tell; `*code` is what to exit with then. */
static struct json *servers_of(const char *socket, const char *name, int *code)
{
    char *path = memory_format("/v1/tenants/%s", name);
    struct json *tenant = ask(socket, "GET", path, NULL, code);
    const struct json *servers = json_get(tenant, "servers");
    struct json *copy = servers != NULL  ? json_clone(servers)
                        : tenant != NULL ? json_new_array()
                                         : NULL;
    json_free(tenant);
    free(path);
    return copy;
}

/* Ends the WebSockets that lead to the version before. */
static int close_sockets(const struct configuration *configuration, const struct json *servers)
{
    struct error_text why;
    struct streams_told told;
    size_t closed = 0;
    struct main_loop *loop = main_loop_new(&why);
    struct streams *streams = loop != NULL ? streams_new(loop, configuration) : NULL;
    bool good = streams != NULL && streams_count(streams, servers, &told, &why) == ERROR_OK &&
                streams_close_sockets(streams, &closed, &why) == ERROR_OK;
    if (good || closed > 0)
        terminal_complain_more("", "WebSockets of the version before: %zu, closed", closed);
    if (!good)
        terminal_complain("it is switched, but its WebSockets stay: %s", why.text);
    streams_free(streams);
    main_loop_free(loop);
    return good ? EXIT_GOOD : EXIT_BAD;
}

static int switch_and_close(const struct tenants_change *change, const char *name,
                            const struct key_command *key)
{
    struct configuration *configuration = ask_configuration(change->configuration);
    struct tenants_change same = *change;
    int code = EXIT_WRONG;
    if (configuration == NULL) {
        json_free(key->body);
        return code;
    }
    if (same.socket == NULL)
        same.socket = configuration->admin_socket;
    struct json *before = servers_of(same.socket, name, &code);
    if (before != NULL)
        code = tell_key(&same, name, key);
    else
        json_free(key->body);
    struct json *now = code == EXIT_GOOD ? servers_of(same.socket, name, &code) : NULL;
    if (now != NULL && !json_same(now, before))
        code = close_sockets(configuration, before);
    else if (now != NULL)
        terminal_complain("no WebSockets were closed: %s's servers are the ones that they were",
                          name);
    json_free(before);
    json_free(now);
    configuration_free(configuration);
    return code;
}

int switch_command(struct command_line *line)
{
    static const struct command_usage USAGE = {
        .forms = {"NAME VERSION"},
        .about = "Writes \"active\" to the tenant's file. The way back is the same with the other "
                 "version. WebSockets that are open stay where they are until they end, or are "
                 "closed, so that their tabs connect anew, to the version that is active now.",
        .exit_codes = {"done", "refused, or its WebSockets could not be closed",
                       "wrong usage, or nobody answers"},
        .examples = {"owui-spoa switch chat green", "owui-spoa switch chat green --close-sockets"},
        .min_words = 2,
        .max_words = 2,
        .missing = "expected a tenant and one of its versions",
    };
    static const struct own_option CLOSE = {"close-sockets",
                                            "close the WebSockets of the version "
                                            "before, through HAProxy's Runtime API"};
    struct tenants_change change;
    bool closes = false;
    if (!read_line(line, &USAGE, &CLOSE, &change, &closes))
        return line->code;
    struct json *body = json_new_object();
    json_put_text(body, "to", slice_of(line->words[1]));
    char *done = memory_format("switched to %s", line->words[1]);
    const struct key_command key = {"switch", done, body};
    int code = closes ? switch_and_close(&change, line->words[0], &key)
                      : tell_key(&change, line->words[0], &key);
    free(done);
    return code;
}
