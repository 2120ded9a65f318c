/* Finding an order again whose URL was lost with the answer that told it: see acme/acme_flow.h.
 *
 * RFC 8555 7.1.2 has accounts list their orders. Not every CA does (Let's Encrypt does not, and
 * gives the same pending order for the same names anyway): whatever goes wrong here leads to a new
 * order, because a search is no reason to have no certificate.
 */
#include "acme_state.h"

#include "json/json.h"

#include <stdlib.h>

enum {
    PAGES_MAX = 200,
    URLS_MAX = 1000,
    READS_MAX = 20, /* it was the last thing that was done: it is among the newest */
};

static void ask(const struct acme_flow *flow, const char *url, struct acme_request *request)
{
    request->url = url;
    request->key = flow->order.account.key;
    request->kid = flow->order.account.url;
    request->payload = SLICE(""); /* POST-as-GET */
}

static void give_up(struct acme_flow *flow)
{
    acme_flow_move(flow, ACME_STATE_ORDER_NEW);
}

static void refused(struct acme_flow *flow, const struct acme_problem *problem)
{
    (void)problem;
    give_up(flow);
}

/* -- The list ---------------------------------------------------------------------------------- */

static void account_ask(struct acme_flow *flow, struct acme_request *request)
{
    ask(flow, flow->order.account.url, request);
}

static void account_hear(struct acme_flow *flow, const struct http_response *answer)
{
    struct json *account = acme_answer_json(answer);
    if (acme_url_copy(json_get(account, "orders"), flow->page_url))
        acme_flow_move(flow, ACME_STATE_ORDER_LIST);
    else
        give_up(flow);
    json_free(account);
}

static void list_ask(struct acme_flow *flow, struct acme_request *request)
{
    ask(flow, flow->page_url, request);
}

static void take_urls(struct acme_flow *flow, const struct json *urls)
{
    size_t room = flow->found_count + json_count(urls);
    if (room == 0 || room > URLS_MAX)
        return;
    char(*grown)[ACME_URL_SIZE] = reallocarray(flow->found, room, sizeof(*grown));
    if (grown == NULL)
        return;
    flow->found = grown;
    for (size_t i = 0; i < json_count(urls); i++)
        flow->found_count += acme_url_copy(json_at(urls, i), flow->found[flow->found_count]);
}

static void read_newest(struct acme_flow *flow)
{
    if (flow->found_count == 0 || flow->reads == READS_MAX) {
        give_up(flow);
        return;
    }
    flow->reads++;
    flow->found_count--;
    acme_flow_move(flow, ACME_STATE_ORDER_FIND);
}

static bool has_next(struct acme_flow *flow, const struct http_response *answer)
{
    for (size_t i = 0; i < answer->link_count; i++)
        if (acme_answer_link(answer, i, "next", flow->page_url))
            return true;
    return false;
}

static void list_hear(struct acme_flow *flow, const struct http_response *answer)
{
    struct json *page = acme_answer_json(answer);
    take_urls(flow, json_get(page, "orders"));
    json_free(page);
    if (++flow->pages < PAGES_MAX && has_next(flow, answer))
        acme_flow_move(flow, ACME_STATE_ORDER_LIST);
    else
        read_newest(flow);
}

/* -- Its orders, the newest first -------------------------------------------------------------- */

static void find_ask(struct acme_flow *flow, struct acme_request *request)
{
    ask(flow, flow->found[flow->found_count], request);
}

static bool has_name(const struct json *identifiers, const char *name)
{
    struct slice value;
    for (size_t i = 0; i < json_count(identifiers); i++)
        if (json_read_text(json_get(json_at(identifiers, i), "value"), &value) &&
            slice_equal_nocase(value, slice_of(name)))
            return true;
    return false;
}

/* One that has been finalized had its URL written down long before, and is another's. */
static bool is_ours(const struct acme_flow *flow, const struct json *order)
{
    const struct json *identifiers = json_get(order, "identifiers");
    struct slice status;
    if (!json_read_text(json_get(order, "status"), &status) ||
        !(slice_equal(status, SLICE("pending")) || slice_equal(status, SLICE("ready"))) ||
        json_count(identifiers) != flow->order.name_count)
        return false;
    for (size_t i = 0; i < flow->order.name_count; i++)
        if (!has_name(identifiers, flow->order.names[i]))
            return false;
    return true;
}

static void find_hear(struct acme_flow *flow, const struct http_response *answer)
{
    struct json *order = acme_answer_json(answer);
    if (is_ours(flow, order)) {
        memcpy(flow->order_url, flow->found[flow->found_count], sizeof(flow->order_url));
        flow->order.order_url = flow->order_url; /* if it is no good, a new one is made */
        acme_flow_move(flow, ACME_STATE_ORDER_READ);
        acme_follow_order(flow, answer);
    } else {
        read_newest(flow);
    }
    json_free(order);
}

static void find_refused(struct acme_flow *flow, const struct acme_problem *problem)
{
    (void)problem;
    read_newest(flow);
}

const struct acme_state_row ACME_SEARCH_ROWS[ACME_STATE__MAX] = {
    [ACME_STATE_ACCOUNT_READ] = {account_ask, account_hear, refused},
    [ACME_STATE_ORDER_LIST] = {list_ask, list_hear, refused},
    [ACME_STATE_ORDER_FIND] = {find_ask, find_hear, find_refused},
};
