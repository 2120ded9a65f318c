/* What is served, seen from outside: see handshake.h. */
#include "handshake.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "sidecar/loopback.h"
#include "sidecar_state.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    TRIES = 4, /* before what is seen is believed: a reload may be under way */
    RETRY_MS = 500,
    PROBLEM_SIZE = 400,
};

/* One certificate, looked at for one host after the other, on one bind after the other: another
 * file in HAProxy's folder may be for one of the hosts alone. */
struct handshake {
    struct handshakes *handshakes;
    struct handshake *next;
    char *name; /* of the certificate */
    char **hosts;
    size_t host_count;
    size_t host;
    size_t bind;
    bool is_given;              /* somebody else's, with whatever key */
    bool any_key;               /* this bind shakes no hands for its own kind of key alone */
    bool is_served;             /* for some host, on some bind */
    bool is_bearable;           /* what is served where `problem` is */
    char problem[PROBLEM_SIZE]; /* the first one; "": none so far */
    struct overlap overlap;     /* the last one, or the last worse one */
    unsigned tries;
    struct http_exchange *exchange;
    struct main_timer *timer;
};

struct handshakes {
    struct sidecar *sidecar;
    struct loopback_door *binds;
    size_t bind_count;
    struct handshake *first;
};

static void look(struct handshake *handshake);

static void handshake_free(struct handshake *handshake)
{
    http_exchange_cancel(handshake->exchange);
    main_timer_free(handshake->timer);
    free(handshake->name);
    free(handshake->overlap.name);
    memory_free_texts(handshake->hosts, handshake->host_count);
    free(handshake);
}

static void end(struct handshake *handshake)
{
    struct handshake **link = &handshake->handshakes->first;
    while (*link != handshake)
        link = &(*link)->next;
    *link = handshake->next;
    handshake_free(handshake);
}

static const char *bind_of(const struct handshake *handshake)
{
    return handshake->handshakes->binds[handshake->bind].address;
}

static const char *host_of(const struct handshake *handshake)
{
    return handshake->hosts[handshake->host];
}

/* -- What to make of it ------------------------------------------------------------------------ */

static void set_alarm(struct certificate *certificate, const char *alarm)
{
    free(certificate->service.alarm);
    certificate->service.alarm = memory_copy_optional(alarm);
}

static void roll_back(struct sidecar *sidecar, struct certificate *certificate)
{
    struct error_text why;
    if (certificate->service.rolled_back)
        return;
    certificate->service.rolled_back = true;
    if (sidecar_roll_back(sidecar, certificate, &why) != ERROR_OK)
        log_event(LOG_ERROR, "not_rolled_back", LOG_TEXT("certificate", certificate->name),
                  LOG_TEXT("reason", why.text));
    else
        log_event(LOG_WARNING, "rolled_back", LOG_TEXT("certificate", certificate->name));
}

/* Fills `problem` with what is served instead; true when a browser would take it. */
static bool describe_other(struct handshake *handshake, const struct http_probe_answer *answer)
{
    char *problem = handshake->problem;
    struct crypto_certificate other;
    const char *host = host_of(handshake), *bind = bind_of(handshake);
    if (answer->result != HTTP_PROBE_ANSWERED) {
        snprintf(problem, PROBLEM_SIZE, "no TLS handshake with %s for %s: %s", bind, host,
                 answer->failure);
        return false;
    }
    enum error error = crypto_certificate_read(answer->certificate, &other, NULL);
    if (error != ERROR_OK) {
        snprintf(problem, PROBLEM_SIZE, "%s serves a certificate for %s that %s", bind, host,
                 error == ERROR_NO_MEMORY ? "cannot be read: out of memory" : "is unreadable");
        return error == ERROR_NO_MEMORY;
    }
    bool covers = crypto_certificate_covers(&other, host);
    bool expired = other.not_after_s <= clock_wall_s();
    /* On this bind it would have been served for the host before. */
    bool is_other_program = handshake->is_served && handshake->host == 0;
    snprintf(problem, PROBLEM_SIZE,
             "%s serves another certificate for %s: serial %s, issuer \"%s\"%s%s; %s%s?", bind,
             host, other.serial, other.issuer, covers ? "" : ", which is for other names",
             expired ? ", which has expired" : "",
             is_other_program ? "does HAProxy listen there, or another program"
                              : "is there another file for it in ",
             is_other_program ? "" : handshake->handshakes->sidecar->crt_list);
    crypto_certificate_free(&other);
    return covers && !expired;
}

/* HAProxy's binds have the same certificates: one that is served on one of them, or for one of its
 * hosts, is not what is wrong elsewhere, and the one before would not be served there either. */
static void conclude_wrong(const struct handshake *handshake, struct certificate *certificate)
{
    log_event(LOG_ERROR, "served_wrong", LOG_TEXT("certificate", certificate->name),
              LOG_TEXT("reason", handshake->problem));
    set_alarm(certificate, handshake->problem);
    if (!handshake->is_bearable && !handshake->is_served && !certificate->is_given)
        roll_back(handshake->handshakes->sidecar, certificate);
}

static void conclude(const struct handshake *handshake, struct certificate *certificate)
{
    if (handshake->problem[0] != '\0') {
        conclude_wrong(handshake, certificate);
    } else if (handshake->is_served || handshake->overlap.name != NULL) {
        set_alarm(certificate, NULL);
        certificate->service.rolled_back = false;
    }
    overlap_note(handshake->handshakes->sidecar, certificate, &handshake->overlap);
}

static void note_unknown(struct handshake *handshake, const char *reason)
{
    log_event(LOG_WARNING, "handshake_impossible", LOG_TEXT("certificate", handshake->name),
              LOG_TEXT("address", bind_of(handshake)), LOG_TEXT("reason", reason));
}

/* -- Shaking hands ----------------------------------------------------------------------------- */

static bool is_on_disk(const struct handshake *handshake, struct slice pem)
{
    struct crypto_certificate served, wanted;
    const struct sidecar *sidecar = handshake->handshakes->sidecar;
    if (crypto_certificate_read(pem, &served, NULL) != ERROR_OK)
        return false;
    bool same = false;
    if (store_certificate(sidecar->store, handshake->name, &wanted, NULL) == ERROR_OK) {
        same = memcmp(served.sha256, wanted.sha256, sizeof(served.sha256)) == 0;
        crypto_certificate_free(&wanted);
    }
    crypto_certificate_free(&served);
    return same;
}

/* To the bind's next host, if there has been a handshake for this one, else to the next bind: what
 * is in the way of one is so for each host. After what is wrong nothing more is waited for. */
static void look_on(struct handshake *handshake, struct certificate *certificate, bool was_shaken)
{
    handshake->tries = handshake->problem[0] != '\0' ? TRIES - 1 : 0;
    if (!was_shaken || ++handshake->host == handshake->host_count) {
        handshake->host = 0;
        handshake->bind++;
        handshake->any_key = false;
    }
    if (handshake->bind < handshake->handshakes->bind_count) {
        look(handshake);
        return;
    }
    conclude(handshake, certificate);
    end(handshake);
}

static bool has_two_keys(const struct handshake *handshake)
{
    const struct sidecar *sidecar = handshake->handshakes->sidecar;
    return sidecar->rsa && sidecar->ecdsa && !handshake->is_given;
}

/* The one of the tenant's two certificates that was not asked for. */
static bool shows_the_other_key(const struct handshake *handshake,
                                const struct certificate *certificate, struct slice pem)
{
    struct crypto_certificate shown;
    if (!handshake->any_key || crypto_certificate_read(pem, &shown, NULL) != ERROR_OK)
        return false;
    bool is_other =
        crypto_key_type_is_ec(shown.key_type) != crypto_key_type_is_ec(certificate->key_type) &&
        crypto_certificate_covers(&shown, host_of(handshake));
    crypto_certificate_free(&shown);
    return is_other;
}

/* What is worse is put behind this one, whatever is shown for other hosts. */
static void keep_overlap(struct handshake *handshake, const struct overlap *seen)
{
    if (handshake->overlap.is_worse && !seen->is_worse) {
        free(seen->name);
        return;
    }
    free(handshake->overlap.name);
    handshake->overlap = *seen;
}

/* Another one of ours is good enough, whosever the host is now. The one before this one would stand
 * behind it no less, so that nothing is put back for one that is of no use any more. */
static bool shows_another_of_ours(struct handshake *handshake,
                                  const struct certificate *certificate, struct slice pem)
{
    struct overlap overlap;
    struct crypto_certificate shown;
    if (crypto_certificate_read(pem, &shown, NULL) != ERROR_OK)
        return false;
    bool is_ours = crypto_certificate_covers(&shown, host_of(handshake)) &&
                   overlap_find(handshake->handshakes->sidecar, certificate, &shown, &overlap);
    crypto_certificate_free(&shown);
    if (!is_ours)
        return false;
    if (overlap.has_expired && handshake->problem[0] == '\0') {
        handshake->is_bearable = true;
        snprintf(handshake->problem, PROBLEM_SIZE,
                 "%s serves %s for %s, which is for that host, too, and has expired: `owui-spoa "
                 "certs` tells why it was not renewed",
                 bind_of(handshake), overlap.name, host_of(handshake));
    }
    keep_overlap(handshake, &overlap);
    return true;
}

/* What was seen last is believed. Which of two keys is shown, a client can choose up to TLS 1.2
 * alone: where HAProxy speaks TLS 1.3 and no other, or has no ciphers for one kind, that there was
 * no handshake for it proves nothing, and there is another one for any key. */
static void judge(struct handshake *handshake, struct certificate *certificate,
                  const struct http_probe_answer *answer)
{
    bool shaken = answer->result == HTTP_PROBE_ANSWERED;
    bool refused = answer->result == HTTP_PROBE_NO_TLS;
    if (refused && has_two_keys(handshake) && !handshake->any_key) {
        handshake->any_key = true;
        handshake->tries = TRIES - 1;
        look(handshake);
    } else if (shaken && shows_the_other_key(handshake, certificate, answer->certificate)) {
        note_unknown(handshake, "the certificate with the tenant's other kind of key is shown");
        look_on(handshake, certificate, false);
    } else if (shaken && shows_another_of_ours(handshake, certificate, answer->certificate)) {
        look_on(handshake, certificate, true);
    } else if (shaken || refused) {
        if (handshake->problem[0] == '\0')
            handshake->is_bearable = describe_other(handshake, answer);
        look_on(handshake, certificate, true);
    } else {
        note_unknown(handshake, answer->failure);
        look_on(handshake, certificate, false);
    }
}

static void on_shaken(void *context, const struct http_probe_answer *answer)
{
    struct handshake *handshake = context;
    const struct sidecar *sidecar = handshake->handshakes->sidecar;
    struct certificate *certificate = certificate_list_find(sidecar->list, handshake->name);

    handshake->exchange = NULL;
    if (certificate == NULL) {
        end(handshake);
        return;
    }
    /* One that is on its way anew is looked at when it has arrived, were it for nothing. */
    if (sidecar_is_pending(sidecar, certificate)) {
        certificate->service.swapped = true;
        end(handshake);
        return;
    }
    if (answer->result == HTTP_PROBE_ANSWERED && is_on_disk(handshake, answer->certificate)) {
        handshake->is_served = true;
        look_on(handshake, certificate, true);
    } else if (++handshake->tries < TRIES) {
        main_timer_once(handshake->timer, RETRY_MS);
    } else {
        judge(handshake, certificate, answer);
    }
}

static void look(struct handshake *handshake)
{
    const struct handshakes *handshakes = handshake->handshakes;
    const struct sidecar *sidecar = handshakes->sidecar;
    struct http_probe probe = {.host = host_of(handshake),
                               .connect_to = bind_of(handshake),
                               .proxy_line = handshakes->binds[handshake->bind].needs_proxy_line};
    if (has_two_keys(handshake) && !handshake->any_key)
        probe.key = slice_ends_with(slice_of(handshake->name), SLICE(".rsa")) ? HTTP_PROBE_RSA
                                                                              : HTTP_PROBE_ECDSA;
    handshake->exchange = http_client_probe(sidecar->probes, &probe, on_shaken, handshake);
    if (handshake->exchange == NULL)
        end(handshake);
}

static void on_retry(void *context)
{
    look(context);
}

/* Of a wildcard, some name below it. */
static char *asked_name(const char *host)
{
    return host[0] == '*' ? memory_format("owui-spoa%s", host + 1)
                          : memory_copy_text(slice_of(host));
}

/* Those hosts that the certificate on disk is for: a dead one may have been left out. */
static size_t copy_hosts(const struct sidecar *sidecar, const struct certificate *certificate,
                         char ***hosts)
{
    struct crypto_certificate about;
    size_t count = 0;
    if (store_certificate(sidecar->store, certificate->name, &about, NULL) != ERROR_OK)
        return 0;
    *hosts = memory_new(certificate->host_count * sizeof(**hosts));
    for (size_t i = 0; i < certificate->host_count; i++)
        if (crypto_certificate_covers(&about, certificate->hosts[i]))
            (*hosts)[count++] = asked_name(certificate->hosts[i]);
    crypto_certificate_free(&about);
    return count;
}

void handshakes_check(struct handshakes *handshakes, const struct certificate *certificate)
{
    char **hosts = NULL;
    size_t host_count = 0;
    if (handshakes->bind_count > 0)
        host_count = copy_hosts(handshakes->sidecar, certificate, &hosts);
    if (host_count == 0) {
        free(hosts);
        return;
    }
    struct handshake *handshake = memory_new(sizeof(*handshake));
    handshake->handshakes = handshakes;
    handshake->name = memory_copy_text(slice_of(certificate->name));
    handshake->is_given = certificate->is_given;
    handshake->hosts = hosts;
    handshake->host_count = host_count;
    handshake->timer = main_timer_new(handshakes->sidecar->loop, on_retry, handshake);
    handshake->next = handshakes->first;
    handshakes->first = handshake;
    look(handshake);
}

struct handshakes *handshakes_new(struct sidecar *sidecar, const struct sidecar_settings *settings)
{
    struct handshakes *handshakes = memory_new(sizeof(*handshakes));
    handshakes->sidecar = sidecar;
    handshakes->bind_count = loopback_doors_of_binds(
        settings->https, settings->https_count, settings->proxy_protocol_from,
        settings->proxy_protocol_from_count, &handshakes->binds);
    return handshakes;
}

void handshakes_free(struct handshakes *handshakes)
{
    if (handshakes == NULL)
        return;
    for (struct handshake *handshake = handshakes->first, *next; handshake != NULL;
         handshake = next) {
        next = handshake->next;
        handshake_free(handshake);
    }
    loopback_doors_free(handshakes->binds, handshakes->bind_count);
    free(handshakes);
}
