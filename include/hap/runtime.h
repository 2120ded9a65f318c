/* HAProxy's Runtime API (management.txt 9.3), the part that moves certificates: commands as text
 * and answers as text. Pure: no socket, no file, no clock.
 *
 * HAProxy answers in prose and has no status code: a step has succeeded only when the exact words
 * are there. It keeps one certificate transaction per process, which outlives the connection that
 * opened it; HAProxy 2.6 lets a second `set ssl cert` overwrite the first one's content in silence.
 * So there is one writer, each command goes over its own connection, leftovers are aborted before a
 * change, and the name in every answer is compared with the name that was asked for.
 */
#pragma once

#include "core/cursor.h"
#include "core/error.h"

enum {
    /* A command with its payload: HAProxy 2.6 kills itself at exactly tune.bufsize (16384), so this
     * keeps well away on every version. */
    RUNTIME_COMMAND_MAX_BYTES = 16000,
    RUNTIME_BUFFER_BYTES = 16384, /* HAProxy's default */
    /* What fits whatever an admin has made of tune.bufsize, of which HAProxy takes 1024. */
    RUNTIME_COMMAND_SHORT_BYTES = 640,
    RUNTIME_NAME_MAX_BYTES = 255,
    /* What that leaves for a payload, whatever the name and the words around it. */
    RUNTIME_PEM_MAX_BYTES = RUNTIME_COMMAND_MAX_BYTES - RUNTIME_NAME_MAX_BYTES - 32,
    /* The SHA-1 fingerprint as HAProxy prints it: 40 upper-case hexadecimal digits. */
    RUNTIME_FINGERPRINT_BYTES = 40,
};

/* A file or list name as it may appear in a command: absolute, printable ASCII, without blanks, the
 * characters that separate or quote commands (";", "\", "<", quotes, "*"), and ".." segments. */
MUST_CHECK enum error runtime_name_check(struct slice name, struct error_text *text);

/* A PEM that can be a payload: no blank line (it would end the payload, and the rest would be run
 * as commands), no carriage return, no NUL, ends with a newline, small enough with the command. */
MUST_CHECK enum error runtime_payload_check(struct slice pem, struct error_text *text);

/* The digits that the text begins with, UINT64_MAX for more than it holds; 0: there are none. */
uint64_t runtime_number(struct slice text);

/* Asks for what runtime_room() reads. Versions before 3.0 take no notice of its last words. */
#define RUNTIME_SHOW_BUFFER "show pools match buffer"
/* How many bytes a command may have, by how large HAProxy's buffers are. */
size_t runtime_room(struct slice answer);
/* Why a command cannot be sent, with the way out. */
enum error runtime_room_reason(size_t room, size_t command_bytes, struct error_text *text);

/* What a step machine wants next. */
enum runtime_step {
    RUNTIME_SEND,   /* send the command, read to the end of the connection, give the answer */
    RUNTIME_DONE,   /* the goal is reached and has been read back */
    RUNTIME_FAILED, /* it was not; no transaction of ours is left open; see `error` */
};

enum runtime_swap_state {
    SWAP_KNOWN,  /* show ssl cert F: is the name there, is there anything to change? */
    SWAP_LIST,   /* show ssl cert: is a transaction open? */
    SWAP_CLEAR,  /* abort ssl cert X, a leftover */
    SWAP_NEW,    /* new ssl cert F */
    SWAP_SET,    /* set ssl cert F << */
    SWAP_COMMIT, /* commit ssl cert F */
    SWAP_VERIFY, /* show ssl cert F: is it ours, and used by a bind? */
    SWAP_ADD,    /* add ssl crt-list L F */
    SWAP_ABORT,  /* abort ssl cert F, after a failure */
    SWAP_UNLIST, /* del ssl crt-list L F */
    SWAP_DELETE, /* del ssl cert F */
    SWAP_END,
};

/* Puts a certificate under name `file` into a running HAProxy, and into the list `list` (a crt-list
 * file, or the directory of `bind ... crt`, without trailing slash) unless it is there; or takes it
 * out. The slices must outlive the machine. */
struct runtime_swap {
    struct slice prefix; /* "@1 " over the master's socket, else empty */
    struct slice file;
    struct slice list; /* empty: only replace, never add */
    struct slice pem;
    struct slice fingerprint; /* of the leaf in `pem`, as RUNTIME_FINGERPRINT_BYTES says */
    bool anew;                /* even if HAProxy has the leaf: the chain may be another */

    enum runtime_swap_state state;
    enum error error; /* when failed: BUSY and CLOSED are worth another try */
    struct error_text reason;
    bool removing;
    bool existed;          /* HAProxy knew the name before */
    bool cleared_leftover; /* somebody's open transaction was aborted */
    bool added;            /* it was put into the list */
    bool unchanged;        /* HAProxy served this very certificate already: nothing was done */
};

/* Both write the first command. `command` needs room for RUNTIME_COMMAND_MAX_BYTES. */
enum runtime_step runtime_swap_start(struct runtime_swap *swap, struct writer *command);
enum runtime_step runtime_remove_start(struct runtime_swap *swap, struct writer *command);
/* Takes the whole answer to the last command ("" when HAProxy closed without one) and writes the
 * next command. */
enum runtime_step runtime_swap_answer(struct runtime_swap *swap, struct slice answer,
                                      struct writer *command);
/* Whether the part of an answer that has come says all that matters: the connection may be closed.
 * (A list of 50,000 certificates is read for its first line.) */
bool runtime_swap_has_enough(const struct runtime_swap *swap, struct slice answer);

/* The value of a `Key: value` line of an answer (`show info`, `show ssl cert F`); empty if none. */
struct slice runtime_value(struct slice answer, const char *key);

/* A HAProxy's process, as `show info` tells. */
struct runtime_process {
    int64_t pid;      /* 0: none */
    int64_t uptime_s; /* -1: it does not tell */
    uint64_t start_s; /* of the wall's clock then, which stays when that is set; 0: not told */
    uint64_t node;    /* a hash of its name: two containers have the same numbers */
};
/* False when the answer names none. */
MUST_CHECK bool runtime_process_read(struct slice answer, struct runtime_process *process);
/* Whether `now` is another one than `before`: in a container the next one has the same number. */
MUST_CHECK bool runtime_process_differs(const struct runtime_process *now,
                                        const struct runtime_process *before);

/* Whether both are the same one, told over two sockets. */
MUST_CHECK bool runtime_process_is(const struct runtime_process *one,
                                   const struct runtime_process *other);

/* Takes one line off an answer; false when none is left. */
MUST_CHECK bool runtime_next_line(struct slice *answer, struct slice *line);
/* The field of that name in a row of `show stat`, whose first line is `head`; empty if none. */
struct slice runtime_field(struct slice head, struct slice row, const char *name);
/* As much of HAProxy's words as a reason tells. */
struct slice runtime_said(struct slice words);
