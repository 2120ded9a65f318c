/* The cookies that the agent itself has set, as somebody sends them back.
 *
 * The lines of the input are a host, a path, a tenant and, to the end, a cookie. The host's root is
 * the tenant's for who has a cookie that says so and is sealed; a cookie in which a bit is another
 * is none. The cookie as it is, too, is one of all kinds: nobody can have sealed it.
 */
#include "agent/answer.h"
#include "agent/seal.h"
#include "agent/share.h"
#include "fuzz/fuzz.h"
#include "support/fuzz_input.h"
#include "support/snapshot_maker.h"

static const char TENANTS[] =
    "{\"tenants\": {"
    "\"acme\": {\"upstream\": \"http://10.0.0.1:80\", \"https\": \"off\", \"paths\": ["
    " {\"host\": \"shared.test\", \"prefix\": \"/acme\", \"mode\": \"takeover\"},"
    " {\"host\": \"*.wild.test\", \"prefix\": \"/acme\", \"mode\": \"takeover\"}]},"
    "\"globex\": {\"upstream\": \"http://10.0.0.2:80\", \"https\": \"off\", \"paths\": ["
    " {\"host\": \"shared.test\", \"prefix\": \"/globex\", \"mode\": \"takeover\"},"
    " {\"host\": \"site.test\", \"prefix\": \"/globex\", \"mode\": \"takeover\"}]},"
    "\"site\": {\"hosts\": [\"site.test\"], \"upstream\": \"http://10.0.0.3:80\","
    " \"https\": \"off\"}}}";

enum { NOW_S = 1800000000 };

static const struct seal_keys KEYS = {{{1, 2, 3}, {4, 5, 6}}, SEAL_KEYS};

/* ---- Seals ---- */

static void require_unsealed(const char *host, struct slice cookie)
{
    FUZZ_REQUIRE(seal_read(&KEYS, slice_of(host), cookie, NOW_S).size == 0);
}

/* `host` is one that validation has let through, `tenant` a name. What is sealed goes to `text`,
 * which may be too small for it. */
static struct slice check_seal(struct slice host, struct slice tenant, struct slice changes,
                               char text[static SEAL_MAX_BYTES])
{
    static const struct seal_keys NEWER = {{{7}, {1, 2, 3}}, SEAL_KEYS};
    struct writer writer = writer_of(text, SEAL_MAX_BYTES);
    if (!seal_write(&KEYS, host, tenant, NOW_S + 1, &writer))
        return (struct slice){0};
    struct slice sealed = writer_written(&writer);
    FUZZ_REQUIRE(slice_equal(seal_read(&KEYS, host, sealed, NOW_S), tenant));
    FUZZ_REQUIRE(slice_equal(seal_read(&NEWER, host, sealed, NOW_S), tenant));
    FUZZ_REQUIRE(seal_read(&KEYS, host, sealed, NOW_S + 1).size == 0);
    require_unsealed("other.test", sealed);

    char changed[SEAL_MAX_BYTES];
    size_t size = size_min(sealed.size, changes.size);
    memcpy(changed, sealed.data, sealed.size);
    for (size_t i = 0; i < size; i++)
        changed[i] = (char)(changed[i] ^ changes.data[i]);
    if (memcmp(changed, sealed.data, sealed.size) != 0)
        FUZZ_REQUIRE(seal_read(&KEYS, host, slice_from(changed, sealed.size), NOW_S).size == 0);
    return sealed;
}

static void check_share(struct slice cookie)
{
    static const struct ip CLIENT = {.family = IP_V4, .bytes = {192, 0, 2, 1}};
    char text[SHARE_COOKIE_BYTES];
    bool is_told;
    unsigned number = share_of(cookie, &CLIENT, &is_told);
    FUZZ_REQUIRE(number < SHARE_FULL);
    share_cookie(number, text);
    FUZZ_REQUIRE(!is_told || slice_equal(slice_from(text, sizeof(text)), cookie));
}

/* ---- The decision ---- */

static void decide_by(const struct snapshot *snapshot, struct slice host, struct slice path,
                      struct slice cookie, struct decision *decision)
{
    uint8_t buffer[SPOP_ACTIONS_MAX_BYTES];
    struct writer actions = writer_of(buffer, sizeof(buffer));
    struct request request = {
        .host = host, .path = path, .cookie = cookie, .share_cookie = cookie, .wall_s = NOW_S};
    FUZZ_REQUIRE(ip_parse(SLICE("192.0.2.1"), &request.client.peer));
    decide(snapshot, &request, decision);
    FUZZ_REQUIRE(answer_write(&request, decision, &actions));
}

/* A cookie leads to the tenant that it names, and only where that one has a way to take over. */
static void check_decision(const struct snapshot *snapshot, struct slice host, struct slice path,
                           struct slice tenant, struct slice sealed)
{
    static struct decision decision;
    decide_by(snapshot, host, path, sealed, &decision);
    if (!decision.taken_over)
        return;
    FUZZ_REQUIRE(sealed.size > 0 && decision.match.tenant == decision.sealed);
    FUZZ_REQUIRE(slice_equal(slice_of(decision.sealed->name), tenant));
    FUZZ_REQUIRE(decision.sealed->path_count > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct snapshot snapshot;
    static struct decision decision;
    char text[SEAL_MAX_BYTES];
    struct host host;
    struct slice rest = slice_from(data, size);
    if (snapshot.table == NULL) {
        snapshot_make(slice_of(TENANTS), &snapshot);
        snapshot.seal = KEYS;
    }
    struct slice sent = input_take(&rest, SLICE("\n"));
    struct slice path = input_take(&rest, SLICE("\n"));
    struct slice tenant = input_take(&rest, SLICE("\n"));
    check_share(rest);
    decide_by(&snapshot, sent, path, rest, &decision);
    FUZZ_REQUIRE(!decision.taken_over);
    if (host_parse(sent, &host) != REFUSAL_NONE || !tenant_name_valid(tenant))
        return 0;
    check_decision(&snapshot, sent, path, tenant, check_seal(host_name(&host), tenant, rest, text));
    return 0;
}
