/* A ring of lines under a lock: what is told here is rare, and never of the hot path. */
#include "core/log_memory.h"

#include "core/memory.h"

#include <pthread.h>

enum { LINE_SIZE = 1024 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char lines[LOG_MEMORY_LINES][LINE_SIZE];
static size_t sizes[LOG_MEMORY_LINES]; /* 0: not written yet */
static size_t next;

void log_memory_add(int64_t wall_ms, enum log_level level, const char *event,
                    const struct log_field *fields)
{
    pthread_mutex_lock(&lock);
    sizes[next] = log_format_line(lines[next], LINE_SIZE, LOG_FORMAT_JSON, false, wall_ms, level,
                                  event, fields);
    next = (next + 1) % LOG_MEMORY_LINES;
    pthread_mutex_unlock(&lock);
}

char *log_memory_lines(void)
{
    char *text = memory_new(LOG_MEMORY_LINES * LINE_SIZE + 1);
    size_t used = 0;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < LOG_MEMORY_LINES; i++) {
        size_t at = (next + i) % LOG_MEMORY_LINES;
        memcpy(text + used, lines[at], sizes[at]);
        used += sizes[at];
    }
    pthread_mutex_unlock(&lock);
    return text;
}
