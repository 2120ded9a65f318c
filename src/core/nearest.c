/* The nearest name: see nearest.h. */
#include "core/nearest.h"

#include "core/memory.h"

#include <stdlib.h>

enum { NEAREST_MAX_BYTES = 64 };

/* How many single changes (a letter more, less, another, or two swapped) make `a` from `b`. */
static size_t distance(struct slice a, struct slice b)
{
    size_t rows[3][NEAREST_MAX_BYTES + 1];
    size_t *two_above = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b.size; j++)
        above[j] = j;
    for (size_t i = 1; i <= a.size; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b.size; j++) {
            bool same = ascii_lower(a.data[i - 1]) == ascii_lower(b.data[j - 1]);
            size_t best = size_min(size_min(above[j], row[j - 1]) + 1, above[j - 1] + !same);
            if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] && a.data[i - 2] == b.data[j - 1])
                best = size_min(best, two_above[j - 2] + 1);
            row[j] = best;
        }
        size_t *reused = two_above;
        two_above = above;
        above = row;
        row = reused;
    }
    return above[b.size];
}

static const char *candidate_at(const void *candidates, size_t index, size_t stride)
{
    const char *const *name = (const void *)((const char *)candidates + index * stride);
    return *name;
}

const char *nearest_name(struct slice text, const void *candidates, size_t count, size_t stride)
{
    const char *nearest = NULL;
    size_t nearest_distance = text.size / 3 + 2; /* what is further away is not meant */
    if (text.size > NEAREST_MAX_BYTES)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        struct slice candidate = slice_of(candidate_at(candidates, i, stride));
        if (candidate.size > NEAREST_MAX_BYTES)
            continue;
        bool abbreviated =
            text.size >= 3 && text.size != candidate.size &&
            (slice_starts_with(candidate, text) || slice_starts_with(text, candidate));
        size_t found = abbreviated ? 1 : distance(text, candidate);
        if (found < nearest_distance && found < candidate.size) {
            nearest = candidate.data;
            nearest_distance = found;
        }
    }
    return nearest;
}

char *nearest_hint(struct slice text, const void *candidates, size_t count, size_t stride)
{
    const char *nearest = nearest_name(text, candidates, count, stride);
    if (nearest != NULL)
        return memory_format("did you mean \"%s\"?", nearest);
    char *list = memory_copy_text(SLICE("known:"));
    for (size_t i = 0; i < count; i++) {
        char *longer = memory_format("%s%s \"%s\"", list, i > 0 ? "," : "",
                                     candidate_at(candidates, i, stride));
        free(list);
        list = longer;
    }
    return list;
}
