/* What is typed behind a command's name, read by a table.
 *
 *     static const struct command_usage USAGE = {.about = "...", .examples = {"..."}, ...};
 *
 *     int status_command(struct command_line *line)
 *     {
 *         struct wish wish = {.interval_s = 1};
 *         const struct command_option options[] = {
 *             {"interval", 'i', "S", "seconds", .number = &wish.interval_s, .min = 1, .max = 60},
 *             command_option_json(&wish.json),
 *             {0}};
 *         if (!command_line_read(line, &USAGE, options))
 *             return line->code;
 *
 * The table and the usage are all that is said of a command: --help shows them to people, and
 * `owui-spoa help --json` to what writes the man page and the shells' completions. */
#pragma once

#include "conf/configuration.h"
#include "json/json.h"

/* An option that may be given again and again. */
struct command_list {
    const char *items[32];
    size_t count;
};

struct command_option {
    const char *name;  /* without the dashes; NULL ends a table */
    char letter;       /* 'c' for -c; 0: it has none */
    const char *value; /* what the help calls its value; NULL: it takes none */
    const char *help;
    const char *const *choices; /* the values that there are, up to NULL; NULL: any text */

    /* Where it goes: one of these. What is not given is left as it is. */
    bool *flag;
    const char **text;
    struct command_list *list;
    unsigned *number;
    unsigned min, max;
};

/* Those that many commands have. */
struct command_option command_option_config(const char **path);
struct command_option command_option_socket(const char **path);
struct command_option command_option_json(bool *json);

enum {
    COMMAND_FORMS = 4,
    COMMAND_TERMS = 8,
    COMMAND_EXIT_CODES = 3,
    COMMAND_EXAMPLES = 4,
};

struct command_term {
    const char *name;
    const char *help;
};

/* What a command is for, in the order of its help. Lists are as long as they are, up to NULL. */
struct command_usage {
    const char *forms[COMMAND_FORMS]; /* what may stand behind its name, without the options */
    const char *about;
    struct command_term verbs[COMMAND_TERMS]; /* the first word may be one of them */
    const char *terms_heading;                /* other words that need explaining */
    struct command_term terms[COMMAND_TERMS];
    const char *exit_codes[COMMAND_EXIT_CODES];
    const char *examples[COMMAND_EXAMPLES];
    /* How many words, beside the options; where it is no matter of counting, the command looks
     * itself. */
    size_t min_words, max_words;
    const char *missing; /* what is asked when there are fewer */
};

struct command_line {
    const char *name; /* of the command */
    char **words;     /* what is typed behind it; after the reading, what is no option */
    size_t count;
    int code;                 /* what to exit with, when there is nothing to be done */
    struct json *description; /* when there is one, the command only says in it what it takes */
};

/* Reads the options, wherever they stand; "--" ends them. False when help was asked for, and
 * printed, or something is wrong, and told; then there is line->code. */
MUST_CHECK bool command_line_read(struct command_line *line, const struct command_usage *usage,
                                  const struct command_option *options);
/* The next word, which is no longer in `line` then; NULL when there is none. */
const char *command_line_next(struct command_line *line);
/* The same, if it is one of the usage's verbs. */
const char *command_line_next_verb(struct command_line *line, const struct command_usage *usage);
/* Whether there is no further word; else it is told, and that `first`, the word before it, was
 * probably meant to be one of the verbs. */
MUST_CHECK bool command_line_ends(struct command_line *line, const struct command_usage *usage,
                                  const char *first);
/* Says on stderr what is wrong with the way the command was called; returns the exit code. */
int command_line_misused(const struct command_line *line, const char *format, ...)
    PRINTF_LIKE(2, 3);
