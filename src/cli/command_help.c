/* A command's help: see command_help.h. */
#include "command_help.h"

#include "cli/terminal.h"
#include "core/memory.h"

#include <stdio.h>
#include <stdlib.h>

enum { WIDEST_LABEL = 24 };

/* -- For people -------------------------------------------------------------------------------- */

static unsigned width(void)
{
    unsigned columns = terminal_columns();
    return columns < TERMINAL_USUAL_COLUMNS ? columns : TERMINAL_USUAL_COLUMNS;
}

/* "  -c, --config FILE"; the letter has its column where an option has one. */
static char *label_of(const struct command_option *option)
{
    char letter[] = {'-', option->letter, ',', '\0'};
    return memory_format("  %-3s --%s%s%s", option->letter != 0 ? letter : "", option->name,
                         option->value != NULL ? " " : "",
                         option->value != NULL ? option->value : "");
}

/* The label, and the text beside it; below it where it is too long. */
static void print_term(const char *label, unsigned indent, const char *text)
{
    if (strlen(label) + 2 > indent) {
        puts(label);
        label = "";
    }
    char *first = memory_format("%-*s", (int)indent, label);
    terminal_wrap(first, indent, text, width());
    free(first);
}

static unsigned widest(const struct command_usage *usage, const struct command_option *options)
{
    size_t most = 0;
    for (size_t i = 0; i < COMMAND_TERMS && usage->verbs[i].name != NULL; i++)
        most = strlen(usage->verbs[i].name) > most ? strlen(usage->verbs[i].name) : most;
    most += 2;
    for (; options->name != NULL; options++) {
        char *label = label_of(options);
        most = strlen(label) > most ? strlen(label) : most;
        free(label);
    }
    return (unsigned)size_min(most, WIDEST_LABEL) + 2;
}

static void print_terms(const struct command_term *terms, unsigned indent)
{
    for (size_t i = 0; i < COMMAND_TERMS && terms[i].name != NULL; i++) {
        char *label = memory_format("  %s", terms[i].name);
        print_term(label, indent, terms[i].help);
        free(label);
    }
}

/* "NAME [OPTION...]", and "NAME [OPTION...] [-- COMMAND...]": behind "--" there are none. For
 * free(). */
static char *form_of(const struct command_usage *usage, size_t index)
{
    const char *form = usage->forms[index] != NULL ? usage->forms[index] : "";
    const char *rest = strstr(form, " [-- ");
    size_t size = rest != NULL ? (size_t)(rest - form) : strlen(form);
    return memory_format("%.*s%s[OPTION...]%s", (int)size, form, size > 0 ? " " : "",
                         rest != NULL ? rest : "");
}

static void print_forms(const char *name, const struct command_usage *usage)
{
    for (size_t i = 0; i < COMMAND_FORMS && (i == 0 || usage->forms[i] != NULL); i++) {
        char *form = form_of(usage, i);
        printf("%s owui-spoa %s %s\n", i == 0 ? "usage:" : "      ", name, form);
        free(form);
    }
}

static void print_exit_codes(const struct command_usage *usage)
{
    puts("\nexit code:");
    for (int code = 0; code < COMMAND_EXIT_CODES; code++) {
        char label[] = {' ', ' ', (char)('0' + code), ' ', ' ', '\0'};
        if (usage->exit_codes[code] != NULL)
            terminal_wrap(label, sizeof(label) - 1, usage->exit_codes[code], width());
    }
}

void command_help_print(const char *name, const struct command_usage *usage,
                        const struct command_option *options)
{
    unsigned indent = widest(usage, options);
    print_forms(name, usage);
    putchar('\n');
    terminal_wrap("", 0, usage->about, width());
    putchar('\n');
    print_terms(usage->verbs, indent);
    if (usage->verbs[0].name != NULL)
        putchar('\n');
    for (; options->name != NULL; options++) {
        char *label = label_of(options);
        print_term(label, indent, options->help);
        free(label);
    }
    if (usage->terms_heading != NULL) {
        printf("\n%s:\n", usage->terms_heading);
        print_terms(usage->terms, indent);
    }
    print_exit_codes(usage);
    puts("\nexamples:");
    for (size_t i = 0; i < COMMAND_EXAMPLES && usage->examples[i] != NULL; i++)
        printf("  %s\n", usage->examples[i]);
}

/* -- For programs ------------------------------------------------------------------------------ */

static struct json *describe_texts(const char *const *texts, size_t max)
{
    struct json *array = json_new_array();
    for (size_t i = 0; i < max && texts[i] != NULL; i++)
        json_append_text(array, slice_of(texts[i]));
    return array;
}

static struct json *describe_forms(const struct command_usage *usage)
{
    struct json *array = json_new_array();
    for (size_t i = 0; i < COMMAND_FORMS && (i == 0 || usage->forms[i] != NULL); i++) {
        char *form = form_of(usage, i);
        json_append_text(array, slice_of(form));
        free(form);
    }
    return array;
}

static struct json *describe_terms(const struct command_term *terms)
{
    struct json *array = json_new_array();
    for (size_t i = 0; i < COMMAND_TERMS && terms[i].name != NULL; i++) {
        struct json *one = json_new_object();
        json_put_text(one, "name", slice_of(terms[i].name));
        json_put_text(one, "help", slice_of(terms[i].help));
        json_append(array, one);
    }
    return array;
}

static struct json *describe_option(const struct command_option *option)
{
    struct json *one = json_new_object();
    json_put_text(one, "name", slice_of(option->name));
    if (option->letter != 0)
        json_put_text(one, "letter", slice_from(&option->letter, 1));
    if (option->value != NULL)
        json_put_text(one, "value", slice_of(option->value));
    if (option->choices != NULL)
        json_put(one, "choices", describe_texts(option->choices, SIZE_MAX));
    json_put_text(one, "help", slice_of(option->help));
    return one;
}

static struct json *describe_exit_codes(const struct command_usage *usage)
{
    struct json *object = json_new_object();
    for (int code = 0; code < COMMAND_EXIT_CODES; code++) {
        const char name[] = {(char)('0' + code), '\0'};
        if (usage->exit_codes[code] != NULL)
            json_put_text(object, name, slice_of(usage->exit_codes[code]));
    }
    return object;
}

void command_help_describe(struct json *object, const struct command_usage *usage,
                           const struct command_option *options)
{
    struct json *all = json_new_array();
    json_put(object, "forms", describe_forms(usage));
    json_put_text(object, "about", slice_of(usage->about));
    json_put(object, "verbs", describe_terms(usage->verbs));
    json_put(object, "options", all);
    for (; options->name != NULL; options++)
        json_append(all, describe_option(options));
    if (usage->terms_heading != NULL) {
        json_put_text(object, "terms_heading", slice_of(usage->terms_heading));
        json_put(object, "terms", describe_terms(usage->terms));
    }
    json_put(object, "exit_codes", describe_exit_codes(usage));
    json_put(object, "examples", describe_texts(usage->examples, COMMAND_EXAMPLES));
}
