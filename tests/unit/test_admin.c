/* admin: the real client against the real server, in two threads over a unix socket. */
#include "admin/admin_client.h"
#include "admin/admin_server.h"
#include "core/memory.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char folder[32];
    char *path;
    struct main_loop *loop;
    struct main_waker *done;
    struct admin_server *server;
    unsigned changes;

    const char *method; /* what the client asks */
    const char *target;
    const struct json *sent;
    struct json *answer;
    unsigned status;
    struct error_text why;
};

static void handle_list(void *context, const struct admin_request *request,
                        struct admin_answer *answer)
{
    (void)context;
    answer->body = json_new_object();
    json_put_text(answer->body, "query", request->query);
}

static void handle_change(void *context, const struct admin_request *request,
                          struct admin_answer *answer)
{
    struct fixture *fixture = context;
    int64_t amount = 0;
    if (!json_read_integer(json_get(request->body, "amount"), &amount)) {
        admin_refuse(answer, 422, "\"amount\" is missing for %.*s", SLICE_PRINT(request->item));
        return;
    }
    fixture->changes += (unsigned)amount;
    answer->body = json_new_object();
    json_put_text(answer->body, "item", request->item);
}

static const struct admin_operation OPERATIONS[] = {
    {"GET", "/v1/things", handle_list, "lists", "all=1 after limit=N"},
    {"POST", "/v1/things/{}/change", handle_change, "changes", ""},
    {0},
};

static void put_one(void *context, const struct admin_request *request, struct admin_answer *answer)
{
    (void)request;
    json_put_integer(admin_answer_body(answer), context, 1);
}

static void refuse(void *context, const struct admin_request *request, struct admin_answer *answer)
{
    (void)context;
    (void)request;
    admin_refuse(answer, 409, "not now");
}

static void answer_text(void *context, const struct admin_request *request,
                        struct admin_answer *answer)
{
    (void)context;
    (void)request;
    answer->body = json_new_object();
    json_put_text(answer->body, "x", SLICE("y"));
    snprintf(answer->etag, sizeof(answer->etag), "\"1\"");
}

static const struct admin_operation HERE[] = {
    {"GET", "/v1/sum", put_one, "adds one", ""},
    {"GET", "/v1/no", refuse, "refuses", ""},
    {"GET", "/v1/tagged", answer_text, "has an ETag", ""},
    {0},
};
static void setup(struct fixture *fixture)
{
    *fixture = (struct fixture){.folder = "/tmp/owui-admin-XXXXXX"};
    cr_assert(mkdtemp(fixture->folder) != NULL);
    fixture->path = memory_format("%s/admin.sock", fixture->folder);
    fixture->loop = main_loop_new(NULL);
    fixture->server = admin_server_new(fixture->loop, fixture->path, &fixture->why);
    cr_assert(fixture->server != NULL, "%s", fixture->why.text);
    admin_server_add(fixture->server, OPERATIONS, fixture);
}

static void teardown(struct fixture *fixture)
{
    admin_server_free(fixture->server);
    main_loop_free(fixture->loop);
    cr_expect(access(fixture->path, F_OK) != 0, "the socket file is left behind");
    rmdir(fixture->folder);
    free(fixture->path);
}

static void stop_loop(void *context)
{
    main_loop_stop(context);
}

static void *client_thread(void *context)
{
    struct fixture *fixture = context;
    fixture->answer = admin_request(fixture->path, fixture->method, fixture->target, fixture->sent,
                                    &fixture->status, &fixture->why);
    main_waker_wake(fixture->done);
    return NULL;
}

static void ask(struct fixture *fixture, const char *method, const char *target,
                const struct json *sent)
{
    pthread_t thread;
    fixture->method = method;
    fixture->target = target;
    fixture->sent = sent;
    fixture->done = main_waker_new(fixture->loop, stop_loop, fixture->loop);
    pthread_create(&thread, NULL, client_thread, fixture);
    main_loop_run(fixture->loop);
    pthread_join(thread, NULL);
    main_waker_free(fixture->done);
    cr_assert(fixture->answer != NULL, "%s", fixture->why.text);
}

static char *member(const struct fixture *fixture, const char *key)
{
    static char text[256];
    struct slice value = {0};
    cr_assert(json_read_text(json_get(fixture->answer, key), &value), "no %s", key);
    snprintf(text, sizeof(text), "%.*s", SLICE_PRINT(value));
    return text;
}

Test(admin, an_operation_gets_item_body_and_query)
{
    struct fixture fixture;
    setup(&fixture);
    struct stat about;
    cr_assert(stat(fixture.path, &about) == 0 && (about.st_mode & 0777) == 0660);

    ask(&fixture, "GET", "/v1/things?all=1", NULL);
    cr_assert(fixture.status == 200);
    cr_assert(eq(str, member(&fixture, "query"), "all=1"));
    json_free(fixture.answer);

    struct json *body = json_new_object();
    json_put_integer(body, "amount", 3);
    ask(&fixture, "POST", "/v1/things/acme/change", body);
    cr_assert(fixture.status == 200);
    cr_assert(eq(str, member(&fixture, "item"), "acme"));
    cr_assert(fixture.changes == 3);
    json_free(fixture.answer);
    json_free(body);
    teardown(&fixture);
}

Test(admin, what_cannot_be_done_is_told)
{
    const struct {
        const char *method;
        const char *target;
        unsigned status;
    } rows[] = {
        {"GET", "/v1/nothing", 404},         {"GET", "/v1/things/acme/change", 405},
        {"POST", "/v1/things", 405},         {"POST", "/v1/things/a/b/change", 404},
        {"POST", "/v1/things//change", 404}, {"POST", "/v1/things/acme/change", 422},
    };
    struct fixture fixture;
    setup(&fixture);
    char *target = memory_format("/v1/things/%0*d/change", ADMIN_ITEM_MAX_BYTES + 1, 0);
    ask(&fixture, "POST", target, NULL);
    cr_expect(eq(uint, fixture.status, 404));
    json_free(fixture.answer);
    free(target);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        ask(&fixture, rows[i].method, rows[i].target, NULL);
        cr_expect(fixture.status == rows[i].status, "%s %s: %u", rows[i].method, rows[i].target,
                  fixture.status);
        cr_expect(strlen(member(&fixture, "error")) > 0);
        json_free(fixture.answer);
    }
    cr_assert(fixture.changes == 0);
    teardown(&fixture);
}

Test(admin, what_a_query_is_not_to_have_is_told)
{
    const struct {
        const char *target;
        const char *told; /* NULL: it is answered */
    } rows[] = {
        {"/v1/things?all=1&after=&limit=7", NULL},
        {"/v1/things?&after=x=y&&limit=1", NULL},
        {"/v1/things?after=x&limit=1&after=%26", "?after is there twice"},
        {"/v1/things?limit=1&&limit=1", "?limit is there twice"},
        {"/v1/things?afer=x", "?afer is no key of GET /v1/things: it has ?all=1, ?after, ?limit=N"},
        {"/v1/things?all=1&=2", "? is no key of GET /v1/things: it has ?all=1, ?after, ?limit=N"},
        {"/v1/things?all", "?all: expected ?all=1"},
        {"/v1/things?all=yes", "?all=yes: expected ?all=1"},
        {"/v1/things?limit=", "?limit=: expected ?limit=N"},
        {"/v1/things?limit=1x", "?limit=1x: expected ?limit=N"},
        {"/v1/things?limit=1234567890", "?limit=1234567890: expected ?limit=N"},
        {"/v1/tagged?all=1", "?all is no key of GET /v1/tagged: it has none"},
    };
    struct fixture fixture;
    setup(&fixture);
    admin_server_add(fixture.server, HERE, (void *)"here");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        ask(&fixture, "GET", rows[i].target, NULL);
        cr_expect(eq(u32, fixture.status, rows[i].told != NULL ? 400 : 200), "%s", rows[i].target);
        if (rows[i].told != NULL)
            cr_expect(strcmp(member(&fixture, "error"), rows[i].told) == 0, "%s",
                      member(&fixture, "error"));
        json_free(fixture.answer);
    }
    teardown(&fixture);
}

Test(admin, nobody_there_is_told_with_a_way_out)
{
    struct error_text why;
    unsigned status;
    cr_assert(admin_request("/nonexistent/admin.sock", "GET", "/", NULL, &status, &why) == NULL);
    cr_assert(strstr(why.text, "is owui-spoa running") != NULL, "%s", why.text);
}

/* -- Parts and desks --------------------------------------------------------------------------- */

static const struct admin_operation THERE[] = {
    {"GET", "/v1/sum", put_one, "adds another", ""},
    {"GET", "/v1/no", put_one, "is never asked", ""},
    {"POST", "/v1/there", put_one, "is done there alone", ""},
    {0},
};

struct other {
    struct main_loop *loop;
    pthread_t thread;
    struct main_waker *stop;
};

static void *other_thread(void *context)
{
    main_loop_run(context);
    return NULL;
}

Test(admin, a_request_is_made_of_parts_in_several_threads)
{
    struct fixture fixture;
    struct other other = {.loop = main_loop_new(NULL)};
    setup(&fixture);
    admin_server_add(fixture.server, HERE, (void *)"here");
    struct admin_desk *desk = admin_desk_new(fixture.server, other.loop, THERE, (void *)"there");
    other.stop = main_waker_new(other.loop, stop_loop, other.loop);
    pthread_create(&other.thread, NULL, other_thread, other.loop);

    ask(&fixture, "GET", "/v1/sum", NULL);
    cr_expect(fixture.status == 200 && json_count(fixture.answer) == 2);
    cr_expect(json_get(fixture.answer, "here") != NULL);
    cr_expect(json_get(fixture.answer, "there") != NULL);
    json_free(fixture.answer);

    struct json *body = json_new_object();
    ask(&fixture, "POST", "/v1/there", body);
    cr_expect(fixture.status == 200 && json_get(fixture.answer, "there") != NULL);
    json_free(fixture.answer);
    json_free(body);

    ask(&fixture, "GET", "/v1/no", NULL);
    cr_expect(fixture.status == 409 && json_count(fixture.answer) == 1, "the next part was asked");
    json_free(fixture.answer);
    ask(&fixture, "GET", "/v1/tagged", NULL);
    cr_expect(fixture.status == 200);
    json_free(fixture.answer);

    main_waker_wake(other.stop);
    pthread_join(other.thread, NULL);
    admin_desk_free(desk);
    ask(&fixture, "POST", "/v1/there", NULL);
    cr_expect(fixture.status == 404, "a desk that is gone is asked");
    json_free(fixture.answer);
    teardown(&fixture);
    main_waker_free(other.stop);
    main_loop_free(other.loop);
}

/* Who waits when the other thread ends is told so. */
Test(admin, what_no_desk_will_answer_is_refused)
{
    struct fixture fixture;
    struct other other = {.loop = main_loop_new(NULL)};
    setup(&fixture);
    struct admin_desk *desk = admin_desk_new(fixture.server, other.loop, THERE, (void *)"there");
    pthread_t thread;
    fixture.method = "GET";
    fixture.target = "/v1/sum";
    fixture.done = main_waker_new(fixture.loop, stop_loop, fixture.loop);
    struct main_timer *patience = main_timer_new(fixture.loop, stop_loop, fixture.loop);
    main_timer_once(patience, 200);
    pthread_create(&thread, NULL, client_thread, &fixture);
    main_loop_run(fixture.loop); /* nobody runs the desk's loop */
    admin_desk_free(desk);
    main_loop_run(fixture.loop);
    pthread_join(thread, NULL);
    cr_expect(fixture.answer != NULL && fixture.status == 503, "%u", fixture.status);
    json_free(fixture.answer);
    main_timer_free(patience);
    main_waker_free(fixture.done);
    teardown(&fixture);
    main_loop_free(other.loop);
}

/* What the others know is worth having without it. */
Test(admin, a_desk_that_is_stuck_is_passed_over)
{
    struct fixture fixture;
    struct other other = {.loop = main_loop_new(NULL)};
    setup(&fixture);
    admin_server_add(fixture.server, HERE, (void *)"here");
    /* Nobody runs its loop. */
    struct admin_desk *desk = admin_desk_new(fixture.server, other.loop, THERE, (void *)"there");
    admin_desk_pass_over(desk, true);
    ask(&fixture, "GET", "/v1/sum", NULL);
    cr_expect(fixture.status == 200 && json_count(fixture.answer) == 1);
    cr_expect(json_get(fixture.answer, "here") != NULL);
    json_free(fixture.answer);
    ask(&fixture, "POST", "/v1/there", NULL);
    cr_expect(fixture.status == 503, "%u", fixture.status);
    json_free(fixture.answer);
    admin_desk_free(desk);
    teardown(&fixture);
    main_loop_free(other.loop);
}

Test(admin, values_of_a_query)
{
    struct slice query = SLICE("a=1&state=live&ab=&b");
    cr_expect(slice_equal(admin_query_value(query, "a"), SLICE("1")));
    cr_expect(slice_equal(admin_query_value(query, "state"), SLICE("live")));
    cr_expect(admin_query_value(query, "ab").size == 0);
    cr_expect(admin_query_value(query, "b").size == 0);
    cr_expect(admin_query_value(query, "tate").size == 0);
}

Test(admin, texts_of_a_query)
{
    static const struct {
        const char *query, *text;
    } CASES[] = {
        {"search=a+b", "a b"},     {"search=a%20b%2F", "a b/"}, {"search=%4", "%4"},
        {"search=%zz%41", "%zzA"}, {"search=a%00b", "a%00b"},   {"search=", ""},
        {"other=a&search=b", "b"},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        char *text = admin_query_text(slice_of(CASES[i].query), "search");
        cr_expect(zero(int, strcmp(text, CASES[i].text)), "%s: %s", CASES[i].query, text);
        free(text);
    }
}
