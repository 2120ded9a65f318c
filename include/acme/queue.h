/* What is due next: a priority queue whose entries are embedded in what is queued. */
#pragma once

#include "core/base.h"

/* Embedded in what is queued; zero means not queued. */
struct queue_entry {
    int64_t due_ms;
    size_t place; /* private: index + 1 */
};

struct queue {
    struct queue_entry **entries;
    size_t count;
    size_t room;
};

/* Queues, or moves what is queued already. */
void queue_put(struct queue *queue, struct queue_entry *entry, int64_t due_ms);
void queue_remove(struct queue *queue, struct queue_entry *entry); /* not queued is fine */
/* The one that is due first; NULL when there is none. */
struct queue_entry *queue_first(const struct queue *queue);
/* Forgets all entries, which stay their owners'. */
void queue_fini(struct queue *queue);
