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

static void tell(const struct certificate *certificate, enum schedule_alarm alarm, int64_t now_s)
{
    char until[TIME_TEXT_SIZE];
    int64_t not_after_s = certificate->validity.not_after_s;
    const char *hint = certificate->is_given
                           ? "another client has to renew it: put the new one in its place"
                           : "`owui-spoa certs` tells why it was not renewed";
    if (alarm == SCHEDULE_EXPIRED)
        log_event(LOG_ERROR, "certificate_expired", LOG_TEXT("certificate", certificate->name),
                  LOG_TEXT("not_after", time_text_print(not_after_s, until)),
                  LOG_TEXT("hint", hint));
    else
        log_event(LOG_WARNING, "certificate_expiring", LOG_TEXT("certificate", certificate->name),
                  LOG_TEXT("not_after", time_text_print(not_after_s, until)),
                  LOG_NUMBER("left_s", not_after_s - now_s), LOG_TEXT("hint", hint));
}

static void look_at(struct sidecar *sidecar, struct certificate *certificate)
{
    int64_t now_s = clock_wall_s();
    const struct certificate_validity *validity = certificate_validity_look(sidecar, certificate);
    if (!validity->is_there)
        return;
    enum schedule_alarm alarm = certificate_validity_alarm(validity, now_s);
    struct expiry *expiry = &certificate->expiry;
    if (alarm != SCHEDULE_FINE &&
        (alarm != expiry->told || clock_mono_ms() - expiry->told_mono_ms >= AGAIN_MS)) {
        tell(certificate, alarm, now_s);
        expiry->told_mono_ms = clock_mono_ms();
    }
    expiry->told = alarm;
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
