/* The dates of certificates on disk: see certificate_dates.h. */
#include "certificate_dates.h"

#include "sidecar_state.h"

const struct certificate_dates *certificate_dates_look(const struct sidecar *sidecar,
                                                       struct certificate *certificate)
{
    struct certificate_dates *dates = &certificate->dates;
    struct file_stamp file = store_stamp(sidecar->store, certificate->name);
    struct crypto_certificate about;
    if (!file_stamp_is_none(&file) && file_stamp_equal(&file, &dates->file))
        return dates;
    *dates = (struct certificate_dates){.file = file};
    if (file_stamp_is_none(&file))
        return dates;
    enum error error = store_certificate(sidecar->store, certificate->name, &about, NULL);
    if (error == ERROR_OK) {
        dates->is_there = true;
        dates->not_before_s = about.not_before_s;
        dates->not_after_s = about.not_after_s;
        crypto_certificate_free(&about);
    } else if (error != ERROR_UNSUPPORTED) {
        dates->file = (struct file_stamp){0}; /* what is in the way may pass */
    }
    return dates;
}

enum schedule_alarm certificate_dates_alarm(const struct certificate_dates *dates, int64_t now_s)
{
    const struct schedule_certificate valid = {.not_before_s = dates->not_before_s,
                                               .not_after_s = dates->not_after_s};
    return schedule_alarm_of(&valid, now_s);
}
