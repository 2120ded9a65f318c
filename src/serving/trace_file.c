/* Reading a file of recorded decisions: see trace_entry.h. */
#include "core/error.h"
#include "core/hash.h"
#include "core/memory.h"
#include "serving/trace_entry.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct slice trace_text(const struct trace_entry *entry, enum trace_text which)
{
    size_t start = 0;
    for (unsigned i = 0; i < which; i++)
        start += entry->size[i];
    return slice_from(entry->texts + start, entry->size[which]);
}

static size_t text_bytes(const struct trace_entry *entry)
{
    size_t size = 0;
    for (unsigned i = 0; i < TRACE_TEXT__MAX; i++)
        size += entry->size[i];
    return size;
}

uint64_t trace_entry_check(const struct trace_entry *entry)
{
    const char *rest = (const char *)entry + sizeof(entry->check);
    size_t size = offsetof(struct trace_entry, texts) + text_bytes(entry) - sizeof(entry->check);
    uint64_t hash = hash_content(slice_from(rest, size), 0);
    return hash != 0 ? hash : 1;
}

static bool read_all(int fd, void *block, size_t size)
{
    size_t used = 0;
    while (used < size) {
        ssize_t count = read(fd, (char *)block + used, size - used);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return false;
        used += (size_t)count;
    }
    return true;
}

/* Sizes come from a file, and files from anybody. */
static bool is_sound(const struct trace_entry *entry)
{
    return entry->check != 0 && text_bytes(entry) <= sizeof(entry->texts) &&
           entry->check == trace_entry_check(entry) &&
           (entry->peer.family == IP_NONE || entry->peer.family == IP_V4 ||
            entry->peer.family == IP_V6) &&
           (entry->client.family == IP_NONE || entry->client.family == IP_V4 ||
            entry->client.family == IP_V6);
}

static int compare_entries(const void *a, const void *b)
{
    const struct trace_entry *left = a;
    const struct trace_entry *right = b;
    return (left->wall_ms > right->wall_ms) - (left->wall_ms < right->wall_ms);
}

static bool header_is_sound(const struct trace_header *header, off_t size)
{
    if (memcmp(header->magic, TRACE_MAGIC, sizeof(header->magic)) != 0 ||
        header->entry_bytes != sizeof(struct trace_entry) || size < TRACE_HEADER_BYTES)
        return false;
    uint64_t room = ((uint64_t)size - TRACE_HEADER_BYTES) / sizeof(struct trace_entry);
    return header->loops > 0 && header->entries <= room / header->loops;
}

struct trace_entry *trace_file_read(const char *path, size_t *count, struct error_text *why)
{
    struct trace_entry *entries = NULL;
    struct trace_header header;
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    *count = 0;
    if (fd < 0 && errno == ENOENT) {
        error_set(why, ERROR_NOT_FOUND,
                  "there is no %s: the daemon makes it when it starts with this \"trace\"", path);
    } else if (fd < 0 || fstat(fd, &about) != 0) {
        error_set_errno(why, "cannot read %s", path);
    } else if (!S_ISREG(about.st_mode) || !read_all(fd, &header, sizeof(header)) ||
               !header_is_sound(&header, about.st_size)) {
        error_set(why, ERROR_INVALID, "%s is no trace of this version of owui-spoa", path);
    } else {
        size_t all = header.loops * (size_t)header.entries;
        entries = memory_new((all + 1) * sizeof(*entries));
        if (lseek(fd, TRACE_HEADER_BYTES, SEEK_SET) < 0 ||
            !read_all(fd, entries, all * sizeof(*entries)))
            all = 0;
        for (size_t i = 0; i < all; i++)
            if (is_sound(&entries[i]))
                entries[(*count)++] = entries[i];
        if (*count > 1)
            qsort(entries, *count, sizeof(*entries), compare_entries);
    }
    if (fd >= 0)
        close(fd);
    return entries;
}
