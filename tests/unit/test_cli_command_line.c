/* app/command_line: options and words, as they are typed. */
#include "cli/command_line.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TOLD_SIZE = 512 };

struct wish {
    const char *file;
    const char *role;
    struct command_list headers;
    unsigned rows;
    bool json;
};

static const struct command_usage USAGE = {
    .forms = {"[WORD...]"}, .about = "about it", .examples = {"an example"}, .max_words = 3};

/* The words are divided by blanks, which none of them has. */
static bool read_typed(const char *typed, struct wish *wish, struct command_line *line)
{
    static const char *const ROLES[] = {"read", "admin", NULL};
    static char text[200];
    static char *words[50];
    const struct command_option options[] = {
        {"config", 'c', "FILE", "a file", .text = &wish->file},
        {"role", 0, "ROLE", "which", ROLES, .text = &wish->role},
        {"header", 'H', "LINE", "one more", .list = &wish->headers},
        {"rows", 0, "N", "how many", .number = &wish->rows, .min = 2, .max = 9},
        {"json", 'j', NULL, "for programs", .flag = &wish->json},
        {0},
    };
    size_t count = 0;
    *wish = (struct wish){.file = "default"};
    snprintf(text, sizeof(text), "%s", typed);
    for (char *next, *word = strtok_r(text, " ", &next); word != NULL;
         word = strtok_r(NULL, " ", &next))
        words[count++] = word;
    *line = (struct command_line){.name = "try", .words = words, .count = count};
    return command_line_read(line, &USAGE, options);
}

/* The same, with what is said on stderr. */
static bool read_quietly(const char *typed, struct wish *wish, struct command_line *line,
                         char told[static TOLD_SIZE])
{
    FILE *file = tmpfile();
    int before = dup(STDERR_FILENO);
    cr_assert(file != NULL && before >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
    bool good = read_typed(typed, wish, line);
    cr_assert(dup2(before, STDERR_FILENO) >= 0);
    close(before);
    rewind(file);
    told[fread(told, 1, TOLD_SIZE - 1, file)] = '\0';
    fclose(file);
    return good;
}

Test(command_line, takes)
{
    static const struct {
        const char *typed;
        const char *file;
        const char *words; /* in brackets, one behind the other */
        unsigned rows;
        size_t headers;
        bool json;
    } ROWS[] = {
        {"", "default", "", 0, 0, false},
        {"one --json two", "default", "[one][two]", 0, 0, true},
        {"-c a -j", "a", "", 0, 0, true},
        {"-ca", "a", "", 0, 0, false},
        {"--config a --rows 9", "a", "", 9, 0, false},
        {"--config=a --rows=2", "a", "", 2, 0, false},
        {"--config=", "", "", 0, 0, false},
        {"-c --json", "--json", "", 0, 0, false},
        {"-c a -c b", "b", "", 0, 0, false},
        {"-H a --header b --header=c", "default", "", 0, 3, false},
        {"-- --json -c", "default", "[--json][-c]", 0, 0, false},
        {"one - two", "default", "[one][-][two]", 0, 0, false},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        struct wish wish;
        struct command_line line;
        char words[100] = "";
        cr_expect(read_typed(ROWS[i].typed, &wish, &line), "%s", ROWS[i].typed);
        while (line.count > 0) {
            strcat(words, "[");
            strcat(words, command_line_next(&line));
            strcat(words, "]");
        }
        cr_expect_str_eq(wish.file, ROWS[i].file, "%s", ROWS[i].typed);
        cr_expect_str_eq(words, ROWS[i].words, "%s", ROWS[i].typed);
        cr_expect(eq(uint, wish.rows, ROWS[i].rows), "%s", ROWS[i].typed);
        cr_expect(eq(sz, wish.headers.count, ROWS[i].headers), "%s", ROWS[i].typed);
        cr_expect(eq(int, wish.json, ROWS[i].json), "%s", ROWS[i].typed);
    }
}

/* What is said to people begins and ends the same in all of them. */
Test(command_line, refuses)
{
    static const struct {
        const char *typed;
        const char *told;
    } ROWS[] = {
        {"--jsn", "try has no option --jsn; did you mean --json?"},
        {"--conf=a", "try has no option --conf; did you mean --config?"},
        {"--nothing=1", "try has no option --nothing"},
        {"-x", "try has no option -x"},
        {"-jx", "--json takes no value"},
        {"--json=yes", "--json takes no value"},
        {"--config", "--config: which FILE?"},
        {"--role rea", "--role \"rea\": there is no such; did you mean \"read\"?"},
        {"--role x", "--role \"x\": there is no such; known: \"read\", \"admin\""},
        {"--rows 1", "--rows \"1\": expected a number from 2 to 9"},
        {"--rows 10", "--rows \"10\": expected a number from 2 to 9"},
        {"--rows +3", "--rows \"+3\": expected a number from 2 to 9"},
        {"--rows=-18446744073709551612",
         "--rows \"-18446744073709551612\": expected a number from 2 to 9"},
        {"--rows 3x", "--rows \"3x\": expected a number from 2 to 9"},
        {"--rows 18446744073709551620", "--rows \"18446744073709551620\": expected a number from 2 "
                                        "to 9"},
        {"a b c d", "unexpected argument \"d\""},
        {"a b c d e", "unexpected argument \"d\""},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        struct wish wish;
        struct command_line line;
        char told[TOLD_SIZE];
        char expected[TOLD_SIZE];
        snprintf(expected, sizeof(expected),
                 "owui-spoa: %s\nowui-spoa try --help tells how it is used\n", ROWS[i].told);
        cr_expect(not(read_quietly(ROWS[i].typed, &wish, &line, told)), "%s", ROWS[i].typed);
        cr_expect(eq(int, line.code, 2), "%s", ROWS[i].typed);
        cr_expect_str_eq(told, expected, "%s", ROWS[i].typed);
    }
}

Test(command_line, too_many_of_a_list)
{
    struct wish wish;
    struct command_line line;
    char typed[200] = "";
    for (size_t i = 0; i <= COUNT_OF(wish.headers.items); i++)
        strcat(typed, "-Hx ");
    char told[TOLD_SIZE];
    cr_expect(not(read_quietly(typed, &wish, &line, told)));
    cr_expect(eq(sz, wish.headers.count, COUNT_OF(wish.headers.items)));
}
