/* Performs what a flow asks for: see runner.h. */
#include "runner.h"

#include "acme/jws.h"
#include "core/memory.h"

#include <stdlib.h>

struct runner {
    struct acme_flow flow;
    struct ca *ca;
    struct main_timer *timer;
    struct http_exchange *exchange; /* NULL: nothing is on its way */
    struct runner_hooks hooks;
    void *context;
};

static void take_step(struct runner *runner);

static void on_timer(void *context)
{
    struct runner *runner = context;
    acme_flow_resume(&runner->flow);
    take_step(runner);
}

struct runner *runner_new(struct ca *ca, const struct runner_hooks *hooks, void *context)
{
    struct runner *runner = memory_new(sizeof(*runner));
    runner->ca = ca;
    runner->hooks = *hooks;
    runner->context = context;
    runner->timer = main_timer_new(ca->loop, on_timer, runner);
    return runner;
}

void runner_free(struct runner *runner)
{
    if (runner == NULL)
        return;
    http_exchange_cancel(runner->exchange);
    main_timer_free(runner->timer);
    acme_flow_fini(&runner->flow);
    free(runner);
}

struct acme_flow *runner_flow(struct runner *runner)
{
    return &runner->flow;
}

void runner_start(struct runner *runner)
{
    main_timer_once(runner->timer, 0);
}

void runner_resume(struct runner *runner)
{
    acme_flow_resume(&runner->flow);
    runner_start(runner);
}

static void progress(struct runner *runner)
{
    if (runner->hooks.on_progress != NULL)
        runner->hooks.on_progress(runner->context);
}

static void on_answer(void *context, const struct http_response *answer)
{
    struct runner *runner = context;
    runner->exchange = NULL;
    ca_note_answer(runner->ca, answer);
    acme_flow_hear(&runner->flow, answer);
    progress(runner);
    take_step(runner);
}

/* The answer to a request for a nonce alone. Where none comes the flow hears of it as of its own
 * request, and so waits and gives up as it would. */
static void on_nonce(void *context, const struct http_response *answer)
{
    struct runner *runner = context;
    bool is_good = answer->status >= 200 && answer->status < 300;
    struct http_response told = *answer;
    runner->exchange = NULL;
    ca_note_answer(runner->ca, answer);
    bool is_there = is_good && runner->ca->nonce_count > 0; /* that was of use */
    if (!is_there && is_good)
        told = (struct http_response){.failure = "the CA gives no nonce"};
    if (!is_there)
        acme_flow_hear(&runner->flow, &told);
    take_step(runner);
}

static void send_request(struct runner *runner, const struct http_client_request *request,
                         http_response_fn *on_end)
{
    runner->exchange = http_client_send(runner->ca->client, request, on_end, runner);
    if (runner->exchange == NULL) {
        const struct http_response none = {.failure = "the request cannot be sent"};
        acme_flow_hear(&runner->flow, &none);
        runner_start(runner);
    }
}

static void send_signed(struct runner *runner, const struct acme_request *request)
{
    char nonce[CA_NONCE_SIZE];
    struct bytes body = {0};
    struct error_text why = {0};
    if (!ca_take_nonce(runner->ca, nonce)) {
        const struct http_client_request ask = {.method = HTTP_HEAD,
                                                .url = runner->ca->directory.new_nonce};
        send_request(runner, &ask, on_nonce);
        return;
    }
    const struct jws_header header = {
        .key = request->key, .kid = request->kid, .url = request->url, .nonce = nonce};
    if (jws_sign(&header, request->payload, &body, &why) == ERROR_OK) {
        const struct http_client_request post = {
            .method = HTTP_POST, .url = request->url, .body = bytes_slice(&body)};
        send_request(runner, &post, on_answer);
    } else {
        struct acme_problem problem;
        acme_problem_set(&problem, ACME_CLASS_LOCAL, "%s", why.text);
        runner_fail(runner, &problem);
    }
    bytes_free(&body);
}

void runner_fail(struct runner *runner, const struct acme_problem *problem)
{
    acme_flow_end(&runner->flow, problem);
    runner_start(runner);
}

static void take_step(struct runner *runner)
{
    struct acme_request request;
    switch (acme_flow_next(&runner->flow, &request)) {
    case ACME_SEND:
        if (request.key != NULL)
            send_signed(runner, &request);
        else
            send_request(runner,
                         &(struct http_client_request){.method = HTTP_GET, .url = request.url},
                         on_answer);
        break;
    case ACME_WAIT: main_timer_once(runner->timer, runner->flow.wait_ms); break;
    case ACME_PUBLISH: runner->hooks.on_publish(runner->context); break;
    case ACME_DONE: runner->hooks.on_end(runner->context, true); break;
    case ACME_FAILED: runner->hooks.on_end(runner->context, false); break;
    }
}
