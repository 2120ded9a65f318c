/* Names looked at before they are ordered: see examination.h. */
#include "examination.h"

#include "core/log.h"
#include "core/memory.h"
#include "sidecar/caa.h"
#include "sidecar_state.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    TRY_MS = 1000,
    TRIES = 2,
    NAMES_AT_ONCE = 8, /* of one order: a bundle of 100 does not flood the name servers */
};

/* One name. */
struct look {
    struct examination *examination;
    char *name;
    const char *caa_at;   /* in `name`: whose CAA records are asked for */
    unsigned left;        /* answers that have not come */
    bool address_found;   /* or not known, for trouble */
    char *trouble;        /* why something is not known; NULL: nothing is */
    const char *caa_lock; /* in `name`: whose CAA records forbid it; NULL: none do */
};

/* The names of one order. */
struct examination {
    struct examinations *examinations;
    struct examination *next;
    uint64_t ticket;
    char **identities; /* of the CA, in CAA records */
    size_t identity_count;
    char *account_url;
    struct look *looks;
    size_t look_count;
    size_t begun;
    size_t running;
    bool going_on;
};

struct examinations {
    struct sidecar *sidecar;
    struct dns_client *dns;
    struct examination *first;
    bool ending;
};

static void examination_free(struct examination *examination)
{
    for (size_t i = 0; i < examination->look_count; i++) {
        free(examination->looks[i].name);
        free(examination->looks[i].trouble);
    }
    memory_free_texts(examination->identities, examination->identity_count);
    free(examination->account_url);
    free(examination->looks);
    free(examination);
}

/* -- The verdict ------------------------------------------------------------------------------- */

/* Whether the name need not be ordered, and why. */
static bool is_refused(const struct look *look, struct acme_failure *refusal)
{
    const struct examination *examination = look->examination;
    struct acme_problem *problem = &refusal->problem;
    if (look->address_found && look->caa_lock == NULL)
        return false;
    memcpy(refusal->name, look->name, strlen(look->name) + 1);
    if (!look->address_found)
        acme_problem_set(problem, ACME_CLASS_LOCAL,
                         "%s has no address in DNS, neither A nor AAAA: add a record that leads to "
                         "HAProxy, or take the host out of the tenant",
                         look->name);
    else if (examination->identity_count == 0)
        acme_problem_set(problem, ACME_CLASS_LOCAL,
                         "the CAA records of %s forbid every CA to issue for %s", look->caa_lock,
                         look->name);
    else
        acme_problem_set(problem, ACME_CLASS_LOCAL,
                         "the CAA records of %s do not let this CA issue for %s: add CAA 0 issue "
                         "\"%s\"",
                         look->caa_lock, look->name, examination->identities[0]);
    snprintf(problem->type, sizeof(problem->type), "%s", look->address_found ? "caa" : "dns");
    return true;
}

static void unlink_examination(struct examination *examination)
{
    struct examination **link = &examination->examinations->first;
    while (*link != examination)
        link = &(*link)->next;
    *link = examination->next;
}

static void conclude(struct examination *examination)
{
    struct acme_worker *worker = examination->examinations->sidecar->worker;
    uint64_t ticket = examination->ticket;
    struct acme_failure *refused = memory_new(examination->look_count * sizeof(*refused));
    size_t count = 0;
    for (size_t i = 0; i < examination->look_count; i++)
        count += is_refused(&examination->looks[i], &refused[count]);
    unlink_examination(examination);
    examination_free(examination);
    acme_worker_examined(worker, ticket, refused, count);
    free(refused);
}

/* -- Looking ----------------------------------------------------------------------------------- */

static void go_on(struct examination *examination);

static void end_look(struct look *look)
{
    struct examination *examination = look->examination;
    examination->running--;
    if (examination->examinations->ending)
        return;
    if (look->trouble != NULL)
        log_event(LOG_NOTICE, "preflight_dns_unknown", LOG_TEXT("host", look->name),
                  LOG_TEXT("reason", look->trouble), LOG_TEXT("consequence", "the CA is asked"));
    go_on(examination);
}

/* The reason ends with the answer, and the look goes on. */
static void note_trouble(struct look *look, const char *reason)
{
    free(look->trouble);
    look->trouble = memory_copy_text(slice_of(reason));
}

static void one_answer_less(struct look *look)
{
    if (--look->left == 0)
        end_look(look);
}

static void on_addresses(void *context, const struct dns_addresses *addresses)
{
    struct look *look = context;
    if (addresses->status == DNS_TROUBLE)
        note_trouble(look, addresses->reason);
    look->address_found |= addresses->status != DNS_NOTHING;
    one_answer_less(look);
}

static void on_caas(void *context, const struct dns_caas *records);

static void ask_for_caa(struct look *look)
{
    dns_client_caa(look->examination->examinations->dns, look->caa_at, on_caas, look);
}

/* The records of the name count, or else of the nearest above it that has any (RFC 8659 3). */
static void on_caas(void *context, const struct dns_caas *records)
{
    struct look *look = context;
    const struct examination *examination = look->examination;
    const struct caa_issuer issuer = {
        .identities = (const char *const *)examination->identities,
        .identity_count = examination->identity_count,
        .account_url = examination->account_url,
    };
    const char *dot = strchr(look->caa_at, '.');
    if (records->status == DNS_NOTHING && dot != NULL) {
        look->caa_at = dot + 1;
        ask_for_caa(look);
        return;
    }
    if (records->status == DNS_TROUBLE)
        note_trouble(look, records->reason);
    if (records->status == DNS_FOUND && !caa_allows(records->items, records->count, &issuer))
        look->caa_lock = look->caa_at;
    one_answer_less(look);
}

static void begin_look(struct look *look)
{
    struct dns_client *dns = look->examination->examinations->dns;
    look->left = 3;
    dns_client_addresses(dns, look->name, DNS_IPV4, on_addresses, look);
    dns_client_addresses(dns, look->name, DNS_IPV6, on_addresses, look);
    ask_for_caa(look);
}

/* Answers may come at once, and then call this from within itself. */
static void go_on(struct examination *examination)
{
    if (examination->going_on)
        return;
    examination->going_on = true;
    while (examination->begun < examination->look_count && examination->running < NAMES_AT_ONCE) {
        examination->running++;
        begin_look(&examination->looks[examination->begun++]);
    }
    examination->going_on = false;
    if (examination->running == 0)
        conclude(examination);
}

void examinations_begin(void *context, uint64_t ticket, const struct acme_examination *asked)
{
    const struct sidecar *sidecar = context;
    struct examinations *examinations = sidecar->examinations;
    struct examination *examination = memory_new(sizeof(*examination));
    const struct acme_directory *ca = asked->ca;
    *examination = (struct examination){
        .examinations = examinations,
        .next = examinations->first,
        .ticket = ticket,
        .identities = memory_new(ca->caa_identity_count * sizeof(char *)),
        .identity_count = ca->caa_identity_count,
        .account_url = memory_copy_text(slice_of(asked->account_url)),
        .looks = memory_new(asked->name_count * sizeof(struct look)),
        .look_count = asked->name_count,
    };
    for (size_t i = 0; i < ca->caa_identity_count; i++)
        examination->identities[i] = memory_copy_text(slice_of(ca->caa_identities[i]));
    for (size_t i = 0; i < asked->name_count; i++) {
        struct look *look = &examination->looks[i];
        look->examination = examination;
        look->caa_at = look->name = memory_copy_text(slice_of(asked->names[i]));
    }
    examinations->first = examination;
    dns_client_follow(examinations->dns);
    go_on(examination);
}

/* -- Life -------------------------------------------------------------------------------------- */

struct examinations *examinations_new(struct sidecar *sidecar,
                                      const struct sidecar_settings *settings,
                                      struct error_text *why)
{
    const struct dns_client_settings dns = {
        .nameservers = settings->nameservers,
        .nameserver_count = settings->nameserver_count,
        .try_ms = TRY_MS,
        .tries = TRIES,
        .whole_names = true,
    };
    struct examinations *examinations = memory_new(sizeof(*examinations));
    examinations->sidecar = sidecar;
    examinations->dns = dns_client_new(sidecar->loop, &dns, why);
    if (examinations->dns != NULL)
        return examinations;
    free(examinations);
    return NULL;
}

void examinations_free(struct examinations *examinations)
{
    if (examinations == NULL)
        return;
    examinations->ending = true; /* what is under way is cancelled, and nothing follows from it */
    dns_client_free(examinations->dns);
    while (examinations->first != NULL) {
        struct examination *gone = examinations->first;
        examinations->first = gone->next;
        examination_free(gone);
    }
    free(examinations);
}
