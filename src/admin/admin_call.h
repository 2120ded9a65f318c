/* A request on its way through its parts, and the desks where some of them are done. */
#pragma once

#include "admin/admin_server.h"
#include "http/http_server.h"

#include <stdatomic.h>

/* One part: a row that takes the request. */
struct admin_part {
    const struct admin_operation *operation;
    void *context;
    struct admin_desk *desk; /* NULL: in the server's thread */
    enum admin_access access;
};

/* Belongs to whoever has it in hand: the server, a desk's inbox, a desk. Texts are its own. */
struct admin_call {
    struct admin_call *next; /* in a box */
    char *method;
    char *path;
    char *query;
    char *if_match;
    char *accept;
    char *item;
    char *token;
    struct json *body;
    struct admin_request request; /* views of the above */
    struct admin_answer answer;
    struct admin_part parts[ADMIN_TABLES_MAX];
    size_t part_count;
    size_t done;
    bool is_change;
    bool is_let_in;             /* at the gate, if there is one */
    struct http_held *held;     /* NULL: the request is still being handled */
    struct admin_desk *working; /* whose thread has it, or had it last */
};

/* Does the next parts, as long as they are those of `desk`. */
void admin_call_go_on(struct admin_call *call, const struct admin_desk *desk);
/* The desk that has the next part; NULL: none is left. */
struct admin_desk *admin_call_desk(const struct admin_call *call);
void admin_call_free(struct admin_call *call);
/* Whether its operation takes all of its query; if not, `answer` says what and which keys it has.
 * Rows of one operation take the same. */
MUST_CHECK bool admin_query_check(const struct admin_call *call, struct admin_answer *answer);

/* What threads pass calls through: any number put, one takes all. */
struct admin_box {
    _Atomic(struct admin_call *) last;
};
void admin_box_put(struct admin_box *box, struct admin_call *call);
/* All that is in it, the first put first. */
struct admin_call *admin_box_take(struct admin_box *box);

/* What desks and their server have between them, all in the server's thread. Hands the call to its
 * desk. */
void admin_desk_put(struct admin_desk *desk, struct admin_call *call);
/* Whether so many wait that nobody else should. */
bool admin_desk_is_full(const struct admin_desk *desk);
/* Whether its thread is stuck, so that no call should go there. */
bool admin_desk_is_stuck(const struct admin_desk *desk);
/* To be told of each call that comes back: its desk may have a thread for the next one. */
void admin_desk_take_back(struct admin_call *call);
/* Where desks hand calls back, with a wake. */
struct admin_box *admin_server_outbox(struct admin_server *server, struct main_waker **waker);
void admin_server_remove_desk(struct admin_server *server, const struct admin_desk *desk);
/* Answers, in the server's thread, a call that is done or never will be. */
void admin_server_finish(struct admin_call *call);
void admin_server_add_table(struct admin_server *server, enum admin_access access,
                            const struct admin_operation *operations, void *context,
                            struct admin_desk *desk);
