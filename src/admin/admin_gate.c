/* The gate before the admin interface's TCP listener: see admin_gate.h. */
#include "admin_gate.h"

#include "core/clock.h"
#include "core/file_stamp.h"
#include "core/ip.h"
#include "core/log.h"
#include "core/memory.h"
#include "route/host.h"

#include <stdlib.h>

enum { MINUTE_MS = 60 * 1000 };

/* Fills evenly, up to a minute's worth; a request takes MINUTE_MS of it. */
struct bucket {
    char name[ADMIN_TOKEN_NAME_SIZE];
    int64_t level;
    int64_t mono_ms; /* 0: not used yet */
};

struct admin_gate {
    char *tokens_file;
    char **hosts;
    size_t host_count;
    unsigned requests_per_minute;
    struct admin_tokens tokens;
    struct file_stamp seen; /* of the file that `tokens` are of */
    bool looked;
    bool is_unread; /* it could not be read, which may pass without a change of it */
    struct bucket buckets[ADMIN_TOKENS_MAX];
    struct bucket strangers;
};

/* -- Tokens ------------------------------------------------------------------------------------ */

/* A token that is added or removed counts at once; who cannot be read lets nobody in. */
static void look_at_file(struct admin_gate *gate)
{
    struct error_text why;
    struct file_stamp stamp = file_stamp_read(gate->tokens_file);
    bool is_known = gate->looked && file_stamp_equal(&stamp, &gate->seen);
    if (is_known && !gate->is_unread)
        return;
    gate->looked = true;
    gate->seen = stamp;
    enum error error = admin_tokens_read(gate->tokens_file, &gate->tokens, &why);
    gate->is_unread = error == ERROR_SYSTEM;
    if (error != ERROR_OK && !is_known)
        log_event(LOG_WARNING, "admin_tokens", LOG_TEXT("reason", why.text),
                  LOG_TEXT("until_then", "nobody is let in over TCP"),
                  LOG_TEXT("hint", "`owui-spoa token add NAME` makes one"));
}

static struct slice bearer(const struct http_request *request)
{
    static const struct slice SCHEME = {"Bearer ", 7};
    struct slice value = http_request_header(request, "Authorization");
    if (value.size < SCHEME.size || !slice_equal_nocase(slice_head(value, SCHEME.size), SCHEME))
        return (struct slice){0};
    return slice_trim(slice_skip(value, SCHEME.size));
}

/* -- Rates ------------------------------------------------------------------------------------- */

static bool take(const struct admin_gate *gate, struct bucket *bucket)
{
    int64_t full = (int64_t)gate->requests_per_minute * MINUTE_MS;
    int64_t now = clock_mono_ms();
    if (bucket->mono_ms == 0) {
        bucket->level = full;
    } else {
        int64_t passed = now - bucket->mono_ms;
        bucket->level += (passed < MINUTE_MS ? passed : MINUTE_MS) * gate->requests_per_minute;
        if (bucket->level > full)
            bucket->level = full;
    }
    bucket->mono_ms = now;
    if (bucket->level < MINUTE_MS)
        return false;
    bucket->level -= MINUTE_MS;
    return true;
}

/* The token's; a place that nobody uses any more becomes a new token's. */
static struct bucket *bucket_of(struct admin_gate *gate, const struct admin_token *token)
{
    struct bucket *oldest = &gate->buckets[0];
    for (size_t i = 0; i < COUNT_OF(gate->buckets); i++) {
        struct bucket *bucket = &gate->buckets[i];
        if (bucket->mono_ms != 0 && strcmp(bucket->name, token->name) == 0)
            return bucket;
        if (bucket->mono_ms < oldest->mono_ms)
            oldest = bucket;
    }
    *oldest = (struct bucket){0};
    memcpy(oldest->name, token->name, sizeof(oldest->name));
    return oldest;
}

static void refuse_rate(const struct admin_gate *gate, struct admin_answer *answer)
{
    admin_refuse(answer, 429, "more than %u requests in a minute: try again later",
                 gate->requests_per_minute);
}

/* -- Where it comes from ----------------------------------------------------------------------- */

bool admin_gate_knows_host(const struct admin_gate *gate, struct slice value)
{
    struct host host;
    struct ip ip;
    if (value.size == 0 || host_parse(value, &host) != REFUSAL_NONE)
        return false;
    struct slice name = host_name(&host);
    if (host.is_address)
        return ip_parse(name, &ip) && ip_is_loopback(&ip);
    if (slice_equal(name, SLICE("localhost")))
        return true;
    for (size_t i = 0; gate != NULL && i < gate->host_count; i++)
        if (slice_equal(name, slice_of(gate->hosts[i])))
            return true;
    return false;
}

/* Browsers tell; programs say nothing, or what they like: these need a token that no browser has.
 */
static bool is_cross_site(const struct http_request *request)
{
    struct slice site = http_request_header(request, "Sec-Fetch-Site");
    struct slice origin = http_request_header(request, "Origin");
    struct slice host = http_request_header(request, "Host");
    if (site.size > 0 && !slice_equal(site, SLICE("same-origin")) &&
        !slice_equal(site, SLICE("none")))
        return true;
    if (origin.size == 0)
        return false;
    if (slice_starts_with(origin, SLICE("http://")))
        return !slice_equal_nocase(slice_skip(origin, 7), host);
    if (slice_starts_with(origin, SLICE("https://"))) /* a proxy with TLS is before us */
        return !slice_equal_nocase(slice_skip(origin, 8), host);
    return true;
}

/* -- The gate ---------------------------------------------------------------------------------- */

static bool is_get(const struct http_request *request)
{
    return slice_equal(request->method, SLICE("GET"));
}

static bool pass_token(struct admin_gate *gate, const struct http_request *request,
                       enum admin_access access, const struct admin_token **passed,
                       struct admin_answer *answer)
{
    look_at_file(gate);
    struct slice text = bearer(request);
    const struct admin_token *token = text.size > 0 ? admin_tokens_find(&gate->tokens, text) : NULL;
    if (!take(gate, token != NULL ? bucket_of(gate, token) : &gate->strangers)) {
        refuse_rate(gate, answer);
    } else if (token == NULL) {
        admin_refuse(answer, 401,
                     text.size > 0 ? "the token is not known"
                                   : "a token is needed: Authorization: Bearer TOKEN; "
                                     "`owui-spoa token add NAME` makes one");
    } else if (token->role != ADMIN_ROLE_ADMIN && !is_get(request) && access != ADMIN_ACCESS_READ) {
        admin_refuse(answer, 403, "the token \"%s\" may read, and change nothing", token->name);
    } else {
        *passed = token;
        return true;
    }
    return false;
}

bool admin_gate_pass(struct admin_gate *gate, const struct http_request *request,
                     enum admin_access access, const struct admin_token **passed,
                     struct admin_answer *answer)
{
    *passed = NULL;
    if (!admin_gate_knows_host(gate, http_request_header(request, "Host"))) {
        admin_refuse(answer, 421,
                     "this is not known by that name: \"admin_http\": {\"hosts\": [...]} lists "
                     "those besides localhost");
        return false;
    }
    if (!is_get(request) && is_cross_site(request)) {
        admin_refuse(answer, 403, "another site's page may not ask for that");
        return false;
    }
    if (access != ADMIN_ACCESS_OPEN)
        return pass_token(gate, request, access, passed, answer);
    if (take(gate, &gate->strangers))
        return true;
    refuse_rate(gate, answer);
    return false;
}

struct admin_gate *admin_gate_new(const struct admin_tcp_settings *settings)
{
    struct admin_gate *gate = memory_new(sizeof(*gate));
    gate->tokens_file = memory_copy_text(slice_of(settings->tokens_file));
    gate->requests_per_minute = settings->requests_per_minute;
    gate->hosts = memory_new((settings->host_count + 1) * sizeof(*gate->hosts));
    for (size_t i = 0; i < settings->host_count; i++)
        gate->hosts[gate->host_count++] = memory_copy_text(slice_of(settings->hosts[i]));
    return gate;
}

void admin_gate_free(struct admin_gate *gate)
{
    if (gate == NULL)
        return;
    memory_free_texts(gate->hosts, gate->host_count);
    free(gate->tokens_file);
    free(gate);
}
