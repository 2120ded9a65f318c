/* What the history's files share. */
#pragma once

#include "changes/history.h"
#include "core/file.h"
#include "net/main_loop.h"

enum {
    HISTORY_NUMBER_DIGITS = 8,
    HISTORY_FILE_BYTES = 4096, /* what a file takes besides its own */
};

/* What makes a folder a record. */
#define HISTORY_RECORD "record.json"

struct history {
    const struct live *live;
    struct folder folder;
    struct folder shadow;
    char **unread; /* files that were there at the start, and could not be read since */
    size_t unread_count;
    uint64_t last;  /* the latest record's number; 0: none */
    bool is_behind; /* some change could not be recorded */
    uint64_t bytes; /* what the records take, about */
    struct main_timer *room_timer;
};

/* The global file's name in records. It is recorded and never written. */
#define HISTORY_GLOBAL "@global"

/* Records what could not be recorded when it was read. False while it still cannot be. */
MUST_CHECK bool history_catch_up(struct history *history);
/* The path of a file by its name in records; for free(). */
char *history_path(const struct history *history, const char *name);
/* A file as it is now; false when it is not there. Other failures count as not there. */
MUST_CHECK bool history_read_present(const char *path, struct bytes *content);
/* A file as it was when it was read last; ERROR_NOT_FOUND when it had not been there. */
MUST_CHECK enum error history_read_shadow(const struct history *history, const char *name,
                                          struct bytes *content, struct error_text *why);
/* The numbers of the records that are there, ascending; for free(). */
size_t history_numbers(const struct history *history, uint64_t **numbers);
/* The folder of one; false when it is not there. */
MUST_CHECK bool history_open_record(const struct history *history, uint64_t number,
                                    struct folder *record);
/* record.json of one, for json_free(); NULL when it is not there. */
struct json *history_record(const struct history *history, uint64_t number);
/* What a record keeps of a file: how it was before. False when it was not there. */
MUST_CHECK bool history_before(const struct history *history, uint64_t number, const char *name,
                               struct bytes *content);
/* "0123456789abcdef" of a content. */
void history_hash(struct slice content, char text[static 17]);

/* -- history_room.c: how much the history takes ------------------------------------------------ */

/* Removes old records for one of `more` bytes, with which `beside` are written elsewhere on the
 * disk. False with the reason: the disk is too full for it. */
MUST_CHECK bool history_make_room(struct history *history, uint64_t more, uint64_t beside,
                                  struct error_text *why);
/* Counts what is there, and looks after the disk from now on. */
void history_watch_room(struct history *history, struct main_loop *main_loop);
void history_remove_record(const struct history *history, uint64_t number);
