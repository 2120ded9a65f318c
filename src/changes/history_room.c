/* How much room the history takes.
 *
 * Its disk is the one that has the certificates' keys, and most of it is a convenience: it is
 * limited by its size as well as by its length, and where the disk is nearly full, it gives way
 * first.
 */
#include "history_shared.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    MB = 1024 * 1024,
    BYTES_MAX = 512 * MB, /* of all records, but for those that are spared */
    SPARED = 5,           /* of the latest, where the disk is not nearly full */
    /* How many records there may be beyond HISTORY_KEPT, and how old and large those. */
    LONGER_RECORDS = 500,
    LONGER_S = 24 * 3600,
    LONGER_BYTES = 64 * MB,
    TRIM_EVERY = 16, /* records, for all of them are looked at then, in some 20 ms */
    /* A disk is nearly full with less than this, or than so small a part of it. */
    FREE_BYTES = 64 * MB,
    FREE_PART = 16,
    LEFT_PART = 16, /* of that, which the history may have even then */
    LOOK_MS = 60 * 1000,
};

/* record.json first: what is left without it is no record. */
void history_remove_record(const struct history *history, uint64_t number)
{
    struct folder folder;
    char **names;
    if (!history_open_record(history, number, &folder))
        return;
    (void)!file_remove(&folder, HISTORY_RECORD, NULL);
    size_t count = folder_list(&folder, &names);
    for (size_t i = 0; i < count; i++)
        (void)!file_remove(&folder, names[i], NULL);
    memory_free_texts(names, count);
    (void)!rmdir(folder.path);
    folder_close(&folder);
}

/* What a record takes, and whether it is of the last day. */
static uint64_t measure(const struct history *history, uint64_t number, bool *is_recent)
{
    struct folder folder;
    struct stat about;
    char **names;
    *is_recent = false;
    if (!history_open_record(history, number, &folder))
        return 0;
    *is_recent = fstatat(folder.fd, HISTORY_RECORD, &about, 0) == 0 &&
                 clock_wall_s() - about.st_mtim.tv_sec < LONGER_S;
    uint64_t bytes = 0;
    size_t count = folder_list(&folder, &names);
    for (size_t i = 0; i < count; i++) {
        bytes += HISTORY_FILE_BYTES;
        if (fstatat(folder.fd, names[i], &about, 0) == 0)
            bytes += (uint64_t)about.st_size;
    }
    memory_free_texts(names, count);
    folder_close(&folder);
    return bytes;
}

/* What is to stay free for others; 0 when nobody knows. */
static uint64_t look_at_disk(const struct history *history, uint64_t *free_bytes)
{
    struct statvfs disk;
    *free_bytes = 0;
    if (fstatvfs(history->folder.fd, &disk) != 0)
        return 0;
    uint64_t part = (uint64_t)disk.f_blocks * disk.f_frsize / FREE_PART;
    *free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    return part < FREE_BYTES ? part : FREE_BYTES;
}

/* Drops old records until the rest, with a new one of `more` bytes, keeps within `most`. A tool may
 * make many in one go, and what was before that is what one wants back: some are kept for a day. */
static size_t trim(struct history *history, uint64_t more, uint64_t most, size_t spared)
{
    uint64_t *numbers;
    uint64_t kept_bytes = more, longer_bytes = 0;
    size_t count = history_numbers(history, &numbers);
    size_t first = count;
    size_t kept = more > 0;
    for (; first > 0; first--, kept++) {
        bool is_recent;
        uint64_t bytes = measure(history, numbers[first - 1], &is_recent);
        if (kept >= HISTORY_KEPT)
            longer_bytes += bytes;
        if ((kept >= spared && kept_bytes + bytes > most) ||
            (kept >= HISTORY_KEPT &&
             (kept >= LONGER_RECORDS || !is_recent || longer_bytes > LONGER_BYTES)))
            break;
        kept_bytes += bytes;
    }
    for (size_t i = 0; i < first; i++)
        history_remove_record(history, numbers[i]);
    history->bytes = kept_bytes - more;
    free(numbers);
    return first;
}

/* The disk has so many bytes too few for a new record of `more` bytes, or as it is. False where all
 * that the history has would not do, but `left`, which it may have in any case. */
static bool give_way(struct history *history, uint64_t more, uint64_t lacking, uint64_t left)
{
    uint64_t before = history->bytes;
    if (more > left && lacking > before)
        return false;
    uint64_t most = more + (before > lacking ? before - lacking : 0);
    size_t count = trim(history, more, most > left ? most : left, 0);
    if (count > 0)
        log_event(LOG_WARNING, "history_shortened", LOG_TEXT("folder", history->folder.path),
                  LOG_NUMBER("records", count),
                  LOG_TEXT("reason", "the disk is nearly full, and has certificates' keys, too"));
    return true;
}

bool history_make_room(struct history *history, uint64_t more, uint64_t beside,
                       struct error_text *why)
{
    uint64_t free_bytes;
    uint64_t reserve = look_at_disk(history, &free_bytes);
    uint64_t wanted = reserve + more + beside;
    if (reserve > 0 && free_bytes < wanted &&
        !give_way(history, more, wanted - free_bytes, reserve / LEFT_PART)) {
        error_set(why, ERROR_TOO_BIG,
                  "the disk of %s has %llu kB left, and the change takes %llu kB there: %llu kB "
                  "are kept free for certificates' keys",
                  history->folder.path, (unsigned long long)free_bytes / 1024,
                  (unsigned long long)(more + beside) / 1024, (unsigned long long)reserve / 1024);
        return false;
    }
    if (history->bytes + more > BYTES_MAX || (history->last + 1) % TRIM_EVERY == 0)
        trim(history, more, BYTES_MAX, SPARED);
    return true;
}

static void look(void *context)
{
    struct history *history = context;
    uint64_t free_bytes;
    uint64_t reserve = look_at_disk(history, &free_bytes);
    if (free_bytes < reserve && history->bytes > reserve / LEFT_PART)
        (void)!give_way(history, 0, reserve - free_bytes, reserve / LEFT_PART);
}

/* Others may fill the disk while nothing changes here. */
void history_watch_room(struct history *history, struct main_loop *main_loop)
{
    trim(history, 0, BYTES_MAX, SPARED);
    look(history);
    history->room_timer = main_timer_new(main_loop, look, history);
    main_timer_every(history->room_timer, LOOK_MS);
}
