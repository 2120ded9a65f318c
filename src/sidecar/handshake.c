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
    PROBLEM_SIZE = 500,
    AT_ONCE = 32, /* but for those after a swap */
    HOUR_MS = 3600 * 1000,
    DAY_MS = 24 * HOUR_MS,
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
    bool follows_swap;          /* which may be to blame */
    bool any_key;               /* this bind shakes no hands for its own kind of key alone */
    bool is_served;             /* for some host, on some bind */
    bool is_another;            /* one for the host is served where `problem` is: no swap's fault */
    char problem[PROBLEM_SIZE]; /* the first one; "": none so far */
    int64_t shown_until_s;      /* the first end of what was seen; 0: nothing was */
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
    size_t room; /* for those that no swap is the reason of */
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
    if (sidecar_roll_back(sidecar, certificate, &why) != ERROR_OK)
        log_event(LOG_ERROR, "not_rolled_back", LOG_TEXT("certificate", certificate->name),
                  LOG_TEXT("reason", why.text));
    else
        log_event(LOG_WARNING, "rolled_back", LOG_TEXT("certificate", certificate->name));
}

/* Fills `problem` with what is served instead; true when it is for the host. */
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
    char *question = is_other_program
                         ? memory_format("does HAProxy listen there, or another program?")
                         : memory_format("is there another file for it in %s?%s",
                                         handshake->handshakes->sidecar->crt_list,
                                         covers ? " `owui-spoa doctor` names it" : "");
    snprintf(problem, PROBLEM_SIZE,
             "%s serves another certificate for %s: serial %s, issuer \"%s\"%s%s; %s", bind, host,
             other.serial, other.issuer, covers ? "" : ", which is for other names",
             expired ? ", which has expired" : "", question);
    free(question);
    crypto_certificate_free(&other);
    return covers;
}

/* HAProxy's binds have the same certificates: one that is served on one of them, or for one of its
 * hosts, is not what is wrong elsewhere, and the one before would not be served there either. Nor
 * would it where something was wrong already. */
static void conclude_wrong(const struct handshake *handshake, struct certificate *certificate)
{
    const char *before = certificate->service.alarm;
    bool is_new = before == NULL;
    if (handshake->follows_swap || is_new || strcmp(before, handshake->problem) != 0)
        log_event(LOG_ERROR, "served_wrong", LOG_TEXT("certificate", certificate->name),
                  LOG_TEXT("reason", handshake->problem));
    set_alarm(certificate, handshake->problem);
    if (handshake->follows_swap && is_new && !handshake->is_another && !handshake->is_served &&
        !certificate->is_given)
        roll_back(handshake->handshakes->sidecar, certificate);
}

static void conclude(const struct handshake *handshake, struct certificate *certificate)
{
    if (handshake->problem[0] != '\0') {
        conclude_wrong(handshake, certificate);
    } else if (handshake->is_served || handshake->overlap.name != NULL) {
        set_alarm(certificate, NULL);
    }
    if (handshake->shown_until_s > clock_wall_s())
        certificate->service.shown_until_s = handshake->shown_until_s;
    overlap_note(handshake->handshakes->sidecar, certificate, &handshake->overlap);
}

/* Told after a swap alone, or it would be of each certificate at each start of HAProxy. */
static void note_unknown(const struct handshake *handshake, const char *reason)
{
    if (!handshake->follows_swap)
        return;
    log_event(LOG_WARNING, "handshake_impossible", LOG_TEXT("certificate", handshake->name),
              LOG_TEXT("address", bind_of(handshake)), LOG_TEXT("reason", reason));
}

/* -- Shaking hands ----------------------------------------------------------------------------- */

static void note_end(struct handshake *handshake, int64_t not_after_s)
{
    if (handshake->shown_until_s == 0 || not_after_s < handshake->shown_until_s)
        handshake->shown_until_s = not_after_s;
}

static bool is_on_disk(struct handshake *handshake, struct slice pem)
{
    struct crypto_certificate served, wanted;
    const struct sidecar *sidecar = handshake->handshakes->sidecar;
    if (crypto_certificate_read(pem, &served, NULL) != ERROR_OK)
        return false;
    note_end(handshake, served.not_after_s);
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
        handshake->is_another = true;
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
            handshake->is_another = describe_other(handshake, answer);
        look_on(handshake, certificate, true);
    } else {
        note_unknown(handshake, answer->failure);
        look_on(handshake, certificate, false);
    }
}

/* To when HAProxys are asked about it next. */
static void put_off(struct handshake *handshake, struct certificate *certificate)
{
    certificate->service.swapped |= handshake->follows_swap;
    certificate->service.doubted = true;
    end(handshake);
}

/* One that is on its way anew, or will be, is looked at when it has arrived, were it for nothing.
 */
static bool is_on_its_way(const struct sidecar *sidecar, const struct certificate *certificate)
{
    struct file_stamp file = store_stamp(sidecar->store, certificate->name);
    return sidecar_is_pending(sidecar, certificate) ||
           !file_stamp_equal(&file, &certificate->looked_at);
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
    if (is_on_its_way(sidecar, certificate)) {
        put_off(handshake, certificate);
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

/* What it has seen so far may be over. Whether it was to follow a swap. */
static bool end_older(struct handshakes *handshakes, const char *name)
{
    struct handshake *older = handshakes->first;
    while (older != NULL && strcmp(older->name, name) != 0)
        older = older->next;
    if (older == NULL)
        return false;
    bool follows_swap = older->follows_swap;
    end(older);
    return follows_swap;
}

void handshakes_check(struct handshakes *handshakes, struct certificate *certificate)
{
    struct service *service = &certificate->service;
    char **hosts = NULL;
    size_t host_count = 0;
    bool follows_swap = end_older(handshakes, certificate->name) || service->swapped;
    service->swapped = service->doubted = false;
    service->looked_ms = clock_mono_ms();
    service->shown_until_s = 0;
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
    handshake->follows_swap = follows_swap;
    handshake->hosts = hosts;
    handshake->host_count = host_count;
    handshake->timer = main_timer_new(handshakes->sidecar->loop, on_retry, handshake);
    handshake->next = handshakes->first;
    handshakes->first = handshake;
    look(handshake);
}

/* HAProxy may have another file for the name without a word, and what is wrong may be mended. */
static bool is_time(const struct service *service)
{
    int64_t again_ms = service->alarm != NULL ? HOUR_MS : DAY_MS;
    return service->looked_ms == 0 || clock_mono_ms() - service->looked_ms >= again_ms ||
           (service->shown_until_s != 0 && service->shown_until_s <= clock_wall_s());
}

/* One that did not take it shows the one before, which is known already. */
static bool all_have_it(const struct sidecar *sidecar, const struct certificate *certificate)
{
    for (size_t i = 0; i < sidecar->haproxy_count; i++)
        if (sidecar->haproxys[i].process.pid != 0 && !certificate->deployments[i].deployed)
            return false;
    return true;
}

void handshakes_check_due(struct handshakes *handshakes, struct certificate *certificate)
{
    const struct service *service = &certificate->service;
    if (!service->swapped && !service->doubted) {
        if (handshakes->room == 0 || !is_time(service) ||
            !all_have_it(handshakes->sidecar, certificate))
            return;
        handshakes->room--;
    }
    handshakes_check(handshakes, certificate);
}

void handshakes_make_room(struct handshakes *handshakes)
{
    handshakes->room = AT_ONCE;
    for (const struct handshake *one = handshakes->first; one != NULL; one = one->next)
        if (handshakes->room > 0)
            handshakes->room--;
}

struct handshakes *handshakes_new(struct sidecar *sidecar, const struct sidecar_settings *settings)
{
    struct handshakes *handshakes = memory_new(sizeof(*handshakes));
    handshakes->sidecar = sidecar;
    handshakes->room = AT_ONCE;
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
