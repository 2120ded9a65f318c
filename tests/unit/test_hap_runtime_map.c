/* hap/runtime_map: what HAProxy is told of a map, against its literal answers (2.6.12, 3.0.11,
 * 3.2.26, 3.4.7). */
#include "hap/runtime_map.h"

#include "core/memory.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_NAME "/var/lib/owui-spoa/fallback.map"
#define UNKNOWN   "Unknown map identifier. Please use #<id> or <file>.\n\n"
#define ABSENT    "entry not found.\n\n"
#define FOUND \
    "type=str, case=sensitive, found=yes, idx=tree, key=\"b\", value=\"2\", type=\"str\"\n\n"
#define GONE "type=str, case=sensitive, found=no\n\n"

/* What is sent, and what HAProxy answers to it. */
struct turn {
    const char *command;
    const char *answer;
};

/* "a=1 b=2"; values may not have blanks here, and "_" stands for one. */
static struct runtime_map *map_of(const char *text)
{
    struct runtime_map *map = memory_new(sizeof(*map));
    char *copy = memory_copy_text(slice_of(text)), *rest = copy, *word;
    while ((word = strsep(&rest, " ")) != NULL && word[0] != '\0') {
        char *value = strchr(word, '=');
        *value++ = '\0';
        for (char *p = value; *p != '\0'; p++)
            *p = *p == '_' ? ' ' : *p;
        map->entries = memory_resize(map->entries, map->count + 1, sizeof(*map->entries));
        map->entries[map->count++] = (struct runtime_map_entry){memory_copy_text(slice_of(word)),
                                                                memory_copy_text(slice_of(value))};
    }
    free(copy);
    return map;
}

/* Plays a dialogue; every command must be the expected one. Returns the last step. */
static enum runtime_step play(struct runtime_map_push *push, const struct turn *turns)
{
    static char buffer[RUNTIME_COMMAND_MAX_BYTES];
    struct writer command = writer_of(buffer, sizeof(buffer));
    push->file = SLICE(FILE_NAME);
    enum runtime_step step = runtime_map_start(push, &command);
    for (; step == RUNTIME_SEND; turns++) {
        struct slice sent = writer_written(&command);
        cr_assert(turns->command != NULL, "unexpected: %.*s", SLICE_PRINT(sent));
        char *expected = memory_format("%s\n", turns->command);
        cr_assert(slice_equal(sent, slice_of(expected)), "sent %.*s, expected %s",
                  SLICE_PRINT(sent), expected);
        free(expected);
        command = writer_of(buffer, sizeof(buffer));
        step = runtime_map_answer(push, slice_of(turns->answer), &command);
    }
    cr_assert(turns->command == NULL, "not sent: %s", turns->command);
    return step;
}

static enum runtime_step bring(const char *before, const char *now, const struct turn *turns)
{
    struct runtime_map *old = before != NULL ? map_of(before) : NULL;
    struct runtime_map *new = map_of(now);
    struct runtime_map_push push = {.before = old, .now = new};
    enum runtime_step step = play(&push, turns);
    runtime_map_free(old);
    runtime_map_free(new);
    return step;
}

Test(map, what_haproxy_has_is_replaced_at_once_when_nobody_knows)
{
    const struct turn turns[] = {
        {"prepare map " FILE_NAME, "New version created: 7\n\n"},
        {"add map @7 " FILE_NAME " <<\na 1\nb 2 3\n", "\n"},
        {"commit map @7 " FILE_NAME, "\n"},
        {0},
    };
    cr_assert(bring(NULL, "a=1 b=2_3", turns) == RUNTIME_DONE);
}

Test(map, an_empty_map_is_put_in_force_too)
{
    const struct turn turns[] = {
        {"prepare map " FILE_NAME, "New version created: 1\n\n"},
        {"commit map @1 " FILE_NAME, "\n"},
        {0},
    };
    cr_assert(bring(NULL, "", turns) == RUNTIME_DONE);
}

Test(map, few_changes_are_told_one_by_one)
{
    const struct turn turns[] = {
        {"set map " FILE_NAME " a 9", "\n"}, {"del map " FILE_NAME " b", "\n"},
        {"get map " FILE_NAME " b", GONE},   {"set map " FILE_NAME " d 4", ABSENT},
        {"add map " FILE_NAME " d 4", "\n"}, {0},
    };
    cr_assert(bring("a=1 b=2 c=3", "a=9 c=3 d=4", turns) == RUNTIME_DONE);
}

Test(map, nothing_is_said_when_nothing_changed)
{
    const struct turn turns[] = {{0}};
    cr_assert(bring("a=1 b=2", "a=1 b=2", turns) == RUNTIME_DONE);
}

Test(map, maps_are_equal_when_all_their_entries_are)
{
    static const struct {
        const char *a, *b;
        bool equal;
    } ROWS[] = {{"", "", true},
                {"a=1 b=2", "a=1 b=2", true},
                {"a=1 b=2", "a=1", false},
                {"a=1", "a=1 b=2", false},
                {"a=1 b=2", "a=1 b=3", false},
                {"a=1 b=2", "a=1 c=2", false}};
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        struct runtime_map *a = map_of(ROWS[i].a), *b = map_of(ROWS[i].b);
        cr_expect(eq(int, runtime_map_equal(a, b), ROWS[i].equal), "%s, %s", ROWS[i].a, ROWS[i].b);
        runtime_map_free(a);
        runtime_map_free(b);
    }
}

Test(map, a_key_that_is_there_twice_is_not_left_there)
{
    const struct turn turns[] = {
        {"del map " FILE_NAME " b", "\n"},
        {"get map " FILE_NAME " b", FOUND},
        {"prepare map " FILE_NAME, "New version created: 2\n\n"},
        {"add map @2 " FILE_NAME " <<\na 1\n", "\n"},
        {"commit map @2 " FILE_NAME, "\n"},
        {0},
    };
    cr_assert(bring("a=1 b=2", "a=1", turns) == RUNTIME_DONE);
}

Test(map, what_another_has_deleted_already_is_gone)
{
    const struct turn turns[] = {
        {"del map " FILE_NAME " b", "Key not found.\n\n"},
        {"get map " FILE_NAME " b", GONE},
        {0},
    };
    cr_assert(bring("a=1 b=2", "a=1", turns) == RUNTIME_DONE);
}

Test(map, values_that_are_no_word_go_as_a_whole)
{
    static const char *const VALUES[] = {"1 2", "1\t2", "1;2", "1'2", "1\"2", "1\\2", "<<", ""};
    for (size_t i = 0; i < COUNT_OF(VALUES); i++) {
        char *now = memory_format("a=%s", VALUES[i]);
        for (char *p = now; *p != '\0'; p++)
            *p = *p == ' ' ? '_' : *p;
        char *filled = memory_format("add map @2 " FILE_NAME " <<\na %s\n", VALUES[i]);
        const struct turn turns[] = {
            {"prepare map " FILE_NAME, "New version created: 2\n\n"},
            {filled, "\n"},
            {"commit map @2 " FILE_NAME, "\n"},
            {0},
        };
        cr_expect(bring("a=1", now, turns) == RUNTIME_DONE, "%s", VALUES[i]);
        free(filled);
        free(now);
    }
}

Test(map, many_changes_go_as_a_whole)
{
    enum { COUNT = RUNTIME_MAP_CHANGES_MAX + 1 };
    struct runtime_map_entry old[COUNT], new[COUNT];
    char keys[COUNT][8], before_value[] = "1", now_value[] = "2";
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(keys[i], sizeof(keys[i]), "k%03zu", i);
        old[i] = (struct runtime_map_entry){keys[i], before_value};
        new[i] = (struct runtime_map_entry){keys[i], now_value};
    }
    static const char *const BEGINNINGS[] = {"set map", "prepare map"};
    for (size_t i = 0; i < COUNT_OF(BEGINNINGS); i++) {
        static char buffer[RUNTIME_COMMAND_MAX_BYTES];
        struct writer command = writer_of(buffer, sizeof(buffer));
        const size_t count = RUNTIME_MAP_CHANGES_MAX + i;
        const struct runtime_map before = {old, count}, now = {new, count};
        struct runtime_map_push push = {.file = SLICE(FILE_NAME), .before = &before, .now = &now};
        cr_assert(runtime_map_start(&push, &command) == RUNTIME_SEND);
        cr_expect(slice_starts_with(writer_written(&command), slice_of(BEGINNINGS[i])), "%zu", i);
    }
}

/* As a HAProxy whose map changes under us: what it says has an end. */
Test(map, a_key_that_cannot_be_added_either_goes_as_a_whole)
{
    const struct turn turns[] = {
        {"set map " FILE_NAME " a 1", ABSENT},
        {"add map " FILE_NAME " a 1", ABSENT},
        {"prepare map " FILE_NAME, "New version created: 2\n\n"},
        {"add map @2 " FILE_NAME " <<\na 1\n", "\n"},
        {"commit map @2 " FILE_NAME, "\n"},
        {0},
    };
    cr_assert(bring("", "a=1", turns) == RUNTIME_DONE);
}

Test(map, a_commit_that_is_refused_is_no_success)
{
    struct runtime_map *map = map_of("a=1");
    struct runtime_map_push push = {.now = map};
    const struct turn turns[] = {
        {"prepare map " FILE_NAME, "New version created: 3\n\n"},
        {"add map @3 " FILE_NAME " <<\na 1\n", "\n"},
        {"commit map @3 " FILE_NAME, "Version number out of range.\n\n"},
        {0},
    };
    cr_assert(play(&push, turns) == RUNTIME_FAILED);
    cr_expect(eq(int, push.error, ERROR_PROTOCOL));
    cr_expect(strstr(push.reason.text, "out of range") != NULL, "%s", push.reason.text);
    runtime_map_free(map);
}

Test(map, a_version_that_is_no_number_is_none)
{
    struct runtime_map *map = map_of("a=1");
    struct runtime_map_push push = {.now = map};
    const struct turn turns[] = {
        {"prepare map " FILE_NAME,
         "New version created: 11111111111111111111111111111111111111111111111111111111\n\n"},
        {0},
    };
    cr_assert(play(&push, turns) == RUNTIME_FAILED);
    cr_expect(eq(int, push.error, ERROR_PROTOCOL));
    runtime_map_free(map);
}

Test(map, a_map_that_is_not_in_haproxys_configuration_is_told)
{
    struct runtime_map *map = map_of("a=1");
    struct runtime_map_push push = {.now = map};
    const struct turn turns[] = {{"prepare map " FILE_NAME, UNKNOWN}, {0}};
    cr_assert(play(&push, turns) == RUNTIME_FAILED);
    cr_expect(eq(int, push.error, ERROR_NOT_FOUND));
    cr_expect(strstr(push.reason.text, "haproxy-config") != NULL);
    struct runtime_map *empty = map_of("");
    push.before = empty;
    const struct turn later[] = {{"set map " FILE_NAME " a 1", UNKNOWN}, {0}};
    cr_assert(play(&push, later) == RUNTIME_FAILED);
    cr_expect(eq(int, push.error, ERROR_NOT_FOUND));
    runtime_map_free(empty);
    runtime_map_free(map);
}

Test(map, what_was_prepared_in_vain_is_taken_away)
{
    struct runtime_map *map = map_of("a=1");
    struct runtime_map_push push = {.now = map};
    const struct turn turns[] = {
        {"prepare map " FILE_NAME, "New version created: 3\n\n"},
        {"add map @3 " FILE_NAME " <<\na 1\n", "Out of memory error.\n\n"},
        {"clear map @3 " FILE_NAME, "\n"},
        {0},
    };
    cr_assert(play(&push, turns) == RUNTIME_FAILED);
    cr_expect(eq(int, push.error, ERROR_PROTOCOL));
    cr_expect(strstr(push.reason.text, "Out of memory") != NULL);
    /* The first reason is the one to be told, whatever becomes of that; and a push that has failed
     * can begin anew. */
    const struct turn unheard[] = {turns[0], turns[1], {turns[2].command, ""}, {0}};
    cr_assert(play(&push, unheard) == RUNTIME_FAILED);
    cr_expect(eq(int, push.error, ERROR_PROTOCOL));
    cr_expect(strstr(push.reason.text, "Out of memory") != NULL);
    push.before = map;
    cr_assert(play(&push, &turns[3]) == RUNTIME_DONE);
    cr_expect(eq(int, push.error, ERROR_OK));
    cr_expect(not(push.whole));
    runtime_map_free(map);
}

/* As a HAProxy that ends within a command. */
Test(map, an_answer_that_did_not_come_is_no_success)
{
    struct runtime_map *map = map_of("a=1"), *empty = map_of("");
    struct runtime_map_push push = {.now = map};
    const struct turn filled[] = {
        {"prepare map " FILE_NAME, "New version created: 3\n\n"},
        {"add map @3 " FILE_NAME " <<\na 1\n", ""},
        {"clear map @3 " FILE_NAME, ""},
        {0},
    };
    cr_assert(play(&push, filled) == RUNTIME_FAILED);
    cr_expect(eq(int, push.error, ERROR_CLOSED));
    /* It may be in force, and would be taken out of it. */
    const struct turn committed[] = {
        {"prepare map " FILE_NAME, "New version created: 3\n\n"},
        {"add map @3 " FILE_NAME " <<\na 1\n", "\n"},
        {"commit map @3 " FILE_NAME, ""},
        {0},
    };
    cr_assert(play(&push, committed) == RUNTIME_FAILED);
    push.before = empty;
    const struct turn changed[] = {{"set map " FILE_NAME " a 1", ""}, {0}};
    cr_assert(play(&push, changed) == RUNTIME_FAILED);
    runtime_map_free(empty);
    runtime_map_free(map);
}

Test(map, an_entry_that_is_too_long_is_not_begun)
{
    struct runtime_map *map = map_of("a=1 b=2");
    struct runtime_map_push push = {.now = map};
    const struct turn none[] = {{0}};
    free(map->entries[1].value);
    char *value = map->entries[1].value = memory_new(RUNTIME_COMMAND_MAX_BYTES);
    memset(value, 'v', RUNTIME_COMMAND_MAX_BYTES - 1);
    cr_assert(play(&push, none) == RUNTIME_FAILED);
    cr_expect(eq(int, push.error, ERROR_TOO_BIG));
    cr_expect(strstr(push.reason.text, "entry of b") != NULL, "%s", push.reason.text);
    runtime_map_free(map);
}

Test(map, many_entries_take_many_commands_none_of_them_too_big)
{
    enum { COUNT = 3000 };
    struct runtime_map map = {memory_new(COUNT * sizeof(struct runtime_map_entry)), COUNT};
    char *buffer = memory_new(RUNTIME_COMMAND_MAX_BYTES);
    size_t lines = 0, commands = 0;
    for (size_t i = 0; i < COUNT; i++)
        map.entries[i] = (struct runtime_map_entry){memory_format("host%06zu.test", i),
                                                    memory_format("tenant%zu/http/10.0.0.1/80", i)};
    struct runtime_map_push push = {.now = &map,
                                    .file = SLICE(FILE_NAME),
                                    .prefix = SLICE("@1 "),
                                    .room = RUNTIME_COMMAND_MAX_BYTES / 2};
    struct writer command = writer_of(buffer, RUNTIME_COMMAND_MAX_BYTES);
    enum runtime_step step = runtime_map_start(&push, &command);
    for (; step == RUNTIME_SEND; commands++) {
        cr_assert(slice_starts_with(writer_written(&command), SLICE("@1 ")));
        cr_assert(le(sz, writer_used(&command), push.room));
        for (size_t i = 0; i + 1 < writer_used(&command); i++)
            lines += push.state == MAP_FILL && buffer[i] == '\n';
        bool is_first = push.state == MAP_PREPARE;
        command = writer_of(buffer, RUNTIME_COMMAND_MAX_BYTES);
        step = runtime_map_answer(
            &push, is_first ? SLICE("New version created: 1\n\n") : SLICE("\n"), &command);
    }
    cr_expect(step == RUNTIME_DONE);
    cr_expect(eq(sz, lines, COUNT + (commands - 2)));
    cr_expect(lt(sz, commands, 30));
    for (size_t i = 0; i < COUNT; i++) {
        free(map.entries[i].key);
        free(map.entries[i].value);
    }
    free(map.entries);
    free(buffer);
}

Test(map, a_file_has_a_line_for_each_entry)
{
    struct runtime_map *map = map_of("a=1 b=2_3");
    size_t size;
    char *text = runtime_map_text(map, "what it is", &size);
    cr_expect_str_eq(text, "# what it is\na 1\nb 2 3\n");
    cr_expect(eq(sz, size, strlen(text)));
    free(text);
    runtime_map_free(map);
}
