/* Whether it works: see setup.h. The daemon tells about certificates; the rest is tried as a
 * browser would, through HAProxy's binds on this machine, so that DNS has no say in it. */
#include "admin/admin_client.h"
#include "cli/ask.h"
#include "cli/terminal.h"
#include "cli/told_certificate.h"
#include "cli/view.h"
#include "core/clock.h"
#include "core/memory.h"
#include "crypto/crypto.h"
#include "doctor/refused.h"
#include "http/http_client.h"
#include "setup.h"
#include "sidecar/loopback.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    POLL_MS = 500,
    TRY_MS = 10 * 1000,
    AGENT_WAIT_MS = 200,
    AGENT_WAITS = 15,
    STATUS_SWITCHING = 101,
    DETAIL_SIZE = 2048,
    ABOUT_SIZE = 256,
};

static void sleep_ms(long ms)
{
    const struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* -- Certificates ------------------------------------------------------------------------------ */

static bool is_served(const struct json *certificate)
{
    const struct json *haproxys = json_get(certificate, "haproxys");
    bool served = json_count(haproxys) > 0 && json_get(certificate, "not_after") != NULL;
    for (size_t i = 0; i < json_count(haproxys); i++) {
        bool one = false;
        served = served && json_read_bool(json_get(json_at(haproxys, i), "served"), &one) && one;
    }
    return served;
}

/* What a certificate waits for, in the daemon's words. For free(). */
static char *state_of(const struct json *certificate, bool served)
{
    const struct json *problem = json_get(certificate, "problem");
    struct slice doing = json_get_text(certificate, "doing"),
                 next = json_get_text(certificate, "next");
    if (certificate == NULL)
        return memory_format("waiting for the daemon to see the tenant");
    if (served)
        return memory_format("served");
    if (problem != NULL)
        return memory_format("%.*s", SLICE_PRINT(json_get_text(problem, "detail")));
    return memory_format("%.*s", SLICE_PRINT(doing.size > 0 ? doing : next));
}

/* Prints the state unless it is that of before; takes it. */
static void tell_state(const char *about, char *state, char **before, int64_t started_ms)
{
    if (*before != NULL && strcmp(*before, state) == 0) {
        free(state);
        return;
    }
    char *first = memory_format("  %5.1f s  ", (double)(clock_mono_ms() - started_ms) / 1000);
    char *text = memory_format("%s: %s", about, state);
    terminal_wrap(first, (unsigned)strlen(first), text, terminal_columns());
    free(first);
    free(text);
    fflush(stdout);
    free(*before);
    *before = state;
}

/* Whether it is served, and is not about to be replaced; prints what is new since the state before.
 */
static bool look_at(const struct json *answer, const struct setup_tenant *tenant, char **before,
                    int64_t started_ms)
{
    const struct json *certificate = told_certificate(answer, tenant->host);
    bool served = certificate != NULL && is_served(certificate) &&
                  !view_certificate_is_untrusted(certificate);
    tell_state(tenant->host, state_of(certificate, served), before, started_ms);
    return served;
}

/* NULL, with the reason, when the daemon does not tell. */
static struct json *ask_certificates(const char *socket, struct error_text *why)
{
    unsigned status = 0;
    struct json *answer = admin_request(socket, "GET", "/v1/certificates", NULL, &status, why);
    if (answer == NULL || status == 200)
        return answer;
    error_set(why, ERROR_UNSUPPORTED, "%.*s", SLICE_PRINT(json_get_text(answer, "error")));
    json_free(answer);
    return NULL;
}

static bool takes_certificate(const struct setup_plan *plan, const struct setup_tenant *tenant)
{
    return tenant->host != NULL && tenant->https &&
           plan->whole.configuration->haproxy.https_count > 0;
}

/* Looks once at all; how many are served, or need not be. */
static size_t count_served(const struct setup_plan *plan, char **states, int64_t started_ms,
                           bool *is_away)
{
    struct error_text why;
    struct json *answer = ask_certificates(plan->whole.configuration->admin_socket, &why);
    size_t served = 0;
    for (size_t i = 0; i < plan->tenant_count; i++)
        served += !takes_certificate(plan, &plan->tenants[i]) ||
                  (answer != NULL && look_at(answer, &plan->tenants[i], &states[i], started_ms));
    *is_away = answer == NULL && served < plan->tenant_count;
    if (*is_away)
        tell_state("the daemon does not tell", memory_copy_text(slice_of(why.text)),
                   &states[plan->tenant_count], started_ms);
    json_free(answer);
    return served;
}

bool setup_wait(const struct setup_plan *plan, unsigned wait_s)
{
    int64_t started_ms = clock_mono_ms();
    char **states = memory_new((plan->tenant_count + 1) * sizeof(*states)); /* and the daemon's */
    size_t served;
    bool is_away;
    puts("\nwaiting for certificates:");
    for (;;) {
        served = count_served(plan, states, started_ms, &is_away);
        if (served == plan->tenant_count || clock_mono_ms() - started_ms >= (int64_t)wait_s * 1000)
            break;
        sleep_ms(POLL_MS);
    }
    if (served < plan->tenant_count && is_away)
        terminal_complain("whether certificates are served is not known after %u s: the daemon "
                          "does not tell (`systemctl status owui-spoa`)",
                          wait_s);
    else if (served < plan->tenant_count)
        terminal_complain("not all certificates are served after %u s; the daemon goes on trying "
                          "(`owui-spoa certs` tells how it goes)",
                          wait_s);
    memory_free_texts(states, plan->tenant_count + 1);
    return served == plan->tenant_count;
}

/* -- What a browser would do ------------------------------------------------------------------- */

/* One probe at a time, so the answer is written down here. */
struct trial {
    struct main_loop *loop;
    struct http_client *client;
    const struct configuration *configuration;
    struct json *certificates; /* what the daemon tells of them; NULL: nothing */
    enum { NO_ANSWER = -1 } none;
    int result;
    int status;
    char failure[160];
    char location[300];
    unsigned waits;   /* for HAProxy to see the agent, of all tries */
    char refused[48]; /* the agent's word for it; empty: it did not refuse */
    struct crypto_certificate certificate;
    struct bytes chain; /* that it is the first of */
    bool certified;
};

static void on_probed(void *context, const struct http_probe_answer *answer)
{
    struct trial *trial = context;
    trial->result = answer->result;
    trial->status = answer->status;
    snprintf(trial->failure, sizeof(trial->failure), "%s",
             answer->failure != NULL ? answer->failure : "");
    snprintf(trial->location, sizeof(trial->location), "%.*s", SLICE_PRINT(answer->location));
    snprintf(trial->refused, sizeof(trial->refused), "%.*s", SLICE_PRINT(answer->refused));
    if (answer->certificate.size > 0)
        trial->certified =
            bytes_set(&trial->chain, answer->chain) &&
            crypto_certificate_read(answer->certificate, &trial->certificate, NULL) == ERROR_OK;
    main_loop_stop(trial->loop);
}

static void forget(struct trial *trial)
{
    if (trial->certified)
        crypto_certificate_free(&trial->certificate);
    bytes_free(&trial->chain);
    trial->certified = false;
}

static void try_once(struct trial *trial, const struct http_probe *probe)
{
    const struct hap_config *haproxy = &trial->configuration->haproxy;
    struct http_probe whole = *probe;
    whole.proxy_line = loopback_needs_proxy_line(probe->connect_to,
                                                 (const char *const *)haproxy->proxy_protocol_from,
                                                 haproxy->proxy_protocol_from_count);
    forget(trial);
    trial->result = NO_ANSWER;
    trial->status = 0;
    trial->refused[0] = '\0';
    snprintf(trial->failure, sizeof(trial->failure), "there is no memory for it");
    if (http_client_probe(trial->client, &whole, on_probed, trial) != NULL)
        main_loop_run(trial->loop);
}

/* The answer is in the trial afterwards. Of an agent that has just begun HAProxy knows half a
 * second later. */
static void try(struct trial *trial, const struct http_probe *probe)
{
    try_once(trial, probe);
    while (strcmp(trial->refused, "no-agent") == 0 && trial->waits < AGENT_WAITS) {
        trial->waits++;
        sleep_ms(AGENT_WAIT_MS);
        try_once(trial, probe);
    }
}

static void print_row(const char *what, const char *verdict, const char *detail)
{
    char *first = memory_format("    %-10s %-4s ", what, verdict);
    terminal_wrap(first, (unsigned)strlen(first), detail, terminal_columns());
    free(first);
}

enum verdict { VERDICT_BAD, VERDICT_OK, VERDICT_DEPENDS /* on who comes: told, and no fault */ };

static bool row_of(const char *what, enum verdict verdict, const char *detail)
{
    static const char *const WORDS[] = {"BAD", "ok", "-"};
    print_row(what, WORDS[verdict], detail);
    return verdict != VERDICT_BAD;
}

static bool row(const char *what, bool good, const char *detail)
{
    return row_of(what, good ? VERDICT_OK : VERDICT_BAD, detail);
}

static bool is_kept_out(struct slice refused)
{
    return refused_as_unserved(refused) || refused_as_not_let_in(refused);
}

static bool row_of_kept_out(const char *what, const char *from, struct slice refused)
{
    char *detail = memory_format("not looked at: as the tenant is configured, it does not serve "
                                 "%s (%.*s)",
                                 from, SLICE_PRINT(refused));
    print_row(what, "-", detail);
    free(detail);
    return true;
}

/* Why there was no answer. TLS has few words for it. */
static const char *failure_of(const struct trial *trial)
{
    return strstr(trial->failure, "unrecognized name") != NULL
               ? "HAProxy has no certificate for this name yet"
               : trial->failure;
}

/* Returns whether the bind is well, with what there is to tell of it, or of what is wrong. */
typedef enum verdict look_fn(struct trial *trial, const char *host, const char *address,
                             char detail[DETAIL_SIZE]);

static enum verdict http_is_well(struct trial *trial, const char *host, const char *address,
                                 char detail[DETAIL_SIZE])
{
    const struct http_probe probe = {.host = host, .connect_to = address, .path = "/"};
    try(trial, &probe);
    bool good =
        trial->status == 308 && slice_starts_with(slice_of(trial->location), SLICE("https://"));
    if (trial->result != HTTP_PROBE_ANSWERED)
        snprintf(detail, DETAIL_SIZE, "%s: %s", address, trial->failure);
    else if (good)
        snprintf(detail, DETAIL_SIZE, "goes to %s", trial->location);
    else
        snprintf(detail, DETAIL_SIZE, "%s: %d, and not a redirect to https", address,
                 trial->status);
    return good ? VERDICT_OK : VERDICT_BAD;
}

/* What the daemon tells of the certificate that is shown; NULL: it is none of its own. */
static const struct json *find_shown(const struct trial *trial)
{
    return told_certificate_with(trial->certificates, "serial", trial->certificate.serial);
}

/* By the roots of this machine, which are a browser's mostly, and those that the configured CAs are
 * verified with. Where neither is above what a configured CA has issued, it is a trial's, or a
 * house's own, whose root the users' machines may have: nobody here can tell. */
static enum verdict browsers_trust(const struct trial *trial, const char *about,
                                   char detail[DETAIL_SIZE])
{
    const struct acme_settings *acme = &trial->configuration->acme;
    const char *const ca_files[] = {acme->ca_file, acme->second_ca_file};
    const struct json *told = find_shown(trial);
    struct error_text why;
    enum error error =
        crypto_chain_verify(bytes_slice(&trial->chain), ca_files, COUNT_OF(ca_files), &why);
    if (error == ERROR_OK) {
        snprintf(detail, DETAIL_SIZE, "%s", about);
        return VERDICT_OK;
    }
    if (told == NULL) {
        snprintf(detail, DETAIL_SIZE,
                 "%s, which browsers do not trust (%s), and which the daemon does not have: "
                 "owui-spoa certs",
                 about, why.text);
        return VERDICT_BAD;
    }
    if (view_certificate_is_untrusted(told)) {
        snprintf(detail, DETAIL_SIZE,
                 "%s, which browsers do not trust (%s): %.*s, where it is from, is configured no "
                 "longer, and the daemon orders another: owui-spoa certs",
                 about, why.text, SLICE_PRINT(json_get_text(told, "ca")));
        return VERDICT_BAD;
    }
    snprintf(detail, DETAIL_SIZE,
             "%s, which browsers do not trust unless they have its CA's root (%s): after a trial, "
             "the same without --staging has it replaced",
             about, why.text);
    return VERDICT_DEPENDS;
}

static enum verdict certificate_is_well(struct trial *trial, const char *host, const char *address,
                                        char detail[DETAIL_SIZE])
{
    char day[32], about[ABOUT_SIZE];
    struct tm end;
    const struct http_probe probe = {.host = host, .connect_to = address};
    try(trial, &probe);
    if (!trial->certified) {
        snprintf(detail, DETAIL_SIZE, "%s: none is shown: %s", address, failure_of(trial));
        return VERDICT_BAD;
    }
    time_t not_after = (time_t)trial->certificate.not_after_s;
    strftime(day, sizeof(day), "%Y-%m-%d", gmtime_r(&not_after, &end));
    bool covers = crypto_certificate_covers(&trial->certificate, host);
    bool valid = trial->certificate.not_after_s > clock_wall_s();
    snprintf(about, sizeof(about), "certificate by \"%s\", until %s", trial->certificate.issuer,
             day);
    if (covers && valid)
        return browsers_trust(trial, about, detail);
    snprintf(detail, DETAIL_SIZE, "%s: %s%s", address, about,
             covers ? ", which is over" : ", for another name");
    return VERDICT_BAD;
}

/* One bind after the other, until one is not well. */
static bool look_at_binds(struct trial *trial, const char *what, look_fn *look, const char *host,
                          char *const *addresses)
{
    char detail[DETAIL_SIZE] = "";
    enum verdict verdict = VERDICT_OK;
    for (size_t i = 0; addresses[i] != NULL && verdict != VERDICT_BAD; i++)
        verdict = look(trial, host, addresses[i], detail);
    return verdict == VERDICT_BAD && is_kept_out(slice_of(trial->refused))
               ? row_of_kept_out(what, "this machine", slice_of(trial->refused))
               : row_of(what, verdict, detail);
}

/* Where browsers come in. */
struct entrance {
    const char *address; /* NULL: it is not known */
    const char *scheme;
    char *authority; /* the host and, unless it is the usual one, the port that they write */
    bool tls;
};

/* That of http is for what is no redirect there. For free(): `authority`. */
static struct entrance entrance_of(const struct setup_tenant *tenant, const char *http,
                                   const char *https, unsigned https_port)
{
    bool tls = tenant->https && https != NULL;
    return (struct entrance){
        .address = tenant->https ? https : http,
        .scheme = tenant->https ? "https" : "http", /* TLS may end in front of HAProxy */
        .authority = tls && https_port != 0 ? memory_format("%s:%u", tenant->host, https_port)
                                            : memory_copy_text(slice_of(tenant->host)),
        .tls = tls,
    };
}

static bool look_at_health(struct trial *trial, const struct setup_tenant *tenant,
                           const struct entrance *entrance)
{
    char detail[DETAIL_SIZE];
    const struct http_probe probe = {.host = entrance->authority,
                                     .connect_to = entrance->address,
                                     .path = "/health",
                                     .tls = entrance->tls};
    try(trial, &probe);
    bool good = trial->status == 200;
    if (is_kept_out(slice_of(trial->refused)))
        return row_of_kept_out(entrance->scheme, "this machine", slice_of(trial->refused));
    if (good)
        snprintf(detail, sizeof(detail), "/health of %s says 200", tenant->upstream);
    else if (trial->result != HTTP_PROBE_ANSWERED)
        snprintf(detail, sizeof(detail), "%s", failure_of(trial));
    else
        snprintf(detail, sizeof(detail), "%d: is Open WebUI running at %s?", trial->status,
                 tenant->upstream);
    return row(entrance->scheme, good, detail);
}

static bool look_at_websocket(struct trial *trial, const struct setup_tenant *tenant,
                              const struct entrance *entrance)
{
    char detail[DETAIL_SIZE];
    char *origin = memory_format("%s://%s", entrance->scheme, entrance->authority);
    const struct http_probe probe = {.host = entrance->authority,
                                     .connect_to = entrance->address,
                                     .path = "/ws/socket.io/?EIO=4&transport=websocket",
                                     .tls = entrance->tls,
                                     .websocket_origin = origin};
    try(trial, &probe);
    bool good = trial->status == STATUS_SWITCHING;
    bool kept_out = is_kept_out(slice_of(trial->refused));
    if (good)
        snprintf(detail, sizeof(detail), "opens, from pages of %s", origin);
    else if (trial->result != HTTP_PROBE_ANSWERED)
        snprintf(detail, sizeof(detail), "%s", failure_of(trial));
    else if (trial->status >= 500)
        snprintf(detail, sizeof(detail), "%d: is Open WebUI running at %s?", trial->status,
                 tenant->upstream);
    else
        snprintf(detail, sizeof(detail),
                 "%d: chats would not answer; CORS_ALLOW_ORIGIN has to be %s", trial->status,
                 origin);
    free(origin);
    return kept_out ? row_of_kept_out("WebSocket", "this machine", slice_of(trial->refused))
                    : row("WebSocket", good, detail);
}

/* Whoever is asked for as the client. */
#define CLIENT "203.0.113.7"

/* NULL for the answer: there is none, for this reason. */
static bool row_of_headers(const struct json *answer, const char *why, const char *scheme,
                           const char *url)
{
    const struct json *set = json_get(json_get(answer, "headers"), "set");
    struct slice refused = json_get_text(answer, "reason");
    bool good = slice_equal(json_get_text(set, "X-Forwarded-For"), SLICE(CLIENT)) &&
                slice_equal(json_get_text(set, "X-Forwarded-Proto"), slice_of(scheme));
    if (is_kept_out(refused))
        return row_of_kept_out("headers", CLIENT, refused);
    char *detail =
        good ? memory_format("X-Forwarded-Proto %s, X-Forwarded-For with the client's address "
                             "alone, whatever a client claims (owui-spoa explain %s)",
                             scheme, url)
        : answer == NULL
            ? memory_format("%s", why)
            : memory_format("not as they are to be (%.*s): owui-spoa explain --from %s %s",
                            SLICE_PRINT(json_get_text(answer, "decision")), CLIENT, url);
    row("headers", good, detail);
    free(detail);
    return good;
}

/* Open WebUI echoes no header, so the daemon is asked what it sends with the request of a client
 * that claims to be another one. */
static bool look_at_headers(const struct setup_plan *plan, const char *host, const char *scheme)
{
    struct error_text why = {""};
    unsigned status = 0;
    struct json *body = json_new_object(), *lies = json_new_array();
    char *url = memory_format("%s://%s/", scheme, host);
    json_put_text(body, "url", slice_of(url));
    json_put_text(body, "from", SLICE(CLIENT));
    json_append_text(lies, SLICE("X-Forwarded-For: 198.51.100.66"));
    json_append_text(lies, SLICE("X-Forwarded-Proto: gopher"));
    json_put(body, "headers", lies);
    struct json *answer = admin_request(plan->whole.configuration->admin_socket, "POST",
                                        "/v1/explain", body, &status, &why);
    bool good = row_of_headers(answer, why.text, scheme, url);
    free(url);
    json_free(answer);
    json_free(body);
    return good;
}

static bool look_at_tenant(const struct setup_plan *plan, struct trial *trial,
                           const struct setup_tenant *tenant, char *const *http, char *const *https)
{
    const unsigned https_port = plan->whole.configuration->settings->https_port;
    const struct entrance entrance = entrance_of(tenant, http[0], https[0], https_port);
    bool good = true;
    printf("\n  %s\n", tenant->host);
    if (entrance.tls && http[0] != NULL)
        good &= look_at_binds(trial, "http", http_is_well, tenant->host, http);
    if (entrance.tls)
        good &= look_at_binds(trial, "TLS", certificate_is_well, tenant->host, https);
    if (entrance.address != NULL) {
        good &= look_at_health(trial, tenant, &entrance);
        good &= look_at_websocket(trial, tenant, &entrance);
    }
    good &= look_at_headers(plan, tenant->host, entrance.scheme);
    free(entrance.authority);
    return good;
}

bool setup_look(const struct setup_plan *plan)
{
    const struct configuration *configuration = plan->whole.configuration;
    const struct hap_config *haproxy = &configuration->haproxy;
    const struct http_client_settings settings = {.timeout_ms = TRY_MS, .connect_ms = TRY_MS};
    struct error_text why = {"there is no memory for it"};
    struct trial trial = {.loop = main_loop_new(&why), .configuration = configuration};
    bool good = trial.loop != NULL;
    if (good)
        trial.client = http_client_new(trial.loop, &settings, &why);
    good = good && trial.client != NULL;
    if (!good)
        terminal_complain("%s", why.text);
    trial.certificates = ask_certificates(configuration->admin_socket, &why);
    char **http = loopbacks_of_binds(haproxy->http, haproxy->http_count);
    char **https = loopbacks_of_binds(haproxy->https, haproxy->https_count);
    if (good)
        puts("\nwhat works:");
    for (size_t i = 0; i < plan->tenant_count && trial.client != NULL; i++)
        if (plan->tenants[i].host != NULL)
            good &= look_at_tenant(plan, &trial, &plan->tenants[i], http, https);
    forget(&trial);
    json_free(trial.certificates);
    loopbacks_free(http);
    loopbacks_free(https);
    http_client_free(trial.client);
    main_loop_free(trial.loop);
    return good;
}
