/* From what a client says of itself to the replica that it gets.
 *
 * The first line of the input is the claims of the token in the cookie `token`, which the target
 * encodes; the second what HAProxy took for the claims in Authorization, as it is; the rest the
 * cookie of the replica. They arrive as HAProxy sends them, at tenants that are sticky in each way.
 * The scan of the claims has to find what a parser of JSON finds, and whoever asks twice has to get
 * the same replica.
 */
#include "agent/answer.h"
#include "agent/claim.h"
#include "core/memory.h"
#include "fuzz/fuzz.h"
#include "support/fuzz_input.h"
#include "support/jwt_maker.h"
#include "support/snapshot_maker.h"
#include "support/spop_peer.h"
#include "json/json.h"

#include <stdlib.h>

enum { ID_MAX_BYTES = 128, FRAME_MAX_BYTES = 16384 };

/* Newcomers are spread over time, in which this target stands still. */
enum { ASKED_WALL_S = 1800000000 };

static const char TENANTS[] =
    "{\"tenants\": {"
    "\"user\": {\"hosts\": [\"user.test\"], \"https\": \"off\", \"check\": false,"
    " \"replicas\": {\"servers\": [\"10.0.0.1:80\", \"10.0.0.2:80\", \"10.0.0.3:80\"]}},"
    "\"both\": {\"hosts\": [\"both.test\"], \"https\": \"off\", \"check\": false,"
    " \"replicas\": {\"servers\": [\"10.0.1.1:80\", \"10.0.1.2:80\"], \"fallback\": \"client\"}},"
    "\"cookie\": {\"hosts\": [\"cookie.test\"], \"https\": \"off\", \"check\": false,"
    " \"replicas\": {\"servers\": [\"10.0.2.1:80\", \"10.0.2.2:80\", \"10.0.2.3:80\"],"
    " \"draining\": [\"10.0.2.3:80\"], \"sticky\": \"cookie\"}}}}";
static const char *const HOSTS[] = {"user.test", "both.test", "cookie.test"};

static struct snapshot snapshot;

/* -- What is asked -- */

struct claims {
    struct slice cookie;        /* of the token there, encoded */
    struct slice authorization; /* likewise */
    struct slice replica;
};

static struct slice write_notify(const char *host, const struct claims *claims,
                                 uint8_t buffer[static FRAME_MAX_BYTES])
{
    static const uint8_t PEER[] = {192, 0, 2, 1};
    struct writer writer = writer_of(buffer, FRAME_MAX_BYTES);
    peer_write_message(&writer, SLICE("route"), 7);
    peer_write_string(&writer, SLICE("host"), slice_of(host));
    peer_write_ip(&writer, SLICE("src"), slice_from(PEER, sizeof(PEER)));
    peer_write_boolean(&writer, SLICE("tls"), false);
    peer_write_string(&writer, SLICE("path"), SLICE("/api/chats"));
    peer_write_string(&writer, SLICE("utk"), claims->cookie);
    peer_write_string(&writer, SLICE("uau"), claims->authorization);
    peer_write_string(&writer, SLICE("rep"), claims->replica);
    return writer.failed ? (struct slice){0} : writer_written(&writer);
}

/* The replica that the tenant chose, and why. */
static struct replica_choice ask(struct slice messages)
{
    static struct decision decision;
    uint8_t buffer[SPOP_ACTIONS_MAX_BYTES];
    struct writer actions = writer_of(buffer, sizeof(buffer));
    const struct spop_notify notify = {.stream_id = 1, .frame_id = 1, .messages = messages};
    struct request request;
    FUZZ_REQUIRE(request_decode(&notify, &request));
    request.wall_s = ASKED_WALL_S;
    decide(&snapshot, &request, &decision);
    FUZZ_REQUIRE(decision.outcome == OUTCOME_FORWARD && decision.replica.replica != NULL);
    FUZZ_REQUIRE(answer_write(&request, &decision, &actions));
    FUZZ_REQUIRE(decision.replica.reason < REPLICA_REASON__MAX);
    return decision.replica;
}

/* Nothing but the arguments counts, and the cookie that was set is believed. */
static void check_choice(const char *host, const struct claims *claims)
{
    uint8_t buffer[FRAME_MAX_BYTES];
    struct slice messages = write_notify(host, claims, buffer);
    if (messages.size == 0)
        return;
    const struct replica_choice first = ask(messages);
    const struct replica_choice second = ask(messages);
    FUZZ_REQUIRE(first.replica == second.replica && first.reason == second.reason);
    FUZZ_REQUIRE(first.set_cookie == second.set_cookie);
    if (!first.set_cookie)
        return;
    char cookie[REPLICA_COOKIE_BYTES + 1] = "";
    replica_cookie(first.replica, cookie);
    struct claims with_cookie = *claims;
    with_cookie.replica = slice_from(cookie, REPLICA_COOKIE_BYTES);
    const struct replica_choice third = ask(write_notify(host, &with_cookie, buffer));
    FUZZ_REQUIRE(third.replica == first.replica && !third.set_cookie);
}

/* -- The scan -- */

static void check_id(struct slice id)
{
    FUZZ_REQUIRE(id.size > 0 && id.size <= ID_MAX_BYTES);
    for (size_t i = 0; i < id.size; i++)
        FUZZ_REQUIRE(id.data[i] != '"' || (i > 0 && id.data[i - 1] == '\\'));
}

/* A user is the same in whatever form the claims are, where the id is a UUID or is not: by its
 * digits, or decoded. Only where these look like a UUID and are none, the two may differ. */
static void check_user(struct slice claims, struct slice id)
{
    char *form = memory_format("{\"jti\":\"x\",\"id\":\"%.*s\"}", SLICE_PRINT(id));
    char *encoded = maker_base64url(slice_of(form));
    FUZZ_REQUIRE(claim_user(claims) != 0);
    if (memchr(id.data, '\0', id.size) == NULL && id.size != 36)
        FUZZ_REQUIRE(claim_user(slice_of(encoded)) != 0);
    if (id.size == 36 && memchr(id.data, '\0', id.size) == NULL)
        FUZZ_REQUIRE(claim_user(claims) == claim_user(slice_of(encoded)));
    free(encoded);
    free(form);
}

/* Where the claims are JSON that the scan sees whole, it finds what is there; it does not decode
 * escapes, and so may go its own way where there are some. */
static void compare_with_parser(struct slice claims, bool found, struct slice id)
{
    struct slice wanted;
    if (claims.size > CLAIMS_MAX_BYTES || memchr(claims.data, '\\', claims.size) != NULL)
        return;
    struct json *root = json_parse(claims, CLAIMS_MAX_BYTES, NULL, NULL);
    if (json_type_of(root) == JSON_TYPE_OBJECT) {
        bool is_there = json_read_text(json_get(root, "id"), &wanted) && wanted.size > 0 &&
                        wanted.size <= ID_MAX_BYTES;
        FUZZ_REQUIRE(found == is_there);
        FUZZ_REQUIRE(!found || slice_equal(id, wanted));
    }
    json_free(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char buffer[CLAIMS_MAX_BYTES];
    struct slice lines[3] = {0}, rest = slice_from(data, size), id = {0};
    if (snapshot.table == NULL)
        snapshot_make(slice_of(TENANTS), &snapshot);
    lines[0] = input_take(&rest, SLICE("\n"));
    lines[1] = input_take(&rest, SLICE("\n"));
    lines[2] = rest;
    if (lines[0].size > FRAME_MAX_BYTES)
        return 0;
    char *encoded = maker_base64url(lines[0]);
    const struct claims claims = {slice_of(encoded), lines[1], lines[2]};
    bool found = claim_find_id(claims.cookie, buffer, &id);
    if (found) {
        check_id(id);
        check_user(claims.cookie, id);
    }
    compare_with_parser(lines[0], found, id);
    if (claim_find_id(claims.authorization, buffer, &id))
        check_id(id);
    (void)claim_user(claims.authorization);
    for (size_t i = 0; i < COUNT_OF(HOSTS); i++)
        check_choice(HOSTS[i], &claims);
    free(encoded);
    return 0;
}
