/* A binary heap: see acme/queue.h. */
#include "acme/queue.h"

#include "core/memory.h"

#include <stdlib.h>

static void set(struct queue *queue, size_t index, struct queue_entry *entry)
{
    queue->entries[index] = entry;
    entry->place = index + 1;
}

static void sift_up(struct queue *queue, size_t index)
{
    struct queue_entry *entry = queue->entries[index];
    while (index > 0 && queue->entries[(index - 1) / 2]->due_ms > entry->due_ms) {
        set(queue, index, queue->entries[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    set(queue, index, entry);
}

static void sift_down(struct queue *queue, size_t index)
{
    struct queue_entry *entry = queue->entries[index];
    for (;;) {
        size_t child = 2 * index + 1;
        if (child + 1 < queue->count &&
            queue->entries[child + 1]->due_ms < queue->entries[child]->due_ms)
            child++;
        if (child >= queue->count || queue->entries[child]->due_ms >= entry->due_ms)
            break;
        set(queue, index, queue->entries[child]);
        index = child;
    }
    set(queue, index, entry);
}

void queue_put(struct queue *queue, struct queue_entry *entry, int64_t due_ms)
{
    entry->due_ms = due_ms;
    if (entry->place == 0) {
        if (queue->count == queue->room) {
            queue->room = queue->room > 0 ? 2 * queue->room : 64;
            queue->entries = memory_resize(queue->entries, queue->room, sizeof(*queue->entries));
        }
        set(queue, queue->count++, entry);
    }
    assert(queue->entries[entry->place - 1] == entry);
    sift_up(queue, entry->place - 1);
    sift_down(queue, entry->place - 1);
}

void queue_remove(struct queue *queue, struct queue_entry *entry)
{
    if (entry->place == 0)
        return;
    size_t index = entry->place - 1;
    assert(index < queue->count && queue->entries[index] == entry);
    struct queue_entry *last = queue->entries[--queue->count];
    entry->place = 0;
    if (last == entry)
        return;
    set(queue, index, last);
    sift_up(queue, index);
    sift_down(queue, last->place - 1);
}

struct queue_entry *queue_first(const struct queue *queue)
{
    return queue->count > 0 ? queue->entries[0] : NULL;
}

void queue_fini(struct queue *queue)
{
    for (size_t i = 0; i < queue->count; i++)
        queue->entries[i]->place = 0;
    free(queue->entries);
    *queue = (struct queue){0};
}
