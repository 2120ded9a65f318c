/* What is new in a text: see news.h. */
#include "news.h"

#include "core/cursor.h"
#include "core/hash.h"
#include "core/memory.h"

#include <stdlib.h>

static struct slice text_at(struct slice text, const struct json_position *position)
{
    return slice_from(text.data + position->offset, position->size);
}

/* The key without its quotes; empty when it has escapes, and so would have to be decoded. */
static struct slice plain_key(struct slice key)
{
    if (key.size < 2 || slice_has(key, '\\'))
        return (struct slice){0};
    return slice_from(key.data + 1, key.size - 2);
}

static void add(struct news *news, size_t *capacity, struct news_member member)
{
    if (news->count == *capacity) {
        *capacity = *capacity > 0 ? *capacity * 2 : 64;
        news->members = memory_resize(news->members, *capacity, sizeof(*news->members));
    }
    news->members[news->count++] = member;
}

/* Whether nothing but white space is between two offsets: the walk does not check what it steps
 * over, and must not be trusted about a text that ends, or breaks, before its time. */
static bool is_space(struct slice text, size_t from, size_t to)
{
    for (; from < to; from++) {
        char c = text.data[from];
        if (c != ' ' && c != '\t' && c != '\r' && c != '\n')
            return false;
    }
    return true;
}

static void put(struct writer *out, struct slice text)
{
    writer_bytes(out, text);
}

/* Writes the members, known ones short, and looks at each. False when the text is not plain. */
static bool shorten(struct slice text, const struct json_position *container,
                    const struct known_tenants *known, struct news *news, struct writer *out)
{
    struct json_walk walk = json_walk_start(text, container);
    size_t end = container->offset + 1;
    size_t capacity = 0;
    while (json_walk_next(&walk)) {
        struct slice key = text_at(text, &walk.key);
        struct slice value = text_at(text, &walk.value);
        struct slice name = plain_key(key);
        struct news_member member = {.text_hash = hash_content(value, 0)};
        member.is_known = name.size > 0 && known->is_known(known->context, name, member.text_hash);
        put(out, news->count > 0 ? SLICE(",") : SLICE("{"));
        put(out, key);
        put(out, SLICE(":"));
        put(out, member.is_known ? SLICE("null") : value);
        add(news, &capacity, member);
        end = walk.value.offset + walk.value.size;
    }
    put(out, SLICE("}"));
    size_t last = container->offset + container->size - 1;
    return news->count > 0 && is_space(text, end, last) && text.data[last] == '}';
}

bool news_find(struct slice text, const struct known_tenants *known, struct news *news)
{
    struct json_position container;
    *news = (struct news){0};
    if (!json_locate(text, SLICE("/tenants"), JSON_PART_VALUE, &container) || container.size < 2 ||
        text.data[container.offset] != '{')
        return false;
    /* `null` may be longer than a value, by less than its member takes. */
    size_t room = text.size * 2 + 64;
    news->short_text = memory_new(room);
    struct writer out = writer_of(news->short_text, room);
    put(&out, slice_head(text, container.offset));
    bool is_plain = shorten(text, &container, known, news, &out);
    put(&out, slice_skip(text, container.offset + container.size));
    news->short_size = writer_used(&out);
    if (is_plain && !out.failed)
        return true;
    news_fini(news);
    return false;
}

void news_fini(struct news *news)
{
    free(news->members);
    free(news->short_text);
    *news = (struct news){0};
}
