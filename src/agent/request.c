/* The arguments of the messages `route` and `acme`: see agent/answer.h. */
#include "agent/answer.h"

/* The arguments that must be there; HAProxy sends one that it cannot compute as NULL. */
enum { HAVE_SRC = 1, HAVE_TLS = 2, HAVE_HOST = 4, HAVE_PATH = 8, HAVE_ALL = 15 };

static const char SOURCE_PREFIXES[CLIENT_SOURCE__MAX][3] = {
    [CLIENT_X_FORWARDED_FOR] = "xff",  [CLIENT_FORWARDED] = "fwd",      [CLIENT_X_REAL_IP] = "xri",
    [CLIENT_CF_CONNECTING_IP] = "cfi", [CLIENT_TRUE_CLIENT_IP] = "tci",
};

static bool is(struct slice name, const char *text)
{
    return memcmp(name.data, text, name.size) == 0;
}

static struct slice text_of(const struct spop_value *value)
{
    return value->type == SPOP_STRING ? value->bytes : (struct slice){0};
}

/* HAProxy sends no address as a text, some of which have the size of one. */
static bool take_peer(struct client_question *client, const struct spop_value *value)
{
    return (value->type == SPOP_IPV4 || value->type == SPOP_IPV6) &&
           ip_from_bytes(value->bytes, &client->peer);
}

static uint32_t count_of(const struct spop_value *value)
{
    if (value->type < SPOP_INT32 || value->type > SPOP_UINT64 || value->integer < 0)
        return 0;
    return value->integer > UINT32_MAX ? UINT32_MAX : (uint32_t)value->integer;
}

/* "xff1", "fwdn", ...: what trusted proxies tell. */
static void take_source(struct client_question *client, struct slice name,
                        const struct spop_value *value)
{
    for (unsigned source = 0; source < CLIENT_SOURCE__MAX; source++) {
        if (memcmp(name.data, SOURCE_PREFIXES[source], sizeof(SOURCE_PREFIXES[source])) != 0)
            continue;
        char which = name.data[3];
        if (which == 'n')
            client->line_count[source] = count_of(value);
        else if (which >= '1' && which <= '0' + CLIENT_MAX_LINES)
            client->lines[source][which - '1'] = text_of(value);
        return;
    }
}

/* "jh_authorization", "jc_token": a token; "jhn_...", "jcn_...": how many headers or cookies have
 * its name. The count comes behind the token. */
static void take_token(struct identity_question *question, struct slice name,
                       const struct spop_value *value)
{
    struct slice base = slice_skip(name, 2);
    if (base.data[0] == 'n') {
        for (size_t i = 0; i < question->token_count; i++) {
            struct identity_token *token = &question->tokens[i];
            if (token->argument.data[1] == name.data[1] &&
                slice_equal(slice_skip(token->argument, 2), slice_skip(base, 1)))
                token->is_repeated = count_of(value) > 1;
        }
    } else if (base.data[0] == '_' && question->token_count < IDENTITY_TOKENS_MAX) {
        question->tokens[question->token_count++] =
            (struct identity_token){.argument = name, .text = text_of(value)};
    }
}

/* What may tell who the user is. */
static void take_identity(struct identity_question *question, struct slice name,
                          const struct spop_value *value)
{
    if (name.size == 4 && is(name, "cert"))
        question->certificate = value->type == SPOP_BINARY ? value->bytes : (struct slice){0};
    else if (name.size == 5 && is(name, "strip"))
        question->stripped = text_of(value);
    else if (name.size > 3 && name.data[0] == 'j' && (name.data[1] == 'h' || name.data[1] == 'c'))
        take_token(question, name, value);
}

/* A name of two to four bytes as a number: what is compared with all known ones. */
#define NAME2(A, B)       ((uint32_t)(A) | (uint32_t)(B) << 8)
#define NAME3(A, B, C)    (NAME2(A, B) | (uint32_t)(C) << 16)
#define NAME4(A, B, C, D) (NAME3(A, B, C) | (uint32_t)(D) << 24)

static void take_2(struct request *request, const char *name, const struct spop_value *value)
{
    switch (NAME2(name[0], name[1])) {
    case NAME2('h', 'b'): request->headers_in_one = value->boolean; break;
    case NAME2('c', 'k'): request->cookie = text_of(value); break;
    case NAME2('u', 'p'): request->upgrade = text_of(value); break;
    default: break;
    }
}

static unsigned take_3(struct request *request, const char *name, const struct spop_value *value)
{
    struct client_question *client = &request->client;
    switch (NAME3(name[0], name[1], name[2])) {
    case NAME3('s', 'r', 'c'): return take_peer(client, value) ? HAVE_SRC : 0;
    case NAME3('t', 'l', 's'): client->peer_tls = value->boolean; return HAVE_TLS;
    case NAME3('x', 'f', 'p'): client->forwarded_proto = text_of(value); break;
    case NAME3('r', 'i', 'd'): client->request_id = text_of(value); break;
    case NAME3('u', 'i', 'd'): request->unique_id = text_of(value); break;
    case NAME3('o', 'r', 'g'): request->origin = text_of(value); break;
    case NAME3('s', 'n', 'i'): request->sni = text_of(value); break;
    case NAME3('u', 't', 'k'): request->token_claims = text_of(value); break;
    case NAME3('u', 'a', 'u'): request->authorization_claims = text_of(value); break;
    case NAME3('r', 'e', 'p'):
        request->replica_cookie = text_of(value);
        request->replica_told = true;
        break;
    case NAME3('s', 'h', 'r'): request->share_cookie = text_of(value); break;
    case NAME3('a', 't', 'h'):
        request->bearer = text_of(value);
        request->credential_told = true;
        break;
    case NAME3('t', 'o', 'k'): request->token = text_of(value); break;
    case NAME3('k', 'e', 'y'): request->api_keys = count_of(value); break;
    default: break;
    }
    return 0;
}

static unsigned take_4(struct request *request, struct slice name, const struct spop_value *value)
{
    switch (NAME4(name.data[0], name.data[1], name.data[2], name.data[3])) {
    case NAME4('h', 'o', 's', 't'): request->host = text_of(value); return HAVE_HOST;
    case NAME4('p', 'a', 't', 'h'): request->path = text_of(value); return HAVE_PATH;
    case NAME4('m', 'e', 't', 'h'): request->method = text_of(value); break;
    default:
        take_source(&request->client, name, value);
        take_identity(&request->identity, name, value);
        break;
    }
    return 0;
}

/* Returns the HAVE_ bit of the argument, or 0. */
static unsigned take_argument(struct request *request, struct slice name,
                              const struct spop_value *value)
{
    switch (name.size) {
    case 0:
    case 1: return 0;
    case 2: take_2(request, name.data, value); return 0;
    case 3: return take_3(request, name.data, value);
    case 4: return take_4(request, name, value);
    default: take_identity(&request->identity, name, value); return 0;
    }
}

/* HAProxy numbers lines from the last one; the question has them in the order of the request. */
static void order_lines(struct client_question *client)
{
    for (unsigned source = 0; source < CLIENT_SOURCE__MAX; source++) {
        struct slice *lines = client->lines[source];
        size_t count = size_min(client->line_count[source], CLIENT_MAX_LINES);
        for (size_t i = 0; i < count / 2; i++) {
            struct slice line = lines[i];
            lines[i] = lines[count - 1 - i];
            lines[count - 1 - i] = line;
        }
    }
}

HOT bool request_decode(const struct spop_notify *notify, struct request *request)
{
    struct reader messages = reader_of(notify->messages);
    struct spop_message message;
    struct slice name;
    struct spop_value value;
    unsigned have = 0;

    *request = (struct request){0};
    if (!spop_message_next(&messages, &message) || !slice_equal(message.name, SLICE("route")))
        return false;
    while (spop_argument_next(&message, &name, &value))
        have |= take_argument(request, name, &value);
    order_lines(&request->client);
    return !message.arguments.failed && have == HAVE_ALL;
}

bool challenge_decode(const struct spop_notify *notify, struct slice *path)
{
    struct reader messages = reader_of(notify->messages);
    struct spop_message message;
    struct slice name;
    struct spop_value value;

    *path = (struct slice){0};
    if (!spop_message_next(&messages, &message) || !slice_equal(message.name, SLICE("acme")))
        return false;
    while (spop_argument_next(&message, &name, &value))
        if (slice_equal(name, SLICE("path")))
            *path = text_of(&value);
    return !message.arguments.failed && path->size > 0;
}
