/* Certificates that nobody wants any more: see leaving.h. */
#include "leaving.h"

#include "sidecar_state.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"

#include <stdlib.h>

enum {
    LEAVING_MS = 10 * 60 * 1000,
    AWAITED_LOOKS = 12, /* until what stands in for another is looked at again */
};

static bool is_wanted(const struct sidecar *sidecar, const char *name)
{
    return certificate_list_find(sidecar->list, name) != NULL;
}

/* Without a CA and another client's folder to import from, all is the admin's: what was once
 * ordered here, too. */
static bool may_be_ours(const struct sidecar *sidecar)
{
    return sidecar->worker != NULL || sidecar->certbot_live != NULL;
}

static bool is_ours(const struct sidecar *sidecar, const char *name)
{
    return may_be_ours(sidecar) && store_is_ours(sidecar->store, name);
}

/* Whether the wanted one has a host that would be served with nothing, were it not for this one. Of
 * a tenant's two certificates the one with the other kind of key serves nobody that this one
 * served, and may never be there: a CA need not take both kinds. */
static bool is_lacking(const struct sidecar *sidecar, const struct certificate *wanted,
                       const struct crypto_certificate *leaving)
{
    struct crypto_certificate present = {0};
    bool is_lacking = false;
    if (!certificate_fits_key(sidecar, wanted, leaving) ||
        certificate_covered_hosts(wanted, leaving) == 0)
        return false;
    bool is_good = store_certificate(sidecar->store, wanted->name, &present, NULL) == ERROR_OK &&
                   present.not_after_s > clock_wall_s();
    for (size_t i = 0; i < wanted->host_count && !is_lacking; i++)
        is_lacking = crypto_certificate_covers(leaving, wanted->hosts[i]) &&
                     !(is_good && crypto_certificate_covers(&present, wanted->hosts[i]));
    crypto_certificate_free(&present);
    return is_lacking;
}

/* A host may be another tenant's by now, or the same one's under another name ("x.pem.rsa" after
 * "x.pem" has the other kind of key): until there is one that takes over, the one before serves,
 * as long as a browser takes it. */
static bool stands_in(const struct sidecar *sidecar, const char *name)
{
    struct crypto_certificate about;
    if (store_certificate(sidecar->store, name, &about, NULL) != ERROR_OK)
        return false;
    bool is_needed = false;
    if (about.not_after_s > clock_wall_s())
        for (size_t i = 0; i < sidecar->list->count && !is_needed; i++)
            is_needed = is_lacking(sidecar, sidecar->list->items[i], &about);
    crypto_certificate_free(&about);
    return is_needed;
}

void leaving_add(struct sidecar *sidecar, const char *name,
                 const uint8_t sha256[static CRYPTO_SHA256_BYTES])
{
    sidecar->leaving =
        memory_resize(sidecar->leaving, sidecar->leaving_count + 1, sizeof(sidecar->leaving[0]));
    struct leaving *leaving = &sidecar->leaving[sidecar->leaving_count++];
    *leaving = (struct leaving){
        .name = memory_copy_text(slice_of(name)),
        .until_ms = clock_mono_ms() + LEAVING_MS,
    };
    memcpy(leaving->sha256, sha256, sizeof(leaving->sha256));
}

static void add_left_behind(void *context, const char *name)
{
    struct sidecar *sidecar = context;
    struct crypto_certificate about;
    if (is_wanted(sidecar, name) || !is_ours(sidecar, name) ||
        store_certificate(sidecar->store, name, &about, NULL) != ERROR_OK)
        return;
    leaving_add(sidecar, name, about.sha256);
    crypto_certificate_free(&about);
}

static void withdraw_unwanted(void *context, const char *name)
{
    struct sidecar *sidecar = context;
    if (!is_wanted(sidecar, name))
        withdrawal_begin(sidecar, name);
}

void leaving_find(struct sidecar *sidecar)
{
    if (sidecar->left_behind_found || sidecar->list->count == 0)
        return;
    sidecar->left_behind_found = true;
    store_each(sidecar->store, add_left_behind, sidecar);
    if (may_be_ours(sidecar))
        store_each_removed(sidecar->store, withdraw_unwanted, sidecar);
}

/* False while its file stays, for a reason that may pass: the disk is full. */
static bool drop(struct sidecar *sidecar, const char *name)
{
    struct error_text why;
    enum error error = store_remove(sidecar->store, name, &why);
    withdrawal_begin(sidecar, name);
    if (error == ERROR_OK || error == ERROR_NOT_FOUND)
        return true;
    log_event(LOG_ERROR, "certificate_not_removed", LOG_TEXT("certificate", name),
              LOG_TEXT("reason", why.text), LOG_TEXT("until_then", "it is tried again"));
    return false;
}

/* Whether nothing more is to be done about it. */
static bool is_over(struct sidecar *sidecar, struct leaving *leaving, int64_t now_ms)
{
    if (is_wanted(sidecar, leaving->name))
        return true;
    if (leaving->until_ms > now_ms)
        return false;
    bool is_needed = stands_in(sidecar, leaving->name);
    leaving->until_ms = now_ms + (is_needed ? AWAITED_LOOKS * sidecar->look_every_ms : LEAVING_MS);
    if (is_needed)
        return false;
    return !is_ours(sidecar, leaving->name) || drop(sidecar, leaving->name);
}

bool leaving_drop(struct sidecar *sidecar)
{
    int64_t now_ms = clock_mono_ms();
    size_t kept = 0, looked = 0;
    while (looked < sidecar->leaving_count && !sidecar_turn_is_over(now_ms)) {
        struct leaving leaving = sidecar->leaving[looked++];
        if (is_over(sidecar, &leaving, now_ms))
            free(leaving.name);
        else
            sidecar->leaving[kept++] = leaving;
    }
    size_t left = sidecar->leaving_count - looked;
    if (left > 0)
        memmove(&sidecar->leaving[kept], &sidecar->leaving[looked],
                left * sizeof(sidecar->leaving[0]));
    sidecar->leaving_count = kept + left;
    return left > 0;
}

void leaving_free(struct sidecar *sidecar)
{
    for (size_t i = 0; i < sidecar->leaving_count; i++)
        free(sidecar->leaving[i].name);
    free(sidecar->leaving);
}
