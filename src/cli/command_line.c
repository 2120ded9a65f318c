/* A command's options: see command_line.h.
 *
 * Not getopt_long(): its table leads to a switch that says once more what each option is, and a
 * third place has to tell people. And it takes any beginning of a name, which a script relies on
 * until another option begins like that. */
#include "cli/command_line.h"

#include "cli/command.h"
#include "cli/terminal.h"
#include "command_help.h"
#include "core/memory.h"
#include "core/nearest.h"
#include "core/slice.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_OPTIONS = 24 };

struct command_option command_option_config(const char **path)
{
    return (struct command_option){"config", 'c', "FILE",
                                   "the global file (" DEFAULT_CONFIGURATION ")", .text = path};
}

struct command_option command_option_socket(const char **path)
{
    return (struct command_option){
        "socket", 0, "PATH", "the admin socket (the one that the global file tells)", .text = path};
}

struct command_option command_option_json(bool *json)
{
    return (struct command_option){"json", 0, NULL, "for programs", .flag = json};
}

int command_line_misused(const struct command_line *line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = memory_format_list(format, arguments);
    va_end(arguments);
    terminal_complain("%s", text);
    terminal_complain_more("", "owui-spoa %s --help tells how it is used", line->name);
    free(text);
    return EXIT_WRONG;
}

const char *command_line_next(struct command_line *line)
{
    if (line->count == 0)
        return NULL;
    line->count--;
    return *line->words++;
}

const char *command_line_next_verb(struct command_line *line, const struct command_usage *usage)
{
    for (size_t i = 0; line->count > 0 && i < COMMAND_TERMS && usage->verbs[i].name != NULL; i++)
        if (strcmp(line->words[0], usage->verbs[i].name) == 0)
            return command_line_next(line);
    return NULL;
}

bool command_line_ends(struct command_line *line, const struct command_usage *usage,
                       const char *first)
{
    size_t count = 0;
    if (line->count == 0)
        return true;
    while (count < COMMAND_TERMS && usage->verbs[count].name != NULL)
        count++;
    const char *nearest =
        first != NULL ? nearest_name(slice_of(first), usage->verbs, count, sizeof(*usage->verbs))
                      : NULL;
    if (nearest != NULL)
        line->code = command_line_misused(line, "%s has no \"%s\"; did you mean %s?", line->name,
                                          first, nearest);
    else
        line->code = command_line_misused(line, "unexpected argument \"%s\"", line->words[0]);
    return false;
}

/* -- Finding an option ------------------------------------------------------------------------- */

static size_t count_options(const struct command_option *options)
{
    size_t count = 0;
    while (options[count].name != NULL)
        count++;
    return count;
}

static const struct command_option *find_name(const struct command_option *options,
                                              struct slice name)
{
    for (; options->name != NULL; options++)
        if (slice_equal(name, slice_of(options->name)))
            return options;
    return NULL;
}

static const struct command_option *find_letter(const struct command_option *options, char letter)
{
    for (; options->name != NULL; options++)
        if (options->letter == letter)
            return options;
    return NULL;
}

static void tell_unknown(struct command_line *line, const struct command_option *options,
                         struct slice name)
{
    const char *nearest = nearest_name(name, options, count_options(options), sizeof(*options));
    if (nearest != NULL)
        line->code = command_line_misused(line, "%s has no option --%.*s; did you mean --%s?",
                                          line->name, SLICE_PRINT(name), nearest);
    else
        line->code =
            command_line_misused(line, "%s has no option --%.*s", line->name, SLICE_PRINT(name));
}

/* -- Its value --------------------------------------------------------------------------------- */

static bool is_choice(const char *const *choices, const char *value)
{
    for (; *choices != NULL; choices++)
        if (strcmp(*choices, value) == 0)
            return true;
    return false;
}

static bool take_choice(struct command_line *line, const struct command_option *option,
                        const char *value)
{
    size_t count = 0;
    while (option->choices[count] != NULL)
        count++;
    if (is_choice(option->choices, value))
        return true;
    char *hint = nearest_hint(slice_of(value), option->choices, count, sizeof(*option->choices));
    line->code =
        command_line_misused(line, "--%s \"%s\": there is no such; %s", option->name, value, hint);
    free(hint);
    return false;
}

static bool take_number(struct command_line *line, const struct command_option *option,
                        const char *value)
{
    char *end;
    unsigned long number = strtoul(value, &end, 10);
    if (!ascii_is_digit(value[0]) || *end != '\0' || number < option->min || number > option->max) {
        line->code = command_line_misused(line, "--%s \"%s\": expected a number from %u to %u",
                                          option->name, value, option->min, option->max);
        return false;
    }
    *option->number = (unsigned)number;
    return true;
}

static bool take_item(struct command_line *line, const struct command_option *option,
                      const char *value)
{
    struct command_list *list = option->list;
    if (list->count == COUNT_OF(list->items)) {
        line->code = command_line_misused(line, "--%s: more than %zu of them", option->name,
                                          COUNT_OF(list->items));
        return false;
    }
    list->items[list->count++] = value;
    return true;
}

static bool take_value(struct command_line *line, const struct command_option *option,
                       const char *value)
{
    if (option->choices != NULL && !take_choice(line, option, value))
        return false;
    if (option->number != NULL)
        return take_number(line, option, value);
    if (option->list != NULL)
        return take_item(line, option, value);
    *option->text = value;
    return true;
}

/* `value` is what is behind "=", or NULL; then it is the next word, which is taken. */
static bool take_option(struct command_line *line, const struct command_option *option,
                        const char *value)
{
    if (option->flag != NULL) {
        if (value != NULL)
            line->code = command_line_misused(line, "--%s takes no value", option->name);
        *option->flag = true;
        return value == NULL;
    }
    if (value == NULL)
        value = command_line_next(line);
    if (value == NULL) {
        line->code = command_line_misused(line, "--%s: which %s?", option->name, option->value);
        return false;
    }
    return take_value(line, option, value);
}

/* -- The line ---------------------------------------------------------------------------------- */

static bool read_long(struct command_line *line, const struct command_option *options,
                      const char *text)
{
    const char *sign = strchr(text, '=');
    struct slice name = sign != NULL ? slice_from(text, (size_t)(sign - text)) : slice_of(text);
    const struct command_option *option = find_name(options, name);
    if (option != NULL)
        return take_option(line, option, sign != NULL ? sign + 1 : NULL);
    tell_unknown(line, options, name);
    return false;
}

/* "-c FILE" or "-cFILE". */
static bool read_short(struct command_line *line, const struct command_option *options,
                       const char *text)
{
    const struct command_option *option = find_letter(options, text[0]);
    if (option != NULL)
        return take_option(line, option, text[1] != '\0' ? text + 1 : NULL);
    line->code = command_line_misused(line, "%s has no option -%s", line->name, text);
    return false;
}

/* What is no option moves to the front, over what has been read. */
static bool read_all(struct command_line *line, const struct command_option *options)
{
    char **words = line->words;
    size_t count = 0;
    bool reads = true;
    bool good = true;
    while (good && line->count > 0) {
        char *word = line->words[0];
        (void)command_line_next(line);
        if (!reads || word[0] != '-' || word[1] == '\0') /* "-" is a word: stdin */
            words[count++] = word;
        else if (strcmp(word, "--") == 0)
            reads = false;
        else
            good = word[1] == '-' ? read_long(line, options, word + 2)
                                  : read_short(line, options, word + 1);
    }
    line->words = words;
    line->count = count;
    return good;
}

static bool has_words(struct command_line *line, const struct command_usage *usage)
{
    if (line->count < usage->min_words) {
        line->code = command_line_misused(line, "%s", usage->missing);
        return false;
    }
    if (line->count > usage->max_words) {
        line->code =
            command_line_misused(line, "unexpected argument \"%s\"", line->words[usage->max_words]);
        return false;
    }
    return true;
}

/* Behind a word that was meant to be a verb, the help would hide that it is none. */
static bool is_about_verb(struct command_line *line, const struct command_usage *usage)
{
    return usage->verbs[0].name == NULL || line->count < 2 ||
           command_line_next_verb(line, usage) != NULL ||
           command_line_ends(line, usage, command_line_next(line));
}

bool command_line_read(struct command_line *line, const struct command_usage *usage,
                       const struct command_option *options)
{
    struct command_option all[MAX_OPTIONS + 2] = {{0}};
    size_t count = count_options(options);
    bool help = false;
    assert(count <= MAX_OPTIONS);
    memcpy(all, options, count * sizeof(*all));
    all[count] = (struct command_option){"help", 'h', NULL, "tell how it is used", .flag = &help};
    line->code = EXIT_GOOD;
    if (line->description != NULL) {
        command_help_describe(line->description, usage, all);
        return false;
    }
    if (!read_all(line, all))
        return false;
    if (help) {
        if (is_about_verb(line, usage))
            command_help_print(line->name, usage, all);
        return false;
    }
    return has_words(line, usage);
}
