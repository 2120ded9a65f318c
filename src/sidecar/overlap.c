/* Hosts that several certificates of ours are for: see overlap.h. */
#include "overlap.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "sidecar_state.h"

#include <stdlib.h>

/* The file that this is in, wanted or leaving; NULL: it is none of ours. */
static const char *find_file(const struct sidecar *sidecar, const struct crypto_certificate *shown)
{
    const struct certificate_list *list = sidecar->list;
    for (size_t i = 0; i < list->count; i++)
        if (memcmp(list->items[i]->sha256, shown->sha256, sizeof(shown->sha256)) == 0)
            return list->items[i]->name;
    for (size_t i = 0; i < sidecar->leaving_count; i++)
        if (memcmp(sidecar->leaving[i].sha256, shown->sha256, sizeof(shown->sha256)) == 0)
            return sidecar->leaving[i].name;
    return NULL;
}

static bool is_ending(const struct sidecar *sidecar, const char *name,
                      const struct crypto_certificate *about)
{
    return certificate_alarm(about, clock_wall_s()) != SCHEDULE_FINE ||
           (sidecar->worker != NULL &&
            acme_worker_has_revoked(sidecar->worker, name, about->serial));
}

static bool lasts_longer(const struct sidecar *sidecar, const struct certificate *certificate,
                         const struct crypto_certificate *than)
{
    struct crypto_certificate about;
    if (store_certificate(sidecar->store, certificate->name, &about, NULL) != ERROR_OK)
        return false;
    bool lasts_longer = about.not_after_s > than->not_after_s;
    crypto_certificate_free(&about);
    return lasts_longer;
}

bool overlap_find(const struct sidecar *sidecar, const struct certificate *certificate,
                  const struct crypto_certificate *shown, struct overlap *overlap)
{
    const char *name = find_file(sidecar, shown);
    if (name == NULL || strcmp(name, certificate->name) == 0)
        return false;
    *overlap = (struct overlap){
        .name = memory_copy_text(slice_of(name)),
        .is_worse = is_ending(sidecar, name, shown) && lasts_longer(sidecar, certificate, shown),
        .has_expired = shown->not_after_s <= clock_wall_s(),
    };
    return true;
}

static bool is_behind(const struct certificate *certificate, const char *name)
{
    const char *behind = certificate->service.behind;
    return behind != NULL && strcmp(behind, name) == 0;
}

static void put_first(struct sidecar *sidecar, struct certificate *certificate, const char *before)
{
    struct certificate *other = certificate_list_find(sidecar->list, before);
    if (other == NULL || !sidecar_deploy_anew(sidecar, other))
        return;
    certificate->service.put_first = true;
    log_event(LOG_NOTICE, "put_behind", LOG_TEXT("certificate", other->name),
              LOG_TEXT("behind", certificate->name),
              LOG_TEXT("reason", "it is for a host of that one too, and was not renewed"));
}

void overlap_note(struct sidecar *sidecar, struct certificate *certificate,
                  const struct overlap *overlap)
{
    struct service *service = &certificate->service;
    bool is_new = overlap->name != NULL && !is_behind(certificate, overlap->name);
    free(service->behind);
    service->behind = memory_copy_optional(overlap->name);
    if (!overlap->is_worse || is_new)
        service->put_first = false;
    /* Once, or HAProxy would be told in vain for ever. */
    if (overlap->is_worse && !service->put_first)
        put_first(sidecar, certificate, overlap->name);
    if (is_new && !overlap->is_worse)
        log_event(LOG_INFO, "served_another", LOG_TEXT("certificate", certificate->name),
                  LOG_TEXT("another", overlap->name),
                  LOG_TEXT("reason", "HAProxy has had it for longer, and it is for a host of this "
                                     "one too"));
}

void overlap_changed(struct sidecar *sidecar, const char *name)
{
    for (size_t i = 0; i < sidecar->list->count; i++) {
        struct certificate *certificate = sidecar->list->items[i];
        if (is_behind(certificate, name))
            handshakes_check(sidecar->handshakes, certificate);
    }
}

void overlap_not_changed(struct sidecar *sidecar, const char *name)
{
    for (size_t i = 0; i < sidecar->list->count; i++)
        if (is_behind(sidecar->list->items[i], name))
            sidecar->list->items[i]->service.put_first = false;
}

static void look_at_others(struct sidecar *sidecar, const char *host)
{
    for (size_t i = 0; i < sidecar->list->count; i++)
        if (certificate_has_host(sidecar->list->items[i], host))
            sidecar->list->items[i]->service.doubted = true;
}

void overlap_look(struct sidecar *sidecar, const struct certificate *certificate,
                  const struct crypto_certificate *about)
{
    if (!is_ending(sidecar, certificate->name, about))
        return;
    for (size_t i = 0; i < about->name_count; i++)
        if (!certificate_has_host(certificate, about->names[i]))
            look_at_others(sidecar, about->names[i]);
}
