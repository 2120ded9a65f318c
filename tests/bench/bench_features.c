/* What each feature of a tenant adds to what the agent's own code costs per NOTIFY.
 *
 *     bench_features [WORDS]       only the kinds with these words in their names, and plain ones
 *
 * As bench_answer, bursts of 20 NOTIFYs for random ones of 100 tenants go through a SPOP session
 * and come back as ACKs, with the arguments that HAProxy tells for tenants of their kind. Tenants
 * are read from configuration. All kinds are measured in turn; told are the fastest of the rounds
 * and its ratio to a plain tenant's. What is not looked for here is the verification of a token,
 * which is remembered (see bench_identity).
 */
#include "agent/answer.h"
#include "agent/claim.h"
#include "conf/configuration.h"
#include "core/clock.h"
#include "core/memory.h"
#include "spop/spop_session.h"
#include "support/jwt_maker.h"
#include "support/spop_peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    TENANTS = 100,
    BURST = 20,
    BURSTS = 64,
    BURST_BYTES = BURST * 2048,
    ANSWER_BYTES = BURST * SPOP_ACK_MAX_BYTES,
    ROUNDS = 400,
};

#define SERVER(NUMBER)   "\"10.0.0." #NUMBER ":8080\""
#define FOUR(A, B, C, D) SERVER(A) "," SERVER(B) "," SERVER(C) "," SERVER(D)
#define SERVERS \
    "[" FOUR(1, 2, 3, 4) "," FOUR(5, 6, 7, 8) "," FOUR(9, 10, 11, 12) "," FOUR(13, 14, 15, 16) "]"
#define UPSTREAM       "\"upstream\": \"http://10.0.0.1:8080\""
#define REPLICAS(MORE) "\"check\": false, \"replicas\": {\"servers\": " SERVERS MORE "}"
#define IDENTITY(MORE)                                                                            \
    "\"identity\": {\"from\": \"jwt\", \"issuer\": \"https://id.test\", \"audience\": \"owui\", " \
    "\"jwks\": \"https://id.test/keys\", \"required\": true, \"set\": {\"X-User-Email\": "        \
    "\"{email}\"" MORE "}}"
#define POLICY                                                                                 \
    "\"limits\": {\"requests_per_10s\": 400, \"signin_per_minute_per_ip\": 10, \"max_body\": " \
    "\"100MB\"}, \"deny_ips\": [\"198.51.100.0/24\"], \"routes\": [{\"match\": {\"path\": "    \
    "\"/api/v1/scim/\", \"not_ip\": [\"10.0.0.0/8\"]}, \"action\": \"deny\"}, {\"match\": "    \
    "{\"path\": \"/api/\", \"credential\": \"api_key\"}, \"limits\": {\"requests_per_10s\": "  \
    "100}}]"
#define HEADERS(MORE) "\"headers\": {\"X-Team\": \"{tenant}\"" MORE "}"

/* {"id":"5b1c2f86-6c0e-4b5a-9d0c-3a9d1f0e7c11","exp":1800000000,"jti":"..."}, as Open WebUI has it
 */
#define CLAIMS                                                                               \
    "eyJpZCI6IjViMWMyZjg2LTZjMGUtNGI1YS05ZDBjLTNhOWQxZjBlN2MxMSIsImV4cCI6MTgwMDAwMDAwMCwian" \
    "RpIjoiMGQ0ZTE2YjAtN2Q1YS00YzM2LThhNTktMmI5ZjM2YjYzMDQxIn0"
#define PAYLOAD                                                                            \
    "{\"iss\":\"https://id.test\",\"aud\":\"owui\",\"exp\":1800000600,\"iat\":1799999990," \
    "\"sub\":\"248289761001\",\"email\":\"ann@example.com\",\"email_verified\":true,"      \
    "\"name\":\"Ann Example\",\"groups\":[\"staff\",\"research\"]}"

enum { TELLS_USER = 1, TELLS_COOKIE = 2, TELLS_NEW_COOKIE = 4, TELLS_TOKEN = 8, TELLS_POLICY = 16 };

static const struct kind {
    const char *name;
    const char *json; /* of a tenant, behind its hosts */
    unsigned tells;
} KINDS[] = {
    {"plain", UPSTREAM, 0},
    {"headers of its own", UPSTREAM ", " HEADERS(", \"X-Public-Host\": \"{host}\""), 0},
    {"limits, addresses and routes", UPSTREAM ", " POLICY, TELLS_POLICY},
    {"16 replicas, by client", REPLICAS(", \"sticky\": \"client\""), 0},
    {"16 replicas, by cookie", REPLICAS(", \"sticky\": \"cookie\""), TELLS_COOKIE},
    {"16 replicas, a new cookie", REPLICAS(", \"sticky\": \"cookie\""), TELLS_NEW_COOKIE},
    {"16 replicas, by user", REPLICAS(""), TELLS_USER | TELLS_COOKIE},
    {"a known token",
     UPSTREAM ", " IDENTITY(", \"X-User-Name\": \"{name}\", \"X-User-Groups\": \"{groups}\""),
     TELLS_TOKEN},
    {"all of them but the token",
     REPLICAS("") ", " POLICY ", " HEADERS("") ", \"hsts\": {\"max_age\": \"180d\"}",
     TELLS_USER | TELLS_COOKIE | TELLS_POLICY},
    {"all of them",
     REPLICAS("") ", " IDENTITY("") ", " POLICY
                                    ", " HEADERS("") ", \"hsts\": {\"max_age\": \"180d\"}",
     TELLS_USER | TELLS_COOKIE | TELLS_TOKEN | TELLS_POLICY},
};

struct bench {
    const struct kind *kind;
    struct configuration *configuration;
    struct route_registry *registry;
    struct snapshot snapshot;
    struct verifier *verifier;
    struct spop_session session;
    uint8_t bursts[BURSTS][BURST_BYTES];
    size_t sizes[BURSTS];
    double best_ns;
};

static int64_t clock_s(void)
{
    return 1800000000;
}

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "bench_features: %s\n", what);
    exit(EXIT_FAILURE);
}

/* -- The tenants ------------------------------------------------------------------------------ */

static void write_tenants(FILE *file, const struct kind *kind)
{
    fputs("{\"tenants\": {", file);
    for (unsigned i = 0; i < TENANTS; i++)
        fprintf(file, "%s\"t%06u\": {\"hosts\": [\"t%06u.example.test\"], %s}", i > 0 ? ", " : "",
                i, i, kind->json);
    fputs("}}", file);
    require(fclose(file) == 0, "cannot write the configuration");
}

static struct jwk_table *table_of(const struct maker_key *key, char *name)
{
    char *text = maker_jwk_set(key, "k1", NULL);
    struct jwk_set *set = jwk_set_parse(slice_of(text), NULL);
    const struct jwk_source source = {.name = name, .set = set};
    struct jwk_table *table = jwk_table_new(&source, 1, 1);
    jwk_set_unref(set);
    free(text);
    return table;
}

static void load(struct bench *bench, const struct maker_key *key)
{
    struct tenant_file file;
    struct diagnostics diagnostics = {0};
    char path[64];
    int fd = memfd_create("tenants", MFD_CLOEXEC);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    write_tenants(fopen(path, "w"), bench->kind);
    bench->configuration = configuration_load(path, &file, &diagnostics);
    for (size_t i = 0; i < size_min(diagnostics.count, 1); i++)
        fprintf(stderr, "%s\n", diagnostics.items[i].message);
    require(bench->configuration != NULL && diagnostics.errors == 0, "the configuration is wrong");
    bench->registry = route_registry_new();
    for (size_t i = 0; i < file.tenant_count; i++) {
        struct error_text why = {0};
        require(answer_prepare(file.tenants[i], &why) == ERROR_OK, why.text);
        if (file.tenants[i]->identity != NULL && bench->snapshot.keys == NULL)
            bench->snapshot.keys = table_of(key, file.tenants[i]->identity->keys);
        route_registry_put(bench->registry, file.tenants[i], NULL, NULL);
        file.tenants[i] = NULL;
    }
    tenant_file_fini(&file);
    diagnostics_fini(&diagnostics);
    close(fd);
    bench->snapshot.settings = bench->configuration->settings;
    bench->snapshot.table = route_registry_build(bench->registry, 1);
    bench->verifier = verifier_new(clock_s, clock_mono_ns);
}

/* -- The questions ---------------------------------------------------------------------------- */

/* "up" and "org", which no request but a WebSocket's has, are told of all tenants; Authorization's
 * claims where not all of it is told for an identity. */
static unsigned count_arguments(unsigned tells)
{
    unsigned user = (tells & TELLS_USER) == 0 ? 0 : (tells & TELLS_TOKEN) == 0 ? 2 : 1;
    return 7u + user + ((tells & (TELLS_COOKIE | TELLS_NEW_COOKIE)) != 0) +
           3u * ((tells & TELLS_TOKEN) != 0) + 4u * ((tells & TELLS_POLICY) != 0);
}

/* The cookie that the client was given, or one of another client where that is what counts. */
static void tell_cookie(const struct bench *bench, struct slice host, char cookie[])
{
    const struct tenant *tenant = route_table_tenant(bench->snapshot.table, slice_head(host, 7));
    const struct replica_set *set = tenant->replicas;
    struct replica_question question = {.user = claim_user(SLICE(CLAIMS))};
    struct replica_choice choice;
    if ((bench->kind->tells & TELLS_USER) != 0)
        replica_choose(set, &question, &choice);
    else
        choice.replica = &set->items[(size_t)random() % set->count];
    replica_cookie(choice.replica, cookie);
}

static void write_notify(struct writer *writer, const struct bench *bench, uint64_t stream_id,
                         const char *token)
{
    unsigned tells = bench->kind->tells;
    char host[32], cookie[REPLICA_COOKIE_BYTES] = "0000abcd";
    unsigned number = (unsigned)(random() % TENANTS);
    snprintf(host, sizeof(host), "t%06u.example.test", number);
    if ((tells & TELLS_COOKIE) != 0)
        tell_cookie(bench, slice_of(host), cookie);
    uint8_t *start = writer->position;
    spop_frame_begin(writer, SPOP_FRAME_NOTIFY, stream_id, 1);
    peer_write_message(writer, SLICE("route"), (uint8_t)count_arguments(tells));
    peer_write_string(writer, SLICE("host"), slice_of(host));
    peer_write_string(writer, SLICE("path"), SLICE("/api/v1/chats/"));
    peer_write_ip(writer, SLICE("src"), SLICE("\xcb\x00\x71\x07"));
    peer_write_boolean(writer, SLICE("tls"), true);
    peer_write_null(writer, SLICE("up"));
    peer_write_null(writer, SLICE("org"));
    peer_write_boolean(writer, SLICE("hb"), false);
    if ((tells & TELLS_POLICY) != 0) {
        peer_write_string(writer, SLICE("meth"), SLICE("GET"));
        peer_write_string(writer, SLICE("ath"), SLICE("Bearer eyJ"));
        peer_write_string(writer, SLICE("tok"), SLICE("eyJ"));
        peer_write_integer(writer, SLICE("key"), 0);
    }
    if ((tells & TELLS_USER) != 0)
        peer_write_string(writer, SLICE("utk"), SLICE(CLAIMS));
    if ((tells & (TELLS_USER | TELLS_TOKEN)) == TELLS_USER)
        peer_write_null(writer, SLICE("uau"));
    if ((tells & (TELLS_COOKIE | TELLS_NEW_COOKIE)) != 0)
        peer_write_string(writer, SLICE("rep"), slice_from(cookie, sizeof(cookie)));
    if ((tells & TELLS_TOKEN) != 0) {
        peer_write_string(writer, SLICE("strip"),
                          SLICE("/x_user_email/x_user_groups/x_user_name/x_user_role/"));
        peer_write_string(writer, SLICE("jh_authorization"), slice_of(token));
        peer_write_integer(writer, SLICE("jhn_authorization"), 1);
    }
    spop_frame_end(writer, start);
}

static void write_bursts(struct bench *bench, const char *token)
{
    for (unsigned i = 0; i < BURSTS; i++) {
        struct writer writer = writer_of(bench->bursts[i], BURST_BYTES);
        for (unsigned n = 0; n < BURST; n++)
            write_notify(&writer, bench, 2 * n + 1, token);
        require(!writer.failed, "a burst is too big");
        bench->sizes[i] = writer_used(&writer);
    }
}

/* -- The measurement -------------------------------------------------------------------------- */

static enum spop_answer on_notify(void *context, const struct spop_notify *notify,
                                  struct writer *actions)
{
    struct bench *bench = context;
    struct decision decision;
    answer_notify(&bench->snapshot, bench->verifier, NULL, notify, &decision, actions);
    require(decision.outcome == OUTCOME_FORWARD, outcome_name(decision.outcome));
    return SPOP_ANSWERED;
}

static void feed(struct bench *bench, const uint8_t *bytes, size_t size)
{
    static uint8_t answers[ANSWER_BYTES];
    struct writer out = writer_of(answers, sizeof(answers));
    size_t used =
        spop_session_feed(&bench->session, slice_from(bytes, size), &out, on_notify, bench, NULL);
    require(used == size, "a burst was not taken");
}

/* What arrives is where recv() would have put it just now, and in the cache. */
static void run_round(struct bench *bench)
{
    static uint8_t received[BURST_BYTES];
    int64_t total_ns = 0;
    for (unsigned i = 0; i < BURSTS; i++) {
        memcpy(received, bench->bursts[i], bench->sizes[i]);
        int64_t start_ns = clock_mono_ns();
        feed(bench, received, bench->sizes[i]);
        total_ns += clock_mono_ns() - start_ns;
    }
    double ns = (double)total_ns / (BURSTS * BURST);
    if (bench->best_ns == 0 || ns < bench->best_ns)
        bench->best_ns = ns;
}

static struct bench *bench_new(const struct kind *kind, const struct maker_key *key,
                               const char *token)
{
    uint8_t hello[256];
    struct writer writer = writer_of(hello, sizeof(hello));
    struct bench *bench = memory_new(sizeof(*bench));
    bench->kind = kind;
    bench->snapshot.generation = 1;
    load(bench, key);
    write_bursts(bench, token);
    spop_session_init(&bench->session);
    peer_write_hello(&writer, SPOP_MAX_FRAME_BYTES, false);
    feed(bench, hello, writer_used(&writer));
    return bench;
}

static void bench_free(struct bench *bench)
{
    verifier_free(bench->verifier);
    jwk_table_free(bench->snapshot.keys);
    route_table_free(bench->snapshot.table);
    route_registry_free(bench->registry);
    configuration_free(bench->configuration);
    free(bench);
}

int main(int argument_count, char **arguments)
{
    struct bench *benches[COUNT_OF(KINDS)];
    const char *words = argument_count > 1 ? arguments[1] : "";
    size_t count = 0;
    struct maker_key *key = maker_key_new(MAKER_RSA);
    char *token = maker_token(key, "RS256", NULL, "{\"alg\":\"RS256\",\"kid\":\"k1\"}", PAYLOAD);
    for (size_t i = 0; i < COUNT_OF(KINDS); i++)
        if (i == 0 || strstr(KINDS[i].name, words) != NULL)
            benches[count++] = bench_new(&KINDS[i], key, token);
    for (unsigned round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < count; i++)
            run_round(benches[i]);
    for (size_t i = 0; i < count; i++)
        printf("%-30s %6.0f ns per NOTIFY %6.2f\n", benches[i]->kind->name, benches[i]->best_ns,
               benches[i]->best_ns / benches[0]->best_ns);
    for (size_t i = 0; i < count; i++)
        bench_free(benches[i]);
    free(token);
    maker_key_free(key);
    return EXIT_SUCCESS;
}
