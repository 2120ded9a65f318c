/* What every ACK of a tenant carries, encoded once: answer_prepare() of agent/answer.h. */
#include "action_write.h"
#include "limits.h"

#include "core/memory.h"
#include "core/text_stream.h"
#include "route/label_map.h"
#include "route/replica.h"

#include <stdlib.h>

enum {
    /* Set by every answer that forwards: the client's address (as bytes, where its text finds no
     * room) and the port that it sees. */
    CLIENT_RESERVED_BYTES = (3 + 3 + 1 + 16) + (3 + 9 + 1 + 3),
    /* That there is more, and a cut prefix. */
    STRIP_RESERVED_BYTES = (3 + 5 + 1) + (3 + 6 + 1 + 1),
    /* A path whose normal form is this long, or as much of it as a changed Host leaves. A longer
     * one that is not in normal form may find no room, and its request is then refused. */
    PATH_RESERVED_BYTES = (3 + 5 + 2) + 64,
    /* The cookie that names a replica. */
    STICK_RESERVED_BYTES = (3 + 6 + 2) + REPLICA_COOKIE_BYTES,
    /* Around a changed Host: action, name, length, brackets and ":65535". */
    HOST_AROUND_BYTES = (3 + 5 + 3) + 8,
    SPENT_RESERVED_BYTES = 3 + 6 + 1,
    SHARE_RESERVED_BYTES = (3 + 4 + 2) + 2,
    RESPONSE_SET_BYTES = 3 + 3 + 1 + 1,
    PREPARED_MAX_BYTES = (1 << 9) - 1, /* of the brief's bit-fields */
    HSTS_MAX_BYTES = (1 << 6) - 1,
};
static_assert((int)SPOP_ACTIONS_MAX_BYTES <= (int)PREPARED_MAX_BYTES,
              "a prepared answer's size does not fit");

/* How long what is told of a user is reckoned to be beside a changed host and path. Longer values,
 * up to what an identity may hold, fit where host and path are as the client sent them, which is
 * the rule. Of a changed host and path the longer one is reckoned: browsers change neither. */
static const size_t USUAL_BYTES[IDENTITY_VALUE__MAX] = {
    [IDENTITY_EMAIL] = 56, [IDENTITY_NAME] = 32, [IDENTITY_GROUPS] = 40, [IDENTITY_ROLE] = 8};

static void write_upstream(const struct upstream *upstream, struct writer *actions)
{
    action_set_ip(actions, SLICE("dst"), &upstream->address);
    action_set_number(actions, slice_of(upstream_scheme_port(upstream->scheme)), upstream->port);
    if (upstream->scheme != UPSTREAM_HTTP)
        action_set_text(actions, SLICE("sni"), slice_of(upstream->server_name));
}

/* An instance is told by its parent's name: its requests are the parent's. */
static struct slice public_name(const struct tenant *tenant)
{
    return slice_of(tenant->instance_of != NULL ? tenant->instance_of->name : tenant->name);
}

static void write_plain(const struct tenant *tenant, struct writer *actions)
{
    action_set_text(actions, SLICE("tenant"), public_name(tenant));
    if (tenant->secures_cookies || tenant->nosniffs)
        action_set_number(actions, SLICE("rs"), tenant_response_set(tenant));
    if (tenant->backend != NULL)
        action_set_text(actions, SLICE("backend"), slice_of(tenant->backend));
    else if (tenant->replicas == NULL)
        write_upstream(&tenant->upstream, actions);
}

static bool has_dynamic_headers(const struct tenant *tenant)
{
    for (size_t i = 0; i < tenant->header_count; i++)
        if (tenant->headers[i].value.dynamic)
            return true;
    return false;
}

static bool headers_tell_ip(const struct tenant *tenant)
{
    for (size_t i = 0; i < tenant->header_count; i++) {
        const struct template *value = &tenant->headers[i].value;
        for (size_t part = 0; part < value->part_count; part++)
            if (value->parts[part].placeholder == HEADER_CLIENT_IP)
                return true;
    }
    return false;
}

/* How many bytes the headers take at most, in the larger of their two forms, which is the one with
 * a variable for each. */
static size_t largest_headers(const struct tenant *tenant,
                              const size_t identity_bytes[static IDENTITY_VALUE__MAX],
                              bool *too_big)
{
    static const char FILL[HOST_MAX_BYTES] = {0};
    uint8_t buffer[SPOP_ACTIONS_MAX_BYTES];
    struct writer actions = writer_of(buffer, sizeof(buffer));
    struct template_values largest = {.value = {
                                          [HEADER_CLIENT_IP] = {FILL, IP_TEXT_SIZE - 1},
                                          [HEADER_PROTO] = {FILL, sizeof("https") - 1},
                                          [HEADER_HOST] = {FILL, tenant_longest_host_bytes(tenant)},
                                          [HEADER_TENANT] = public_name(tenant),
                                          [HEADER_LABEL] = {FILL, LABEL_MAX_BYTES},
                                      }};
    for (unsigned i = 0; i < IDENTITY_VALUE__MAX; i++)
        largest.value[HEADER_EMAIL + i] = slice_from(FILL, identity_bytes[i]);
    action_set_header_slots(&actions, tenant, false, &largest);
    action_set_header_slots(&actions, tenant, true, &largest);
    *too_big = actions.failed;
    return writer_used(&actions);
}

/* Returns how many bytes it takes. */
static size_t write_hsts(const struct tenant *tenant, uint8_t buffer[static HSTS_MAX_BYTES])
{
    struct writer actions = writer_of(buffer, HSTS_MAX_BYTES);
    if (tenant->hsts != NULL)
        action_set_text(&actions, SLICE("hsts"), slice_of(tenant->hsts));
    assert(!actions.failed);
    return writer_used(&actions);
}

/* An address that is not known yet will take room, and a name that has one may get a longer one: so
 * much is left that no change of an address can make the tenant another that does not fit. */
static size_t unwritten_address(const struct upstream *upstream)
{
    enum { NAMED_BYTES = 3 + 4 + 1, LONGER_BYTES = 16 - 4 };
    switch (upstream->address.family) {
    case IP_NONE: return NAMED_BYTES + 16;
    case IP_V4: return upstream_has_name(upstream) ? LONGER_BYTES : 0;
    case IP_V6: break;
    }
    return 0;
}

/* The longest name that an instance of the tenant tells an upstream with TLS; of one that is too
 * long for a host there is no instance. */
static size_t longest_server_name(const struct tenant *tenant)
{
    static const char FILL[LABEL_MAX_BYTES] = {0};
    const struct template_values longest = {
        .value = {[HEADER_LABEL] = slice_from(FILL, sizeof(FILL)),
                  [HEADER_TENANT] = slice_of(tenant->name)}};
    if (tenant->upstream.server_name != NULL)
        return strlen(tenant->upstream.server_name);
    if (tenant->labels != NULL)
        return tenant->labels->https_name_size;
    return template_size(&tenant->upstream.host_template, &longest);
}

static size_t upstream_size(const struct upstream *upstream)
{
    uint8_t buffer[SPOP_ACTIONS_MAX_BYTES];
    struct writer actions = writer_of(buffer, sizeof(buffer));
    write_upstream(upstream, &actions);
    assert(!actions.failed);
    return writer_used(&actions);
}

/* What an instance says of its upstream beyond what the tenant itself does, at most. */
static size_t unwritten_instance(const struct tenant *tenant)
{
    char name[HOST_MAX_BYTES + 1] = {0};
    struct upstream largest = {.address = {.family = IP_V6}, .port = UINT16_MAX};
    largest.scheme = tenant->upstream.scheme;
    if (tenant->labels != NULL && tenant->labels->has_https)
        largest.scheme = UPSTREAM_HTTPS_NO_VERIFY; /* whose port has the longest name */
    memset(name, 'n', size_min(longest_server_name(tenant), HOST_MAX_BYTES));
    largest.server_name = name;
    return upstream_size(&largest) - upstream_size(&tenant->upstream);
}

/* What an answer will say of the upstream beyond what is in the tenant's part. */
static size_t unwritten_upstream(const struct tenant *tenant)
{
    size_t largest = 0;
    if (tenant->backend != NULL)
        return 0;
    if (tenant->upstream.per_label)
        return unwritten_instance(tenant);
    if (tenant->replicas == NULL)
        return unwritten_address(&tenant->upstream);
    for (size_t i = 0; i < tenant->replicas->count; i++) {
        const struct replica *replica = &tenant->replicas->items[i];
        size_t size = replica->prepared_size + unwritten_address(&replica->upstream);
        largest = size > largest ? size : largest;
    }
    return largest + (replica_set_uses_cookie(tenant->replicas) ? STICK_RESERVED_BYTES : 0);
}

/* What an answer is made of besides headers, for people: which of a tenant's keys takes how much.
 */
struct part {
    const char *what;
    size_t bytes;
    bool is_optional; /* a tenant can do without */
};

struct parts {
    struct part items[8];
    size_t count;
    size_t bytes;
};

static void add_part(struct parts *parts, const char *what, size_t bytes, bool is_optional)
{
    if (bytes == 0)
        return;
    assert(parts->count < COUNT_OF(parts->items));
    parts->items[parts->count++] = (struct part){what, bytes, is_optional};
    parts->bytes += bytes;
}

static const char *upstream_key(const struct tenant *tenant)
{
    if (tenant->backend != NULL)
        return "\"backend\"";
    return tenant->replicas != NULL ? "\"replicas\"" : "\"upstream\"";
}

/* HSTS is not reckoned: it is left out where there is no room for it. */
static struct parts parts_of(const struct tenant *tenant, size_t plain_size)
{
    struct parts parts = {.count = 0};
    const struct policy *policy = tenant->policy;
    size_t name = 3 + spop_string_size(6) + 1 + spop_string_size(public_name(tenant).size);
    size_t response = tenant_response_set(tenant) != 0 ? RESPONSE_SET_BYTES : 0;
    add_part(&parts, "the tenant's name", name, false);
    add_part(&parts, upstream_key(tenant),
             plain_size - name - response + unwritten_upstream(tenant), false);
    add_part(&parts, "\"secure_cookies\" and \"nosniff\"", response, true);
    add_part(&parts, "\"limits\" and \"timeouts\"", limits_largest(tenant), true);
    add_part(&parts, "a share of the clients in \"routes\"",
             policy != NULL && policy->has_shares ? SHARE_RESERVED_BYTES : 0, true);
    add_part(&parts, "\"identity\"", tenant->identity != NULL ? SPENT_RESERVED_BYTES : 0, false);
    add_part(&parts, "the client's address and port", CLIENT_RESERVED_BYTES, false);
    return parts;
}

/* Of a request whose host or path is spelled in another way than the upstream is told. */
static size_t changed_size(const struct tenant *tenant)
{
    size_t host = HOST_AROUND_BYTES + tenant_longest_host_bytes(tenant);
    size_t longer = host > PATH_RESERVED_BYTES ? host : PATH_RESERVED_BYTES;
    return longer + (tenant_strips(tenant) ? STRIP_RESERVED_BYTES : 0);
}

/* "the tenant's name 16, "upstream" 51": what takes up the room. */
static char *told_parts(const struct parts *parts)
{
    struct text_stream text;
    text_stream_open(&text);
    for (size_t i = 0; i < parts->count; i++)
        fprintf(text.out, "%s%s %zu", i > 0 ? ", " : "", parts->items[i].what,
                parts->items[i].bytes);
    return text_stream_close(&text);
}

/* How `missing` bytes may be found. */
static char *told_ways(const struct parts *parts, size_t missing)
{
    struct text_stream text;
    text_stream_open(&text);
    fprintf(text.out, "have fewer headers, or shorter names and values");
    for (size_t i = 0; i < parts->count; i++)
        if (parts->items[i].is_optional && parts->items[i].bytes >= missing)
            fprintf(text.out, ", or do without %s", parts->items[i].what);
    return text_stream_close(&text);
}

static enum error check_room(const struct tenant *tenant, const struct parts *parts,
                             const size_t identity_bytes[static IDENTITY_VALUE__MAX],
                             struct error_text *text)
{
    bool too_big;
    size_t headers = largest_headers(tenant, identity_bytes, &too_big);
    size_t left = parts->bytes < SPOP_ACTIONS_MAX_BYTES ? SPOP_ACTIONS_MAX_BYTES - parts->bytes : 0;
    if (!too_big && headers + parts->bytes <= SPOP_ACTIONS_MAX_BYTES)
        return ERROR_OK;
    char *told = told_parts(parts);
    char *ways =
        told_ways(parts, too_big ? SIZE_MAX : headers + parts->bytes - SPOP_ACTIONS_MAX_BYTES);
    enum error error = error_set(
        text, ERROR_TOO_BIG,
        "the tenant's headers can take %s%zu bytes of an answer, and there is room for "
        "%zu beside what else it has (%s); %s",
        too_big ? "more than " : "", too_big ? SPOP_ACTIONS_MAX_BYTES : headers, left, told, ways);
    free(told);
    free(ways);
    return error;
}

static enum error check_size(const struct tenant *tenant, size_t plain_size,
                             struct error_text *text)
{
    size_t largest[IDENTITY_VALUE__MAX];
    for (unsigned i = 0; i < IDENTITY_VALUE__MAX; i++)
        largest[i] = identity_value_max_bytes((enum identity_value)i);
    const struct parts parts = parts_of(tenant, plain_size);
    struct parts changed = parts;
    add_part(&changed, "a host or path that is spelled otherwise", changed_size(tenant), false);
    enum error error = check_room(tenant, &changed, USUAL_BYTES, text);
    return error != ERROR_OK ? error : check_room(tenant, &parts, largest, text);
}

static void keep_replica(struct slice written, struct replica *replica)
{
    free(replica->prepared);
    replica->prepared = memory_new(written.size);
    replica->prepared_size = (uint16_t)written.size;
    memcpy(replica->prepared, written.data, written.size);
}

static enum error prepare_replicas(struct tenant *tenant, struct error_text *text)
{
    uint8_t buffer[SPOP_ACTIONS_MAX_BYTES];
    for (size_t i = 0; tenant->replicas != NULL && i < tenant->replicas->count; i++) {
        struct replica *replica = &tenant->replicas->items[i];
        struct writer actions = writer_of(buffer, sizeof(buffer));
        write_upstream(&replica->upstream, &actions);
        if (actions.failed)
            return error_set(text, ERROR_TOO_BIG, "a replica's name is too long");
        keep_replica(writer_written(&actions), replica);
    }
    if (tenant->replicas != NULL)
        replica_set_prepare(tenant->replicas);
    return ERROR_OK;
}

/* What decisions ask of the tenant. */
static void mark(const struct tenant *tenant, struct tenant_brief *brief)
{
    brief->dynamic_headers = has_dynamic_headers(tenant);
    brief->headers_tell_ip = headers_tell_ip(tenant);
    brief->asks_user = tenant->identity != NULL;
    brief->token_in_authorization =
        tenant->identity != NULL && tenant->identity->from == IDENTITY_FROM_JWT &&
        strcmp(tenant->identity->token_argument, "jh_authorization") == 0;
    brief->has_policy = tenant->policy != NULL;
    brief->https_redirect = tenant->https_redirect;
    brief->canonical_host = tenant->canonical_host;
    brief->may_be_out = tenant->maintenance != NULL || tenant->suspended != NULL;
    brief->is_by_label = tenant->backend == NULL && tenant->upstream.per_label;
    brief->is_reachable = tenant->backend != NULL || tenant->upstream.address.family != IP_NONE;
}

/* Encodes and keeps what fits, as was checked. `plain` has been written without headers. */
static void keep(struct tenant *tenant, const struct writer *plain)
{
    struct tenant_brief *brief = tenant->brief;
    uint8_t buffer[SPOP_ACTIONS_MAX_BYTES];
    const struct template_values values = {.value = {[HEADER_TENANT] = public_name(tenant)}};
    uint8_t hsts[HSTS_MAX_BYTES];
    struct writer headers = writer_of(buffer, sizeof(buffer));
    struct writer slots = *plain;
    action_set_header_slots(&slots, tenant, false, &values);
    if (!brief->dynamic_headers && tenant->header_count > 0)
        action_set_headers(&headers, tenant, &values);
    assert(!slots.failed && !headers.failed);

    size_t answer_size = writer_used(&slots) + writer_used(&headers);
    size_t hsts_size = write_hsts(tenant, hsts);
    uint8_t *kept = tenant_prepare(tenant, answer_size + hsts_size);
    brief->plain_size = (unsigned)writer_used(plain) & PREPARED_MAX_BYTES;
    brief->slots_size = (unsigned)writer_used(&slots) & PREPARED_MAX_BYTES;
    brief->headers_size = (unsigned)writer_used(&headers) & PREPARED_MAX_BYTES;
    brief->hsts_size = (unsigned)hsts_size & HSTS_MAX_BYTES;
    memcpy(kept, slots.start, writer_used(&slots));
    memcpy(kept + writer_used(&slots), headers.start, writer_used(&headers));
    memcpy(kept + answer_size, hsts, hsts_size);
}

enum error answer_prepare(struct tenant *tenant, struct error_text *text)
{
    uint8_t buffer[SPOP_ACTIONS_MAX_BYTES];
    struct writer plain = writer_of(buffer, sizeof(buffer));
    write_plain(tenant, &plain);
    if (plain.failed)
        return error_set(text, ERROR_TOO_BIG, "the tenant's name and upstream are too long");
    for (size_t i = 0; i < tenant->header_count; i++)
        tenant->headers[i].variable_size = (uint8_t)strlen(tenant->headers[i].variable);
    limits_prepare(tenant);
    enum error error = prepare_replicas(tenant, text);
    if (error != ERROR_OK)
        return error;
    error = check_size(tenant, writer_used(&plain), text);
    if (error != ERROR_OK)
        return error;
    mark(tenant, tenant->brief);
    keep(tenant, &plain);
    return ERROR_OK;
}
