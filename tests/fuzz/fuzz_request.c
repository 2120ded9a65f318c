/* A request, from what HAProxy tells of it to what it is told.
 *
 * A line of the input is an argument of the message `route`: its name, a blank, its value. They
 * arrive as HAProxy sends them, at tenants that use all there is. Whatever they are, the host that
 * counts is the one that was asked for; nobody but a trusted proxy says who the client is; what
 * HAProxy is told is text that it can use; and where it is told that the decision holds for the
 * connection's next requests, asking for these would have said the same (src/agent/reuse.h).
 */
#include "agent/answer.h"
#include "core/ip.h"
#include "core/memory.h"
#include "fuzz/fuzz.h"
#include "support/fuzz_input.h"
#include "support/jwt_maker.h"
#include "support/snapshot_maker.h"
#include "support/spop_peer.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { ARGUMENTS_MAX = 40, VARIABLES_MAX = 64, FRAME_MAX_BYTES = 16384 };

/* Around the beginning of a maintenance. */
enum { NOW_S = 1800000000 - 5, LATER_S = NOW_S + 9, TOKEN_S = 3600 };

static const char CONFIGURATION[] =
    "{\"trusted_proxies\": [{\"name\": \"lb\", \"cidrs\": [\"10.0.0.0/8\"]},"
    " {\"name\": \"cf\", \"cidrs\": [\"173.245.48.0/20\"],"
    "  \"client_ip_header\": \"CF-Connecting-IP\"}],"
    "\"haproxy\": {\"backends\": {\"big\": {\"servers\": [\"10.9.0.1:80\"]}}},"
    "\"tenants\": {"
    "\"plain\": {\"hosts\": [\"plain.test\", \"www.plain.test\"], \"https\": \"off\","
    " \"upstream\": \"http://10.0.0.1:80\"},"
    "\"canon\": {\"hosts\": [\"canon.test\", \"old.canon.test\"], \"canonical_host\": true,"
    " \"hsts\": {\"max_age\": \"365d\"}, \"upstream\": \"https://10.0.0.2:443\", \"upstream_tls\": "
    "{\"server_name\": \"up.test\"}},"
    "\"open\": {\"hosts\": [\"open.test\"], \"https\": \"off\", \"backend\": \"big\"},"
    "\"wild\": {\"hosts\": [\"*.wild.test\"], \"label\": \"[a-z]{1,8}\", \"https\": \"off\","
    " \"upstream\": \"http://10.0.0.3:80\","
    " \"headers\": {\"X-Label\": \"{label} {client_ip}\"}},"
    "\"site\": {\"hosts\": [\"shared.test\"], \"upstream\": \"http://10.0.0.4:80\"},"
    "\"part\": {\"upstream\": \"http://10.0.0.5:80\", \"https\": \"off\", \"paths\": ["
    " {\"host\": \"shared.test\", \"prefix\": \"/strip\", \"mode\": \"strip\"},"
    " {\"host\": \"shared.test\", \"prefix\": \"/api/part\", \"mode\": \"keep\"},"
    " {\"host\": \"shared.test\", \"prefix\": \"/redirect\", \"mode\": \"redirect\"},"
    " {\"host\": \"shared.test\", \"prefix\": \"/takeover\", \"mode\": \"takeover\"}],"
    " \"hosts\": [\"part.test\"]},"
    "\"strict\": {\"hosts\": [\"strict.test\"], \"https\": \"off\","
    " \"upstream\": \"http://10.0.0.6:80\", \"origins\": [\"https://portal.test\"],"
    " \"origin_check\": \"required\", \"require_sni_match\": true,"
    " \"allow_ips\": [\"10.0.0.0/8\", \"192.0.2.0/24\"], \"deny_ips\": [\"10.6.6.6\"]},"
    "\"routed\": {\"hosts\": [\"routed.test\"], \"https\": \"off\","
    " \"upstream\": \"http://10.0.0.7:80\", \"routes\": ["
    " {\"match\": {\"method\": [\"POST\"], \"not_ip\": [\"192.0.2.0/24\"]}, \"action\": \"deny\"},"
    " {\"match\": {\"share\": 10}, \"tenant\": \"plain\"}]},"
    "\"limited\": {\"hosts\": [\"limited.test\"], \"https\": \"off\","
    " \"upstream\": \"http://10.0.0.11:80\","
    " \"limits\": {\"requests_per_10s\": 400, \"max_body\": \"1MB\"},"
    " \"routes\": [{\"match\": {\"path\": \"/api/\", \"credential\": \"api_key\"},"
    "  \"limits\": {\"requests_per_10s\": 100}}]},"
    "\"soon\": {\"hosts\": [\"soon.test\"], \"https\": \"off\","
    " \"upstream\": \"http://10.0.0.12:80\", \"maintenance\": {\"window\":"
    "  {\"from\": \"2027-01-15T08:00Z\", \"to\": \"2027-01-15T09:00Z\"}}},"
    "\"signin\": {\"hosts\": [\"signin.test\"], \"https\": \"off\","
    " \"upstream\": \"http://10.0.0.8:80\", \"limits\": {\"signin_per_minute_per_subnet\": 10}},"
    "\"out\": {\"hosts\": [\"out.test\"], \"https\": \"off\", \"upstream\": \"http://10.0.0.9:80\","
    " \"maintenance\": {\"on\": true, \"allow_ips\": [\"192.0.2.5\"]}},"
    "\"spread\": {\"hosts\": [\"spread.test\"], \"https\": \"off\", \"check\": false,"
    " \"replicas\": {\"servers\": [\"10.2.0.1:80\", \"10.2.0.2:80\"]}},"
    "\"who\": {\"hosts\": [\"who.test\"], \"https\": \"off\", \"upstream\": "
    "\"http://10.0.0.10:80\","
    " \"identity\": {\"from\": \"jwt\", \"issuer\": \"https://id.test\", \"audience\": \"owui\","
    "  \"jwks\": \"https://id.test/jwks\", \"set\": {\"X-User-Email\": \"{email}\"}}},"
    "\"members\": {\"hosts\": [\"members.test\"], \"https\": \"off\","
    " \"upstream\": \"http://10.0.0.13:80\","
    " \"identity\": {\"from\": \"jwt\", \"issuer\": \"https://id.test\", \"audience\": \"owui\","
    "  \"jwks\": \"https://id.test/jwks\", \"required\": true}},"
    "\"mail\": {\"hosts\": [\"mail.test\"], \"https\": \"off\","
    " \"upstream\": \"http://10.0.0.14:80\","
    " \"identity\": {\"from\": \"jwt\", \"issuer\": \"https://id.test\", \"audience\": \"owui\","
    "  \"jwks\": \"https://id.test/jwks\", \"required\": true, \"cookie\": \"token\","
    "  \"email_domains\": {\"a.test\": \"share_a\", \"b.test\": \"share_b\"}}},"
    "\"share_a\": {\"upstream\": \"http://10.0.0.15:80\", \"https\": \"off\","
    " \"identity\": {\"from\": \"shared\", \"required\": true}},"
    "\"share_b\": {\"upstream\": \"http://10.0.0.16:80\", \"https\": \"off\","
    " \"identity\": {\"from\": \"shared\", \"required\": true}},"
    "\"nameless\": {\"hosts\": [\"nameless.test\"], \"https\": \"off\", \"nosniff\": true,"
    " \"upstream\": \"https://10.0.0.17:443\", \"upstream_tls\": {\"verify\": false}}}}";

static struct snapshot snapshot;
static struct verifier *verifier;

/* Two users whom the issuer knows. Their tokens are called by these names in an input, since nobody
 * guesses a signature. */
static struct user {
    struct slice name;
    const char *claims;
    char *token;
} users[] = {
    {{"@a", 2}, "\"sub\":\"a\",\"email\":\"a@a.test\"", NULL},
    {{"@b", 2}, "\"sub\":\"b\",\"email\":\"b@b.test\"", NULL},
};

static int64_t clock_s(void)
{
    return NOW_S;
}

static void sign_tokens(const struct maker_key *key)
{
    for (size_t i = 0; i < COUNT_OF(users); i++) {
        char *payload = memory_format("{\"iss\":\"https://id.test\",\"aud\":\"owui\","
                                      "\"exp\":%d,\"email_verified\":true,%s}",
                                      NOW_S + TOKEN_S, users[i].claims);
        users[i].token =
            maker_token(key, "EdDSA", NULL, "{\"alg\":\"EdDSA\",\"kid\":\"k\"}", payload);
        free(payload);
    }
}

static void prepare_identities(void)
{
    struct maker_key *key = maker_key_new(MAKER_ED25519);
    char *text = maker_jwk_set(key, "k", NULL);
    char name[] = "https://id.test/jwks";
    struct jwk_set *set = jwk_set_parse(slice_of(text), NULL);
    const struct jwk_source source = {.name = name, .set = set};
    FUZZ_REQUIRE(set != NULL);
    snapshot.keys = jwk_table_new(&source, 1, 1);
    jwk_set_unref(set);
    verifier = verifier_new(clock_s, clock_s);
    sign_tokens(key);
    free(text);
    maker_key_free(key);
}

static void prepare(void)
{
    static const char STAMP[] = "stamp";
    if (snapshot.table != NULL)
        return;
    snapshot_make(slice_of(CONFIGURATION), &snapshot);
    prepare_identities();
    memcpy(snapshot.stamp, STAMP, sizeof(STAMP));
    snapshot.stamp_size = sizeof(STAMP) - 1;
}

/* ---- What is asked ---- */

struct argument {
    struct slice name, value;
};

struct question {
    struct argument arguments[ARGUMENTS_MAX];
    size_t count;
};

static const struct argument *find_argument(const struct question *question, struct slice name)
{
    for (size_t i = 0; i < question->count; i++)
        if (slice_equal(question->arguments[i].name, name))
            return &question->arguments[i];
    return NULL;
}

static void add_argument(struct question *question, struct slice name, struct slice value)
{
    if (question->count < ARGUMENTS_MAX)
        question->arguments[question->count++] = (struct argument){name, value};
}

/* HAProxy tells nothing twice. */
static void read_question(struct slice input, struct question *question)
{
    question->count = 0;
    while (input.size > 0) {
        struct slice value = input_take(&input, SLICE("\n"));
        struct slice name = input_take(&value, SLICE(" "));
        if (find_argument(question, name) == NULL)
            add_argument(question, name, value);
    }
}

static void drop_argument(struct question *question, const char *name)
{
    size_t kept = 0;
    for (size_t i = 0; i < question->count; i++)
        if (!slice_equal(question->arguments[i].name, slice_of(name)))
            question->arguments[kept++] = question->arguments[i];
    question->count = kept;
}

static void set_argument(struct question *question, const char *name, struct slice value)
{
    drop_argument(question, name);
    add_argument(question, slice_of(name), value);
}

static bool is_true(const struct argument *argument)
{
    return argument != NULL && slice_equal(argument->value, SLICE("1"));
}

static bool is_count(struct slice name)
{
    return (name.size == 4 && name.data[3] == 'n') || slice_equal(name, SLICE("key")) ||
           slice_starts_with(name, SLICE("jhn_")) || slice_starts_with(name, SLICE("jcn_"));
}

static const struct user *find_user(const struct argument *argument)
{
    bool may_be_token = slice_starts_with(argument->name, SLICE("jh_")) ||
                        slice_starts_with(argument->name, SLICE("jc_"));
    for (size_t i = 0; i < COUNT_OF(users); i++)
        if (may_be_token && slice_equal(argument->value, users[i].name))
            return &users[i];
    return NULL;
}

static void write_token(struct writer *writer, struct slice name, const struct user *user)
{
    bool is_header = slice_starts_with(name, SLICE("jh_"));
    char *text = memory_format("%s%s", is_header ? "Bearer " : "", user->token);
    peer_write_string(writer, name, slice_of(text));
    free(text);
}

static void write_argument(struct writer *writer, const struct argument *argument)
{
    struct slice name = argument->name, value = argument->value;
    const struct user *user = find_user(argument);
    struct ip ip;
    if (user != NULL)
        write_token(writer, name, user);
    else if (slice_equal(name, SLICE("src")) && ip_parse(value, &ip))
        peer_write_ip(writer, name, slice_from(ip.bytes, ip.family == IP_V4 ? 4 : 16));
    else if (slice_equal(name, SLICE("tls")) || slice_equal(name, SLICE("hb")))
        peer_write_boolean(writer, name, is_true(argument));
    else if (is_count(name))
        peer_write_integer(writer, name, value.size);
    else if (value.size > 0)
        peer_write_string(writer, name, value);
    else
        peer_write_null(writer, name);
}

/* ---- What is told ---- */

struct answer {
    struct decision decision;
    uint8_t bytes[SPOP_ACTIONS_MAX_BYTES];
    struct peer_action variables[VARIABLES_MAX];
    size_t count;
};

static void read_variables(struct slice actions, struct answer *answer)
{
    struct reader reader = reader_of(actions);
    answer->count = 0;
    while (reader_left(&reader) > 0) {
        FUZZ_REQUIRE(answer->count < VARIABLES_MAX);
        FUZZ_REQUIRE(peer_read_action(&reader, &answer->variables[answer->count++]));
    }
}

/* False: HAProxy would not have asked so. */
static bool ask(const struct question *question, int64_t at_s, struct answer *answer)
{
    static uint8_t buffer[FRAME_MAX_BYTES];
    struct writer writer = writer_of(buffer, sizeof(buffer));
    struct writer actions = writer_of(answer->bytes, sizeof(answer->bytes));
    struct request request;
    peer_write_message(&writer, SLICE("route"), (uint8_t)question->count);
    for (size_t i = 0; i < question->count; i++)
        write_argument(&writer, &question->arguments[i]);
    if (writer.failed)
        return false;
    const struct spop_notify notify = {
        .stream_id = 1, .frame_id = 1, .messages = writer_written(&writer)};
    if (!request_decode(&notify, &request))
        return false;
    request.wall_s = at_s;
    request.verifier = verifier;
    decide(&snapshot, &request, &answer->decision);
    FUZZ_REQUIRE(answer->decision.outcome < OUTCOME__MAX);
    FUZZ_REQUIRE(answer_write(&request, &answer->decision, &actions));
    read_variables(writer_written(&actions), answer);
    return true;
}

static const struct peer_action *find_variable(const struct answer *answer, enum spop_scope scope,
                                               struct slice name)
{
    for (size_t i = 0; i < answer->count; i++)
        if (answer->variables[i].scope == scope && slice_equal(answer->variables[i].name, name))
            return &answer->variables[i];
    return NULL;
}

static bool tells(const struct answer *answer, const char *name)
{
    return find_variable(answer, SPOP_SCOPE_TRANSACTION, slice_of(name)) != NULL;
}

/* ---- What must hold ---- */

/* Neither a line of its own nor the end of a word. */
static void check_text(const struct peer_action *variable)
{
    bool is_header = slice_starts_with(variable->name, SLICE("h_"));
    struct slice text = variable->value.bytes;
    for (size_t i = 0; variable->value.type == SPOP_STRING && i < text.size; i++)
        FUZZ_REQUIRE((uint8_t)text.data[i] >= ' ' && text.data[i] != 0x7f);
    FUZZ_REQUIRE(!is_header || text.size > 0);
}

static bool has_token(const struct question *question)
{
    for (size_t i = 0; i < question->count; i++)
        if (find_user(&question->arguments[i]) != NULL)
            return true;
    return false;
}

/* The two kinds of answer have nothing in common that could be taken for the other. */
static void check_answer(const struct question *question, const struct answer *answer)
{
    bool forwards = answer->decision.outcome == OUTCOME_FORWARD;
    for (size_t i = 0; i < answer->count; i++)
        check_text(&answer->variables[i]);
    FUZZ_REQUIRE(tells(answer, "answer") == !forwards);
    FUZZ_REQUIRE(forwards || (!tells(answer, "backend") && !tells(answer, "dst")));
    FUZZ_REQUIRE(!forwards || (tells(answer, "tenant") && tells(answer, "ip")));
    FUZZ_REQUIRE(!forwards || tells(answer, "backend") != tells(answer, "dst"));
    FUZZ_REQUIRE(tells(answer, "to_http") + tells(answer, "to_https") +
                     tells(answer, "to_noverify") ==
                 tells(answer, "dst"));
    FUZZ_REQUIRE(!tells(answer, "by_https") || !tells(answer, "by_http"));
    /* Nobody's token is good but what the issuer signed. */
    FUZZ_REQUIRE(!tells(answer, "h_x_user_email") || has_token(question));
}

static bool equal_without_case(struct slice a, struct slice b)
{
    return a.size == b.size && strncasecmp(a.data, b.data, a.size) == 0;
}

/* Without the port and the dot of the root, by other means than the program's. */
static struct slice bare_host(struct slice raw)
{
    size_t size = raw.size;
    while (size > 0 && isdigit((uint8_t)raw.data[size - 1]))
        size--;
    if (size > 0 && raw.data[size - 1] == ':')
        raw = slice_head(raw, size - 1);
    return raw.size > 0 && raw.data[raw.size - 1] == '.' ? slice_head(raw, raw.size - 1) : raw;
}

static void check_host(const struct question *question, const struct decision *decision)
{
    if (decision->match.host == NULL)
        return;
    struct slice asked = bare_host(find_argument(question, SLICE("host"))->value);
    struct slice name = slice_of(decision->match.host->name);
    if (!decision->match.host->wildcard) {
        FUZZ_REQUIRE(equal_without_case(asked, name));
        return;
    }
    FUZZ_REQUIRE(asked.size > name.size + 1);
    struct slice label = slice_head(asked, asked.size - name.size - 1);
    FUZZ_REQUIRE(memchr(label.data, '.', label.size) == NULL);
    FUZZ_REQUIRE(asked.data[label.size] == '.');
    FUZZ_REQUIRE(equal_without_case(slice_skip(asked, label.size + 1), name));
}

static bool is_trusted(const struct ip *ip)
{
    return ip->family == IP_V4 &&
           (ip->bytes[0] == 10 ||
            (ip->bytes[0] == 173 && ip->bytes[1] == 245 && ip->bytes[2] >> 4 == 48 >> 4));
}

static void check_client(const struct question *question, const struct answer *answer)
{
    struct ip peer;
    FUZZ_REQUIRE(ip_parse(find_argument(question, SLICE("src"))->value, &peer));
    const struct peer_action *told = find_variable(answer, SPOP_SCOPE_TRANSACTION, SLICE("ip"));
    if (told == NULL || peer.family == IP_V6 || is_trusted(&peer))
        return; /* a mapped address is an IPv4 one */
    char text[IP_TEXT_SIZE];
    bool is_text = told->value.type == SPOP_STRING;
    FUZZ_REQUIRE(slice_equal(told->value.bytes, is_text ? slice_of(ip_print(&peer, text))
                                                        : slice_from(peer.bytes, 4)));
    FUZZ_REQUIRE(answer->decision.client.https == is_true(find_argument(question, SLICE("tls"))));
}

/* ---- Decisions that hold for more ---- */

/* What few have, in one variable: see agent/reuse.h. */
static const char *const PARTS_OF_REST[] = {"backend", "to_https", "to_noverify", "sni", "rs"};

static const struct peer_action *find_kept(const struct answer *kept, struct slice name)
{
    const struct peer_action *found = find_variable(kept, SPOP_SCOPE_SESSION, name);
    return found != NULL && !found->is_unset ? found : NULL;
}

/* Nothing where the session has none. */
static struct slice part_of_rest(const struct answer *kept, size_t index)
{
    const struct peer_action *more = find_kept(kept, SLICE("rest"));
    struct slice rest = more != NULL ? more->value.bytes : (struct slice){0};
    for (size_t i = 0; i < index; i++)
        slice_cut(&rest, '/');
    return slice_cut(&rest, '/');
}

static struct slice as_text(const struct spop_value *value, char buffer[static 24])
{
    if (value->type == SPOP_STRING)
        return value->bytes;
    FUZZ_REQUIRE(snprintf(buffer, 24, "%lld", (long long)value->integer) < 24);
    return slice_of(buffer);
}

static bool same_value(const struct spop_value *a, const struct spop_value *b)
{
    return a->type == b->type && a->boolean == b->boolean && a->integer == b->integer &&
           slice_equal(a->bytes, b->bytes);
}

/* Whether HAProxy would take from the session what is `told`. */
static bool is_kept(const struct answer *kept, const struct peer_action *told)
{
    char buffer[24];
    for (size_t i = 0; i < COUNT_OF(PARTS_OF_REST); i++)
        if (slice_equal(told->name, slice_of(PARTS_OF_REST[i])))
            return slice_equal(part_of_rest(kept, i), as_text(&told->value, buffer));
    const struct peer_action *own = find_kept(kept, told->name);
    return own != NULL && same_value(&own->value, &told->value);
}

static bool is_for_the_session_alone(struct slice name)
{
    return slice_equal(name, SLICE("host")) || slice_equal(name, SLICE("stamp")) ||
           slice_equal(name, SLICE("since")) || slice_equal(name, SLICE("rest"));
}

static bool is_told(const struct answer *asked, struct slice name)
{
    return find_variable(asked, SPOP_SCOPE_TRANSACTION, name) != NULL;
}

/* What HAProxy would take from the session is what it would have been told, neither more nor less.
 */
static void compare_answers(const struct answer *kept, const struct answer *asked)
{
    FUZZ_REQUIRE(asked->decision.outcome == OUTCOME_FORWARD);
    for (size_t i = 0; i < asked->count; i++)
        FUZZ_REQUIRE(asked->variables[i].scope != SPOP_SCOPE_TRANSACTION ||
                     is_kept(kept, &asked->variables[i]));
    for (size_t i = 0; i < kept->count; i++) {
        const struct peer_action *own = &kept->variables[i];
        FUZZ_REQUIRE(own->scope != SPOP_SCOPE_SESSION || own->is_unset ||
                     is_for_the_session_alone(own->name) || is_told(asked, own->name));
    }
    for (size_t i = 0; i < COUNT_OF(PARTS_OF_REST); i++)
        FUZZ_REQUIRE(part_of_rest(kept, i).size == 0 || is_told(asked, slice_of(PARTS_OF_REST[i])));
}

/* The next request of the connection: HAProxy's conditions hold, and all else is any. */
static void check_next(const struct question *question, const struct answer *kept)
{
    static const char *const PATHS[] = {
        "/",           "/api/config",    "/api/v1/auths/signin", "/static/a.js",
        "/api/part/x", "/ws/socket.io/", "/_app/version.json"};
    static struct answer answer;
    struct question next = *question;
    drop_argument(&next, "up");
    drop_argument(&next, "ck");
    for (size_t i = 0; i < COUNT_OF(PATHS); i++) {
        struct question other = next;
        set_argument(&other, "path", slice_of(PATHS[i]));
        drop_argument(&other, "jh_authorization");
        drop_argument(&other, "jc_token");
        FUZZ_REQUIRE(ask(&other, LATER_S, &answer));
        compare_answers(kept, &answer);
        set_argument(&other, "meth", SLICE("POST"));
        set_argument(&other, "org", SLICE("https://elsewhere.test"));
        set_argument(&other, "ath", SLICE("Bearer sk-"));
        set_argument(&other, "shr", SLICE("1"));
        set_argument(&other, "jh_authorization", SLICE("@b"));
        set_argument(&other, "jc_token", SLICE("@b"));
        if (ask(&other, LATER_S, &answer))
            compare_answers(kept, &answer);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct answer answer;
    struct question question;
    prepare();
    read_question(slice_from(data, size), &question);
    if (!ask(&question, NOW_S, &answer))
        return 0;
    check_answer(&question, &answer);
    check_host(&question, &answer.decision);
    check_client(&question, &answer);
    if (find_kept(&answer, SLICE("stamp")) != NULL)
        check_next(&question, &answer);
    return 0;
}
