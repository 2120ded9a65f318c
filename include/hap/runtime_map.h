/* A map of HAProxy's (management.txt 9.3, `prepare map` and its like): what stands in its file, and
 * the commands that bring a running HAProxy to it. Pure: no socket, no clock.
 *
 * Few changes are told one by one, each of which is whole by itself; many, or those to a HAProxy of
 * which nothing is known, as a version of the map that is prepared aside and put in force at once.
 * HAProxy answers in prose: a step has succeeded only when it says nothing, or the exact words.
 */
#pragma once

#include "core/cursor.h"
#include "core/error.h"
#include "hap/runtime.h"

struct runtime_map_entry {
    char *key;   /* printable, without blanks */
    char *value; /* printable, not empty */
};

/* By key in the order of strcmp(), each key once. */
struct runtime_map {
    struct runtime_map_entry *entries;
    size_t count;
};

void runtime_map_free(struct runtime_map *map); /* NULL is fine */
bool runtime_map_equal(const struct runtime_map *a, const struct runtime_map *b);
/* The file's text, a comment first; the caller frees it. */
char *runtime_map_text(const struct runtime_map *map, const char *comment, size_t *size);

enum {
    /* More changes than this go as a whole. */
    RUNTIME_MAP_CHANGES_MAX = 64,
};

enum runtime_map_state {
    MAP_CHANGE,  /* del map, set map */
    MAP_LOOK,    /* get map: is what was deleted gone? */
    MAP_ADD_NEW, /* add map, for a key that HAProxy did not have */
    MAP_PREPARE,
    MAP_FILL, /* add map @N F << */
    MAP_COMMIT,
    MAP_CLEAR, /* what was prepared and is not wanted any more */
    MAP_END,
};

/* Brings one HAProxy from `before` (NULL: nobody knows what it has) to `now`. All that is pointed
 * to must outlive it. */
struct runtime_map_push {
    struct slice prefix; /* "@1 " over the master's socket, else empty */
    struct slice file;   /* the map's name: that of its file in haproxy.cfg */
    size_t room;         /* for a command, as runtime_room() tells; 0: what the default allows */
    const struct runtime_map *before;
    const struct runtime_map *now;

    enum runtime_map_state state;
    enum error error; /* when failed; NOT_FOUND: HAProxy's configuration has no such map */
    struct error_text reason;
    uint64_t version;      /* that HAProxy gave to what is prepared */
    size_t filled;         /* entries of `now` that have been sent */
    size_t old_at, new_at; /* how far the changes have been told */
    size_t pending;        /* of `now`: what is being set */
    bool deleting;         /* a key is being taken away instead */
    bool whole;            /* it was, or is being, sent as a whole */
};

/* `command` needs room for RUNTIME_COMMAND_MAX_BYTES. */
enum runtime_step runtime_map_start(struct runtime_map_push *push, struct writer *command);
/* Takes the whole answer to the last command and writes the next one. One that says nothing has a
 * line all the same. */
enum runtime_step runtime_map_answer(struct runtime_map_push *push, struct slice answer,
                                     struct writer *command);
/* There was none. What is being filled is still to be taken away; what was about to be committed
 * may be in force. */
enum runtime_step runtime_map_broken(struct runtime_map_push *push, enum error error,
                                     const char *reason, struct writer *command);
