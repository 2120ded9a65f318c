/* What certificates on disk are good for: see certificate_validity.h. */
#include "certificate_validity.h"

#include "sidecar_state.h"

size_t certificate_covered_hosts(const struct certificate *certificate,
                                 const struct crypto_certificate *by)
{
    size_t count = 0;
    for (size_t i = 0; i < certificate->host_count; i++)
        count += crypto_certificate_covers(by, certificate->hosts[i]);
    return count;
}

bool certificate_has_host(const struct certificate *certificate, const char *host)
{
    for (size_t i = 0; i < certificate->host_count; i++)
        if (strcmp(certificate->hosts[i], host) == 0)
            return true;
    return false;
}

bool certificate_fits_key(const struct sidecar *sidecar, const struct certificate *certificate,
                          const struct crypto_certificate *about)
{
    bool has_two_keys = sidecar->rsa && sidecar->ecdsa && !certificate->is_given;
    return !has_two_keys ||
           crypto_key_type_is_ec(certificate->key_type) == crypto_key_type_is_ec(about->key_type);
}

bool certificate_has_all_hosts(const struct certificate *certificate,
                               const struct crypto_certificate *about)
{
    return certificate_covered_hosts(certificate, about) == certificate->host_count;
}

const struct certificate_validity *certificate_validity_look(const struct sidecar *sidecar,
                                                             struct certificate *certificate)
{
    struct certificate_validity *validity = &certificate->validity;
    struct file_stamp file = store_stamp(sidecar->store, certificate->name);
    struct crypto_certificate about;
    if (!file_stamp_is_none(&file) && file_stamp_equal(&file, &validity->file))
        return validity;
    *validity = (struct certificate_validity){.file = file};
    if (file_stamp_is_none(&file))
        return validity;
    enum error error = store_certificate(sidecar->store, certificate->name, &about, NULL);
    if (error == ERROR_OK) {
        validity->is_there = true;
        validity->is_for_all_hosts = certificate_has_all_hosts(certificate, &about);
        validity->not_before_s = about.not_before_s;
        validity->not_after_s = about.not_after_s;
        crypto_certificate_free(&about);
    } else if (error != ERROR_UNSUPPORTED) {
        validity->file = (struct file_stamp){0}; /* what is in the way may pass */
    }
    return validity;
}

enum schedule_alarm certificate_validity_alarm(const struct certificate_validity *validity,
                                               int64_t now_s)
{
    const struct schedule_certificate valid = {.not_before_s = validity->not_before_s,
                                               .not_after_s = validity->not_after_s};
    return schedule_alarm_of(&valid, now_s);
}

enum schedule_alarm certificate_alarm(const struct crypto_certificate *about, int64_t now_s)
{
    const struct certificate_validity validity = {.not_before_s = about->not_before_s,
                                                  .not_after_s = about->not_after_s};
    return certificate_validity_alarm(&validity, now_s);
}
