/* Certificates of CAs that are configured no longer: see worker.h.
 *
 * Which CA is asked is a line of the configuration, and a certificate that is trusted is as good as
 * before when it changes: it is renewed from the new one when its time comes. To order all at once
 * would use up the new CA's limits for days, in which new tenants would wait behind renewals that
 * nobody needs, and would put a trial's certificates in the place of good ones. One that nobody
 * trusts serves nobody: another is due at once.
 */
#include "worker.h"

#include "core/log.h"
#include "core/memory.h"

#include <stdlib.h>

/* All certificates of a CA are alike in this: one of them is looked at, and not thousands. */
struct left_ca {
    struct left_ca *next;
    char *directory_url;
    bool is_trusted;
};

/* Nothing comes from where failed orders are tried again, which is a trial's mostly. */
static bool is_configured(const struct certificate *certificate)
{
    static const enum schedule_ca ISSUING[] = {SCHEDULE_CA_FIRST, SCHEDULE_CA_SECOND};
    const struct acme_worker *worker = certificate->worker;
    for (size_t i = 0; i < COUNT_OF(ISSUING); i++)
        if (worker->has_ca[ISSUING[i]] && worker_has_issued(&worker->cas[ISSUING[i]], certificate))
            return true;
    return false;
}

static void tell_left(const struct left_ca *left, const char *reason)
{
    log_event(LOG_NOTICE, "acme_ca_left", LOG_TEXT("ca", left->directory_url),
              LOG_TEXT("reason", left->is_trusted ? NULL : reason),
              LOG_TEXT("consequence",
                       left->is_trusted
                           ? "it is configured no longer: its certificates stay until their renewal"
                           : "it is configured no longer, and not trusted here: its certificates "
                             "are replaced now"));
}

/* By the system's roots, or those that the CAs themselves are verified with: a house's own CA may
 * have moved. A file that cannot be read now says nothing against anybody. */
static enum error verify(const struct certificate *certificate, struct error_text *why)
{
    const struct acme_worker *worker = certificate->worker;
    const char *const ca_files[] = {worker->settings.cas[SCHEDULE_CA_FIRST].ca_file,
                                    worker->settings.cas[SCHEDULE_CA_SECOND].ca_file};
    struct bytes pem = {0};
    if (store_read(worker->store, certificate->name, &pem, why) != ERROR_OK)
        return ERROR_BUSY;
    enum error error = crypto_chain_verify(bytes_slice(&pem), ca_files, COUNT_OF(ca_files), why);
    bytes_free(&pem);
    return error;
}

static bool is_trusted(const struct certificate *certificate)
{
    struct acme_worker *worker = certificate->worker;
    struct error_text why = {0};
    for (const struct left_ca *left = worker->left_cas; left != NULL; left = left->next)
        if (strcmp(left->directory_url, certificate->issuer_directory) == 0)
            return left->is_trusted;
    enum error error = verify(certificate, &why);
    if (error != ERROR_OK && error != ERROR_INVALID)
        return true;
    struct left_ca *left = memory_new(sizeof(*left));
    *left =
        (struct left_ca){.next = worker->left_cas,
                         .directory_url = memory_copy_text(slice_of(certificate->issuer_directory)),
                         .is_trusted = error == ERROR_OK};
    worker->left_cas = left;
    tell_left(left, why.text);
    return left->is_trusted;
}

void worker_look_at_issuer(struct certificate *certificate)
{
    certificate->is_untrusted = certificate->in_service.names != NULL &&
                                certificate->issuer_directory != NULL &&
                                !is_configured(certificate) && !is_trusted(certificate);
}

void worker_free_left_cas(struct acme_worker *worker)
{
    for (struct left_ca *next; worker->left_cas != NULL; worker->left_cas = next) {
        next = worker->left_cas->next;
        free(worker->left_cas->directory_url);
        free(worker->left_cas);
    }
}
