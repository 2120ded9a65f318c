/* Lists that are sorted by name: see core/sorted.h. */
#include "core/sorted.h"

#include <string.h>

size_t sorted_place(const void *list, size_t count, sorted_name_fn *name_at, const char *name,
                    bool *is_there)
{
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(name_at(list, middle), name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (is_there != NULL)
        *is_there = low < count && strcmp(name_at(list, low), name) == 0;
    return low;
}
