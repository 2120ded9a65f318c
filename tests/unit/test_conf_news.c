/* conf: reading only what is new in a file must come to the same as reading all of it. */
#include "conf_fixture.h"

#include "core/memory.h"
#include "json/json.h"

#include <stdio.h>
#include <stdlib.h>

enum { TENANTS = 6, ROUNDS = 3000, TEXT_BYTES = 4096 };

/* What was read of a file the last time, by tenant_file_load_news() itself. */
struct memory_of_file {
    struct tenant_text *texts;
    size_t count;
    size_t asked;
};

static bool is_known(void *context, struct slice name, uint64_t text_hash)
{
    struct memory_of_file *before = context;
    before->asked++;
    for (size_t i = 0; i < before->count; i++)
        if (slice_equal(slice_of(before->texts[i].name), name))
            return before->texts[i].hash == text_hash;
    return false;
}

static void forget(struct memory_of_file *before)
{
    for (size_t i = 0; i < before->count; i++)
        free(before->texts[i].name);
    free(before->texts);
    *before = (struct memory_of_file){0};
}

static void remember(struct memory_of_file *before, struct tenant_file *file)
{
    forget(before);
    before->texts = file->texts;
    before->count = file->text_count;
    file->texts = NULL;
    file->text_count = 0;
}

static const struct tenant *find(const struct tenant_file *file, const char *name)
{
    for (size_t i = 0; i < file->tenant_count; i++)
        if (strcmp(file->tenants[i]->name, name) == 0)
            return file->tenants[i];
    return NULL;
}

static bool is_broken(const struct tenant_file *file, const char *name)
{
    for (size_t i = 0; i < file->broken_count; i++)
        if (strcmp(file->broken[i], name) == 0)
            return true;
    return false;
}

/* Every tenant of the whole reading is in the other: new and equal, wrong in both, or known. */
static void compare(const struct tenant_file *news, const struct tenant_file *whole,
                    const char *text)
{
    cr_assert(eq(int, news->unreadable, whole->unreadable), "%s", text);
    cr_assert(eq(sz, news->text_count, whole->text_count), "%s", text);
    for (size_t i = 0; i < whole->text_count; i++) {
        char *name = whole->texts[i].name;
        cr_assert(eq(str, news->texts[i].name, name), "%s", text);
        cr_assert(eq(int, is_broken(news, name), is_broken(whole, name)), "%s: %s", name, text);
        const struct tenant *fresh = find(news, name);
        if (fresh == NULL)
            continue;
        const struct tenant *same = find(whole, name);
        cr_assert(same != NULL, "%s: %s", name, text);
        cr_assert(eq(u64, fresh->content_hash, same->content_hash), "%s: %s", name, text);
        cr_assert(eq(u32, fresh->place.line, same->place.line), "%s: %s", name, text);
        cr_assert(eq(u32, fresh->hosts[0].place.column, same->hosts[0].place.column), "%s", text);
    }
    for (size_t i = 0; i < news->tenant_count; i++)
        cr_assert(find(whole, news->tenants[i]->name) != NULL, "%s", text);
}

static void write_text(char *text, unsigned *seed)
{
    size_t used = (size_t)snprintf(text, TEXT_BYTES, "{\"//\": \"]}\",\n \"tenants\": {");
    for (int i = 0; i < TENANTS; i++)
        used += (size_t)snprintf(text + used, TEXT_BYTES - used,
                                 "%s\n  \"t%d\": {\"hosts\": [\"t%d.test\"], \"upstream\": "
                                 "\"http://10.0.0.%d\"}",
                                 i > 0 ? "," : "", i, i, rand_r(seed) % 3);
    snprintf(text + used, TEXT_BYTES - used, "\n}}\n");
}

/* A slip of the finger: a byte changed, taken out or put in. */
static void mutate(char *text, unsigned *seed)
{
    static const char BYTES[] = "{}[],:\"\\ \nxnt0.";
    size_t size = strlen(text);
    size_t at = (size_t)rand_r(seed) % size;
    char byte = BYTES[(size_t)rand_r(seed) % (sizeof(BYTES) - 1)];
    switch (rand_r(seed) % 3) {
    case 0: text[at] = byte; break;
    case 1: memmove(text + at, text + at + 1, size - at); break;
    default: memmove(text + at + 1, text + at, size - at + 1); text[at] = byte;
    }
}

static void load(const struct fixture *fixture, const struct known_tenants *known,
                 struct tenant_file *file)
{
    struct diagnostics diagnostics = {0};
    char *path = memory_format("%s/tenants.d/a.json", fixture->folder);
    tenant_file_load_news(path, fixture->whole.configuration, known, file, &diagnostics);
    diagnostics_fini(&diagnostics);
    free(path);
}

Test(conf_news, reading_the_news_is_reading_all, .timeout = 60)
{
    struct fixture *fixture = fixture_of("{}");
    struct memory_of_file before = {0};
    const struct known_tenants known = {is_known, &before};
    char text[TEXT_BYTES];
    size_t left_unread = 0;
    unsigned seed = 7;

    for (int round = 0; round < ROUNDS; round++) {
        struct tenant_file news, whole;
        write_text(text, &seed);
        if (round % 3 != 0)
            mutate(text, &seed);
        fixture_write(fixture, "tenants.d/a.json", text);
        load(fixture, &known, &news);
        load(fixture, NULL, &whole);
        compare(&news, &whole, text);
        left_unread += news.text_count - news.tenant_count - news.broken_count;
        if (!news.unreadable)
            remember(&before, &news);
        tenant_file_fini(&news);
        tenant_file_fini(&whole);
    }
    cr_assert(lt(sz, 0, before.asked));
    cr_assert(lt(sz, ROUNDS / 2, left_unread), "%zu", left_unread);
    forget(&before);
    fixture_free(fixture);
}

/* A comma too many is no JSON, however much of the text is known. */
Test(conf_news, what_is_between_the_tenants_counts_too)
{
    static const char *const WRONG[] = {
        "{\"tenants\": {\"a\": {\"hosts\": [\"a.test\"], \"upstream\": \"http://10.0.0.1\"},}}",
        "{\"tenants\": {\"a\": {\"hosts\": [\"a.test\"], \"upstream\": \"http://10.0.0.1\"} x}}",
        "{\"tenants\": {\"a\": {\"hosts\": [\"a.test\"], \"upstream\": \"http://10.0.0.1\"} "
        "\"b\": {}}}",
        "{\"tenants\": {\"a\": {\"hosts\": [\"a.test\"], \"upstream\": \"http://10.0.0.1\"}]}",
        "{\"tenants\": {\"a\": {\"hosts\": [\"a.test\"], \"upstream\": \"http://10.0.0.1\"}",
        "{\"tenants\": {\"a\": {\"hosts\": [\"a.test\"], \"upstream\": \"http://10.0.0.1\"}, "
        "\"a\": {\"hosts\": [\"a.test\"], \"upstream\": \"http://10.0.0.1\"}}}",
    };
    struct fixture *fixture = fixture_of("{}");
    struct memory_of_file before = {0};
    const struct known_tenants known = {is_known, &before};
    struct tenant_file file;

    fixture_write(
        fixture, "tenants.d/a.json",
        "{\"tenants\": {\"a\": {\"hosts\": [\"a.test\"], \"upstream\": \"http://10.0.0.1\"}}}");
    load(fixture, &known, &file);
    cr_assert(eq(sz, file.tenant_count, 1));
    remember(&before, &file);
    tenant_file_fini(&file);
    for (size_t i = 0; i < COUNT_OF(WRONG); i++) {
        fixture_write(fixture, "tenants.d/a.json", WRONG[i]);
        load(fixture, &known, &file);
        cr_expect(file.unreadable, "%s", WRONG[i]);
        tenant_file_fini(&file);
    }
    forget(&before);
    fixture_free(fixture);
}

static bool is_first(void *context, struct slice name, uint64_t text_hash)
{
    (void)context, (void)text_hash;
    return slice_equal(name, SLICE("a"));
}

/* What is to be written is read with what is known left out: the file would be read as a whole. */
Test(conf_news, a_text_that_no_file_could_hold_is_none)
{
    static const char START[] = "{\"tenants\": {\"a\": {\"//\": \"";
    static const char END[] =
        "\"}, \"b\": {\"hosts\": [\"b.test\"], \"upstream\": \"http://10.0.0.1\"}}}";
    struct fixture *fixture = fixture_of("{}");
    const struct known_tenants known = {is_first, NULL};
    size_t size = JSON_MAX_TEXT_BYTES + 1;
    char *text = memory_new(size);
    memset(text, 'x', size);
    memcpy(text, START, strlen(START));
    memcpy(text + size - strlen(END), END, strlen(END));
    struct tenant_file file;
    struct diagnostics diagnostics = {0};
    tenant_text_load_news("a.json", slice_from(text, size), fixture->whole.configuration, &known,
                          &file, &diagnostics);
    cr_expect(file.unreadable);
    cr_expect(eq(sz, diagnostics.errors, 1));
    tenant_file_fini(&file);
    diagnostics_fini(&diagnostics);
    free(text);
    fixture_free(fixture);
}
