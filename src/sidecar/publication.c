/* Challenges on their way out: see publication.h. */
#include "publication.h"

#include "core/memory.h"
#include "sidecar/loopback.h"
#include "sidecar_state.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    REASON_SIZE = 400,
    EXCERPT_BYTES = 60,
    LOOKS = 3, /* where no answer comes in time, before it counts: the machine may be busy */
    /* Each telling is a snapshot that every loop turns to: orders that come together share one, and
     * what is over, and public anyway, waits for the next or for this long. */
    PUBLISH_AFTER_MS = 3,
    WITHDRAW_AFTER_MS = 1000,
};

/* One challenge, to be looked at. */
struct look {
    struct publication *publication;
    char *host;
    char *path;
    char *key_authorization;
    size_t bind;                    /* of HAProxy's, through which it is looked at */
    unsigned looks;                 /* there */
    struct http_exchange *exchange; /* under way */
    char reason[REASON_SIZE];       /* what is wrong on the first bind; "": nothing, or who knows */
};

/* The challenges of one order. */
struct publication {
    struct publications *publications;
    struct publication *next;
    uint64_t ticket;
    uint64_t number; /* out when this one is */
    bool out;
    bool looking;
    struct look *looks;
    size_t look_count;
    size_t looks_left;
    char reason[REASON_SIZE]; /* why the CA need not be troubled; "": none */
};

struct publications {
    struct sidecar *sidecar;
    void (*tell)(void *context, uint64_t number, const struct acme_challenge *challenges,
                 size_t count);
    void *context;
    uint64_t told;
    struct main_timer *timer;
    enum { TELL_NOTHING, TELL_SOME_TIME, TELL_SOON } due;
    struct loopback_door *binds; /* where HAProxy listens */
    size_t bind_count;           /* 0: challenges are not looked at */
    struct publication *first;   /* oldest first */
};

/* -- Looking ----------------------------------------------------------------------------------- */

static void publication_free(struct publication *publication)
{
    for (size_t i = 0; i < publication->look_count; i++) {
        struct look *look = &publication->looks[i];
        http_exchange_cancel(look->exchange);
        free(look->host);
        free(look->path);
        free(look->key_authorization);
    }
    free(publication->looks);
    free(publication);
}

static void unlink_publication(struct publication *publication)
{
    struct publication **link = &publication->publications->first;
    while (*link != publication)
        link = &(*link)->next;
    *link = publication->next;
}

static void conclude(struct publication *publication)
{
    struct acme_worker *worker = publication->publications->sidecar->worker;
    uint64_t ticket = publication->ticket;
    char reason[REASON_SIZE];
    memcpy(reason, publication->reason, sizeof(reason));
    unlink_publication(publication);
    publication_free(publication);
    if (reason[0] == '\0')
        acme_worker_published(worker, ticket);
    else
        acme_worker_not_published(worker, ticket, reason);
}

/* What came, fit for a log: one line, no control bytes. */
static void print_excerpt(struct slice body, char text[static EXCERPT_BYTES + 1])
{
    size_t size = size_min(body.size, EXCERPT_BYTES);
    for (size_t i = 0; i < size; i++)
        text[i] = body.data[i] >= ' ' && body.data[i] < 0x7f ? body.data[i] : '.';
    text[size] = '\0';
}

#define WRITE_IT "write it with `owui-spoa haproxy-config` and reload HAProxy"

/* Why the CA would not find the key authorization, and what to do; empty when it would. */
static void judge(const struct look *look, const struct http_probe_answer *answer,
                  char reason[static REASON_SIZE])
{
    const char *http = look->publication->publications->binds[look->bind].address;
    char excerpt[EXCERPT_BYTES + 1];
    reason[0] = '\0';
    switch (answer->result) {
    case HTTP_PROBE_ANSWERED: break;
    case HTTP_PROBE_REFUSED:
        snprintf(reason, REASON_SIZE,
                 "%s: connection refused by %s, where HAProxy should listen: start HAProxy, "
                 "correct haproxy.http, or set acme.preflight.haproxy to false if it is not to be "
                 "reached from here",
                 look->host, http);
        return;
    default:
        snprintf(reason, REASON_SIZE, "%s: no answer through HAProxy at %s: %s", look->host, http,
                 answer->failure);
        return;
    }
    print_excerpt(answer->status < 400 && answer->status >= 300 ? answer->location : answer->body,
                  excerpt);
    if (answer->status == 200 &&
        slice_equal(slice_trim(answer->body), slice_of(look->key_authorization)))
        return;
    if (answer->status >= 300 && answer->status < 400)
        snprintf(reason, REASON_SIZE,
                 "%s: HAProxy redirects the challenge to %s: its rules for challenges must come "
                 "before all others; " WRITE_IT,
                 look->host, excerpt);
    else if (answer->status == 200)
        snprintf(reason, REASON_SIZE,
                 "%s: through HAProxy the challenge has another answer, \"%s\": HAProxy asks "
                 "somebody else; " WRITE_IT,
                 look->host, excerpt);
    else
        snprintf(reason, REASON_SIZE,
                 "%s: through HAProxy the challenge is answered with %d: HAProxy asks somebody "
                 "else, or nobody; " WRITE_IT,
                 look->host, answer->status);
}

static void on_looked(void *context, const struct http_probe_answer *answer);

/* False for want of memory. */
static bool start_look(struct look *look)
{
    const struct publications *publications = look->publication->publications;
    const struct loopback_door *bind = &publications->binds[look->bind];
    const struct http_probe probe = {.host = look->host,
                                     .connect_to = bind->address,
                                     .path = look->path,
                                     .proxy_line = bind->needs_proxy_line};
    look->looks++;
    look->exchange = http_client_probe(publications->sidecar->probes, &probe, on_looked, look);
    return look->exchange != NULL;
}

/* True when there is another bind to look through. */
static bool start_elsewhere(struct look *look)
{
    look->looks = 0;
    return ++look->bind < look->publication->publications->bind_count && start_look(look);
}

/* One bind that answers as it should is enough: others may not be for clients, or not to be reached
 * from here. */
static void on_looked(void *context, const struct http_probe_answer *answer)
{
    struct look *look = context;
    struct publication *publication = look->publication;
    char reason[REASON_SIZE];
    look->exchange = NULL;
    if (answer->result == HTTP_PROBE_TIMED_OUT && look->looks < LOOKS && start_look(look))
        return;
    judge(look, answer, reason);
    if (look->bind == 0 || reason[0] == '\0')
        memcpy(look->reason, reason, sizeof(look->reason));
    if (reason[0] != '\0' && start_elsewhere(look))
        return;
    if (publication->reason[0] == '\0')
        memcpy(publication->reason, look->reason, sizeof(publication->reason));
    if (--publication->looks_left == 0)
        conclude(publication);
}

/* For want of memory the CA looks without us. */
static void look_at(struct publication *publication)
{
    publication->looking = true;
    for (size_t i = 0; i < publication->look_count; i++)
        publication->looks_left += start_look(&publication->looks[i]);
}

/* The first that has something to be done; doing it may change the list. */
static struct publication *next_to_do(const struct publications *publications)
{
    struct publication *publication = publications->first;
    while (publication != NULL && (!publication->out || publication->looking))
        publication = publication->next;
    return publication;
}

static void go_on(struct publications *publications)
{
    struct publication *publication;
    while ((publication = next_to_do(publications)) != NULL) {
        if (publications->bind_count > 0)
            look_at(publication);
        if (publication->looks_left == 0)
            conclude(publication);
    }
}

/* -- Telling ----------------------------------------------------------------------------------- */

static void tell_all(struct publications *publications)
{
    const struct challenges *challenges = publications->sidecar->challenges;
    size_t count = challenges_count(challenges);
    publications->told++;
    if (publications->tell == NULL) {
        publications_out(publications, publications->told);
        return;
    }
    struct acme_challenge *all = memory_new(count * sizeof(*all));
    for (size_t i = 0; i < count; i++)
        challenges_at(challenges, i, &all[i].token, &all[i].key_authorization);
    publications->tell(publications->context, publications->told, all, count);
    free(all);
}

static void on_due(void *context)
{
    struct publications *publications = context;
    publications->due = TELL_NOTHING;
    tell_all(publications);
}

static void tell_later(struct publications *publications)
{
    if (publications->due != TELL_NOTHING)
        return;
    publications->due = TELL_SOME_TIME;
    main_timer_once(publications->timer, WITHDRAW_AFTER_MS);
}

static void tell_soon(struct publications *publications)
{
    if (publications->due == TELL_SOON)
        return;
    publications->due = TELL_SOON;
    main_timer_once(publications->timer, PUBLISH_AFTER_MS);
}

static struct publication *publication_new(struct publications *publications, uint64_t ticket,
                                           const struct acme_challenge *challenges, size_t count)
{
    struct publication *publication = memory_new(sizeof(*publication));
    publication->publications = publications;
    publication->ticket = ticket;
    publication->number = publications->told + 1;
    publication->looks = memory_new(count * sizeof(publication->looks[0]));
    publication->look_count = count;
    for (size_t i = 0; i < count; i++)
        publication->looks[i] = (struct look){
            .publication = publication,
            .host = memory_copy_text(slice_of(challenges[i].host)),
            .path = memory_format("/.well-known/acme-challenge/%s", challenges[i].token),
            .key_authorization = memory_copy_text(slice_of(challenges[i].key_authorization)),
        };
    struct publication **last = &publications->first;
    while (*last != NULL)
        last = &(*last)->next;
    *last = publication;
    return publication;
}

void publications_publish(void *context, uint64_t ticket, const struct acme_challenge *challenges,
                          size_t count)
{
    struct sidecar *sidecar = context;
    struct publications *publications = sidecar->publications;
    for (size_t i = 0; i < count; i++) {
        if (challenges_set(sidecar->challenges, slice_of(challenges[i].token),
                           slice_of(challenges[i].key_authorization)) != ERROR_OK) {
            acme_worker_not_published(sidecar->worker, ticket, "the CA's token is not base64url");
            return;
        }
    }
    publication_new(publications, ticket, challenges, count);
    tell_soon(publications);
}

void publications_withdraw(void *context, const char *token)
{
    struct sidecar *sidecar = context;
    challenges_unset(sidecar->challenges, slice_of(token));
    tell_later(sidecar->publications);
}

void publications_out(struct publications *publications, uint64_t number)
{
    for (struct publication *each = publications->first; each != NULL; each = each->next)
        each->out |= each->number <= number;
    go_on(publications);
}

struct publications *publications_new(struct sidecar *sidecar,
                                      const struct sidecar_settings *settings)
{
    struct publications *publications = memory_new(sizeof(*publications));
    publications->sidecar = sidecar;
    publications->timer = main_timer_new(sidecar->loop, on_due, publications);
    publications->tell = settings->on_challenges;
    publications->context = settings->context;
    publications->bind_count = loopback_doors_of_binds(
        settings->http, settings->runtime_count > 0 ? settings->http_count : 0,
        settings->proxy_protocol_from, settings->proxy_protocol_from_count, &publications->binds);
    return publications;
}

void publications_free(struct publications *publications)
{
    if (publications == NULL)
        return;
    while (publications->first != NULL) {
        struct publication *gone = publications->first;
        publications->first = gone->next;
        publication_free(gone);
    }
    main_timer_free(publications->timer);
    loopback_doors_free(publications->binds, publications->bind_count);
    free(publications);
}
