/* The alarm in the log: see expiry.h. */
#include "expiry.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/time_text.h"
#include "sidecar_state.h"

#include <stdlib.h>

enum {
    LOOKS = 60, /* until all have been seen */
    AGAIN_MS = 24 * 3600 * 1000,
};

static void tell(const struct certificate *certificate, const struct crypto_certificate *about,
                 enum schedule_alarm alarm, int64_t now_s)
{
    char until[TIME_TEXT_SIZE];
    if (alarm == SCHEDULE_EXPIRED)
        log_event(LOG_ERROR, "certificate_expired", LOG_TEXT("certificate", certificate->name),
                  LOG_TEXT("not_after", time_text_print(about->not_after_s, until)),
                  LOG_TEXT("hint", "`owui-spoa certs` tells why it was not renewed"));
    else
        log_event(LOG_WARNING, "certificate_expiring", LOG_TEXT("certificate", certificate->name),
                  LOG_TEXT("not_after", time_text_print(about->not_after_s, until)),
                  LOG_NUMBER("left_s", about->not_after_s - now_s),
                  LOG_TEXT("hint", "`owui-spoa certs` tells why it was not renewed"));
}

static void look_at(struct sidecar *sidecar, struct certificate *certificate)
{
    struct crypto_certificate about;
    int64_t now_s = clock_wall_s();
    if (store_certificate(sidecar->store, certificate->name, &about, NULL) != ERROR_OK)
        return;
    const struct schedule_certificate dates = {.not_before_s = about.not_before_s,
                                               .not_after_s = about.not_after_s};
    enum schedule_alarm alarm = schedule_alarm_of(&dates, now_s);
    struct expiry *expiry = &certificate->expiry;
    if (alarm != SCHEDULE_FINE &&
        (alarm != expiry->told || clock_mono_ms() - expiry->told_mono_ms >= AGAIN_MS)) {
        tell(certificate, &about, alarm, now_s);
        expiry->told_mono_ms = clock_mono_ms();
    }
    expiry->told = alarm;
    crypto_certificate_free(&about);
}

void expiry_look(struct sidecar *sidecar)
{
    size_t left = sidecar->list->count / LOOKS + 1;
    for (; left > 0; left--) {
        struct certificate *next = certificate_list_behind(sidecar->list, sidecar->expiry_seen);
        free(sidecar->expiry_seen);
        sidecar->expiry_seen = next != NULL ? memory_copy_text(slice_of(next->name)) : NULL;
        if (next == NULL)
            return;
        look_at(sidecar, next);
    }
}
