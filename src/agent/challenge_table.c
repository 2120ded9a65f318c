/* Challenges by token: see agent/challenge_table.h. */
#include "agent/challenge_table.h"

#include "core/memory.h"

#include <stdlib.h>

static const struct slice CHALLENGE_PATH = {"/.well-known/acme-challenge/", 28};

/* Sorted by token. The bytes of all texts stand in one block behind. */
struct challenge_table {
    size_t count;
    struct challenge_answer *answers;
    char *bytes;
};

static int compare(struct slice a, struct slice b)
{
    size_t common = size_min(a.size, b.size);
    int order = common > 0 ? memcmp(a.data, b.data, common) : 0;
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static int by_token(const void *a, const void *b)
{
    const struct challenge_answer *first = a;
    const struct challenge_answer *second = b;
    return compare(first->token, second->token);
}

static struct slice keep(char **end, struct slice text)
{
    struct slice kept = {*end, text.size};
    if (text.size > 0)
        memcpy(*end, text.data, text.size);
    *end += text.size;
    return kept;
}

struct challenge_table *challenge_table_new(const struct challenge_answer *answers, size_t count)
{
    struct challenge_table *table = memory_new(sizeof(*table));
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += answers[i].token.size + answers[i].key_authorization.size;
    table->bytes = memory_new(size);
    table->answers = memory_new(count * sizeof(table->answers[0]));
    table->count = count;
    char *end = table->bytes;
    for (size_t i = 0; i < count; i++) {
        table->answers[i].token = keep(&end, answers[i].token);
        table->answers[i].key_authorization = keep(&end, answers[i].key_authorization);
    }
    if (count > 0)
        qsort(table->answers, count, sizeof(table->answers[0]), by_token);
    return table;
}

void challenge_table_free(const struct challenge_table *table)
{
    if (table == NULL)
        return;
    free(table->answers);
    free(table->bytes);
    free((void *)(uintptr_t)table);
}

struct slice challenge_table_find(const struct challenge_table *table, struct slice path)
{
    size_t low = 0;
    size_t high = table != NULL ? table->count : 0;
    if (!slice_starts_with(path, CHALLENGE_PATH))
        return (struct slice){0};
    struct slice token = slice_skip(path, CHALLENGE_PATH.size);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct challenge_answer *answer = &table->answers[middle];
        int order = compare(token, answer->token);
        if (order == 0)
            return answer->key_authorization;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return (struct slice){0};
}
