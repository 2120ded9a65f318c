/* `owui-spoa history` and `owui-spoa rollback`. */
#include "ask.h"
#include "command.h"
#include "core/memory.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct wish {
    const char *configuration;
    const char *socket;
    const char *id; /* NULL: all */
    bool force;
    bool json;
};

static void print_when(int64_t wall_s)
{
    char text[32];
    time_t time = (time_t)wall_s;
    struct tm parts;
    localtime_r(&time, &parts);
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &parts);
    fputs(text, stdout);
}

/* "a, b, c and 4 more" */
static void print_names(const struct json *names)
{
    enum { SHOWN = 3 };
    for (size_t i = 0; i < json_count(names) && i < SHOWN; i++) {
        struct slice name = SLICE("?");
        if (json_read_text(json_at(names, i), &name))
            printf("%s%.*s", i > 0 ? ", " : "", SLICE_PRINT(name));
    }
    if (json_count(names) > SHOWN)
        printf(" and %zu more", json_count(names) - SHOWN);
}

static void print_row(const struct json *record)
{
    struct slice what = ask_text(record, "what");
    printf("%5lld  ", (long long)ask_number(record, "id"));
    print_when(ask_number(record, "when"));
    printf("  %-34.*s ", SLICE_PRINT(ask_text(record, "who")));
    if (what.size > 0)
        printf("%.*s", SLICE_PRINT(what));
    else
        print_names(json_get(record, "tenants"));
    putchar('\n');
}

static void print_record(const struct json *record)
{
    const struct json *differences = json_get(record, "differences");
    print_row(record);
    for (size_t i = 0; i < json_count(differences); i++) {
        const struct json *one = json_at(differences, i);
        const struct json *before = json_get(one, "before");
        const struct json *after = json_get(one, "after");
        printf("\n%.*s\n", SLICE_PRINT(ask_text(one, "tenant")));
        if (before != NULL) {
            char *text = json_print(before, JSON_STYLE_LINE);
            printf("  - %s\n", text);
            free(text);
        }
        if (after != NULL) {
            char *text = json_print(after, JSON_STYLE_LINE);
            printf("  + %s\n", text);
            free(text);
        }
    }
}

static int show(const struct wish *wish, const char *socket)
{
    int code;
    char *path = memory_format("/v1/history%s%s", wish->id != NULL ? "/" : "",
                               wish->id != NULL ? wish->id : "");
    struct json *answer = ask(socket, "GET", path, NULL, &code);
    const struct json *list = json_get(answer, "history");
    free(path);
    if (answer != NULL && wish->json)
        ask_print_json(answer);
    else if (answer != NULL && wish->id != NULL)
        print_record(answer);
    else if (answer != NULL)
        printf("%5s  %-19s  %-34s %s\n", "ID", "WHEN", "WHO", "WHAT");
    for (size_t i = 0; !wish->json && i < json_count(list); i++)
        print_row(json_at(list, i));
    json_free(answer);
    return code;
}

static int roll_back(const struct wish *wish, const char *socket)
{
    int code;
    char *path =
        memory_format("/v1/history/%s/rollback%s", wish->id, wish->force ? "?force=1" : "");
    struct json *answer = ask(socket, "POST", path, NULL, &code);
    free(path);
    if (answer != NULL && wish->json) {
        ask_print_json(answer);
    } else if (answer != NULL) {
        const struct json *files = json_get(answer, "files");
        printf("as after change %s: %zu files written, generation %lld\n", wish->id,
               json_count(files), (long long)ask_number(answer, "generation"));
    }
    json_free(answer);
    return code;
}

static int perform(int count, char **arguments, bool goes_back)
{
    static const struct option OPTIONS[] = {
        {"config", required_argument, NULL, 'c'}, {"socket", required_argument, NULL, 's'},
        {"json", no_argument, NULL, 'j'},         {"force", no_argument, NULL, 'f'},
        {"help", no_argument, NULL, 'h'},         {0}};
    struct wish wish = {.configuration = DEFAULT_CONFIGURATION};
    int option;

    while ((option = getopt_long(count, arguments, "c:h", OPTIONS, NULL)) != -1) {
        switch (option) {
        case 'c': wish.configuration = optarg; break;
        case 's': wish.socket = optarg; break;
        case 'j': wish.json = true; break;
        case 'f': wish.force = true; break;
        case 'h': return command_help(arguments[0]);
        default: return command_misused(arguments[0], NULL);
        }
    }
    if (optind < count)
        wish.id = arguments[optind++];
    if (optind < count)
        return command_misused(arguments[0], "unexpected argument \"%s\"", arguments[optind]);
    if (wish.id == NULL ? goes_back : !ask_item_valid(wish.id))
        return command_misused(arguments[0], "expected the number of a change");
    char *socket = ask_socket(wish.socket, wish.configuration);
    int code = socket == NULL ? EXIT_WRONG
               : goes_back    ? roll_back(&wish, socket)
                              : show(&wish, socket);
    free(socket);
    return code;
}

int history_command(int count, char **arguments)
{
    return perform(count, arguments, false);
}

int rollback_command(int count, char **arguments)
{
    return perform(count, arguments, true);
}
