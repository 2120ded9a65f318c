/* What the history's files share. */
#pragma once

#include "changes/history.h"
#include "core/file.h"

enum { HISTORY_NUMBER_DIGITS = 8 };

struct history {
    const struct live *live;
    struct folder folder;
    struct folder shadow;
    char **unread; /* files that were there at the start, and could not be read since */
    size_t unread_count;
    uint64_t last;  /* the latest record's number; 0: none */
    bool is_behind; /* some change could not be recorded */
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
/* record.json of one, for json_free(); NULL when it is not there. */
struct json *history_record(const struct history *history, uint64_t number);
/* What a record keeps of a file: how it was before. False when it was not there. */
MUST_CHECK bool history_before(const struct history *history, uint64_t number, const char *name,
                               struct bytes *content);
/* "0123456789abcdef" of a content. */
void history_hash(struct slice content, char text[static 17]);
