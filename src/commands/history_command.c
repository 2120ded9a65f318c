/* `owui-spoa history` and `owui-spoa rollback`. */
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/terminal.h"
#include "cli/view.h"
#include "core/memory.h"

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

/* "a, b, c and 4 more"; for free(). */
static char *join_names(const struct json *names)
{
    enum { SHOWN = 3 };
    char *text = memory_copy_text(SLICE(""));
    for (size_t i = 0; i < json_count(names) && i < SHOWN; i++) {
        struct slice name = SLICE("?");
        if (!json_read_text(json_at(names, i), &name))
            continue;
        char *longer = memory_format("%s%s%.*s", text, i > 0 ? ", " : "", SLICE_PRINT(name));
        free(text);
        text = longer;
    }
    if (json_count(names) <= SHOWN)
        return text;
    char *whole = memory_format("%s and %zu more", text, json_count(names) - SHOWN);
    free(text);
    return whole;
}

/* A change that no tenant's behaviour shows is told by its files. */
static char *join_changed(const struct json *record)
{
    const struct json *files = json_get(record, "files");
    struct json *names = json_new_array();
    for (size_t i = 0; i < json_count(files); i++) {
        struct slice name = json_get_text(json_at(files, i), "name");
        json_append_text(names, slice_equal(name, SLICE("@global")) ? SLICE("global file") : name);
    }
    const struct json *tenants = json_get(record, "tenants");
    char *text = join_names(json_count(tenants) > 0 ? tenants : names);
    json_free(names);
    return text;
}

/* What, and by whom if that is known, as far as a line goes. */
static void print_row(const struct json *record)
{
    enum { WHAT_COLUMN = 28 };
    struct slice what = json_get_text(record, "what");
    struct slice who = json_get_text(record, "who");
    char *done = what.size > 0 ? memory_copy_text(what) : join_changed(record);
    char *text = memory_format("%s%s%.*s", done, who.size > 0 ? ", by " : "", SLICE_PRINT(who));
    printf("%5lld  ", (long long)ask_number(record, "id"));
    print_when(ask_number(record, "when"));
    terminal_wrap("  ", WHAT_COLUMN, text, terminal_columns());
    free(text);
    free(done);
}

/* The keys of a tenant that are not as in `other`, one a line. */
static void print_keys(char mark, const struct json *tenant, const struct json *other)
{
    for (struct json_member member = {0}; json_next(tenant, &member);) {
        char *key = memory_copy_text(member.key);
        char *text = json_print(member.value, JSON_STYLE_LINE);
        char *there = other != NULL && json_get(other, key) != NULL
                          ? json_print(json_get(other, key), JSON_STYLE_LINE)
                          : NULL;
        if (there == NULL || strcmp(text, there) != 0)
            printf("  %c \"%s\": %s\n", mark, key, text);
        free(there);
        free(text);
        free(key);
    }
}

static void print_record(const struct json *record)
{
    const struct json *differences = json_get(record, "differences");
    print_row(record);
    for (size_t i = 0; i < json_count(differences); i++) {
        const struct json *one = json_at(differences, i);
        const struct json *before = json_get(one, "before");
        const struct json *after = json_get(one, "after");
        printf("\n%.*s%s\n", SLICE_PRINT(json_get_text(one, "tenant")),
               before == NULL  ? ", added"
               : after == NULL ? ", removed"
                               : "");
        print_keys('-', before, after);
        print_keys('+', after, before);
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
        printf("%5s  %-19s  %s\n", "ID", "WHEN", "WHAT, BY WHOM");
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
        if (json_count(files) == 0)
            printf("as after change %s: nothing to change\n", wish->id);
        else
            printf("as after change %s: %zu file%s written, generation %lld\n", wish->id,
                   json_count(files), plural_s(json_count(files)),
                   (long long)ask_number(answer, "generation"));
    }
    json_free(answer);
    return code;
}

static int perform(struct command_line *line, const struct command_usage *usage,
                   int (*act)(const struct wish *wish, const char *socket))
{
    struct wish wish = {.configuration = DEFAULT_CONFIGURATION};
    const struct command_option options[] = {
        {"force", 0, NULL, "overwrite such a file", .flag = &wish.force},
        command_option_config(&wish.configuration),
        command_option_socket(&wish.socket),
        command_option_json(&wish.json),
        {0},
    };
    bool overwrites = act == roll_back; /* the other only looks */
    if (!command_line_read(line, usage, overwrites ? options : options + 1))
        return line->code;
    wish.id = command_line_next(line);
    if (wish.id != NULL && !ask_item_valid(wish.id))
        return command_line_misused(line, "\"%s\": expected the number of a change", wish.id);
    char *socket = ask_socket(wish.socket, wish.configuration);
    int code = socket != NULL ? act(&wish, socket) : EXIT_WRONG;
    free(socket);
    return code;
}

int history_command(struct command_line *line)
{
    static const struct command_usage USAGE = {
        .forms = {"[ID]"},
        .about = "Lists the last changes of the configuration's files, by command or by hand, the "
                 "latest first; with an ID, the tenants that one changed, as they were (-) and "
                 "became (+).",
        .exit_codes = {"told", "there is no such change, or no history",
                       "wrong usage, or nobody answers"},
        .examples = {"owui-spoa history", "owui-spoa history 12"},
        .max_words = 1,
    };
    return perform(line, &USAGE, show);
}

int rollback_command(struct command_line *line)
{
    static const struct command_usage USAGE = {
        .forms = {"ID"},
        .about = "Writes the tenants' files as they were after the change ID, which undoes all "
                 "later ones; the rollback is a change too, and can be rolled back. The global "
                 "file is left alone. A file that somebody has changed in the meantime, unseen, is "
                 "not overwritten. Nothing is written that would not be right today.",
        .exit_codes = {"done", "refused", "wrong usage, or nobody answers"},
        .examples = {"owui-spoa history && owui-spoa rollback 11"},
        .min_words = 1,
        .max_words = 1,
        .missing = "expected the number of a change; owui-spoa history lists them",
    };
    return perform(line, &USAGE, roll_back);
}
