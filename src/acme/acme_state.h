/* What the parts of the flow share: acme_flow.c (engine, account, single requests), acme_order.c
 * (orders) and acme_search.c (finding one again). */
#pragma once

#include "acme/acme_flow.h"

struct json;

/* One row per state that sends. `ask` fills the request (zeroed before), or fails the flow; `hear`
 * takes a 2xx answer; `refused` a problem that repeating will not mend, NULL to fail with it. Each
 * moves the flow on, or leaves it for another try. */
struct acme_state_row {
    void (*ask)(struct acme_flow *flow, struct acme_request *request);
    void (*hear)(struct acme_flow *flow, const struct http_response *answer);
    void (*refused)(struct acme_flow *flow, const struct acme_problem *problem);
};

extern const struct acme_state_row ACME_ORDER_ROWS[ACME_STATE__MAX];
extern const struct acme_state_row ACME_SEARCH_ROWS[ACME_STATE__MAX];

void acme_flow_move(struct acme_flow *flow, enum acme_state state);
void acme_flow_fail(struct acme_flow *flow, const struct acme_problem *problem);
void acme_flow_fail_text(struct acme_flow *flow, enum acme_class class, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* The answer was a success by its status and nonsense by its content: the same request again, as
 * after a lost connection, because a proxy in between may be to blame. */
void acme_flow_doubt(struct acme_flow *flow, const struct http_response *answer, const char *what);
/* Sets the payload from `object`, which is freed. */
void acme_flow_payload(struct acme_flow *flow, struct json *object, struct acme_request *request);
/* The body as JSON; NULL when it is not (for free). */
struct json *acme_answer_json(const struct http_response *answer);

/* The target of a Link header (RFC 8555 7.4.2: <https://...>;rel="alternate"), if it is of this
 * relation and a URL that is safe to request. */
MUST_CHECK bool acme_answer_link(const struct http_response *answer, size_t index,
                                 const char *relation, char url[static ACME_URL_SIZE]);

/* Goes where the order stands, by an answer that is one. */
void acme_follow_order(struct acme_flow *flow, const struct http_response *answer);
/* Notes which names of an order a refusal is about: its subproblems, else the names that its detail
 * mentions. */
void acme_order_note_names(struct acme_flow *flow, const struct http_response *answer,
                           const struct acme_problem *problem);
