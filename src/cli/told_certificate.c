/* What the daemon tells about certificates: see told_certificate.h. */
#include "cli/told_certificate.h"

bool told_certificate_has(const struct json *certificate, const char *host)
{
    const struct json *hosts = json_get(certificate, "hosts");
    for (size_t i = 0; i < json_count(hosts); i++) {
        struct slice name;
        if (json_read_text(json_at(hosts, i), &name) && slice_equal(name, slice_of(host)))
            return true;
    }
    return false;
}

const struct json *told_certificate(const struct json *answer, const char *host)
{
    const struct json *list = json_get(answer, "certificates");
    for (size_t i = 0; i < json_count(list); i++)
        if (told_certificate_has(json_at(list, i), host))
            return json_at(list, i);
    return NULL;
}

const struct json *told_certificate_with(const struct json *answer, const char *key,
                                         const char *value)
{
    const struct json *list = json_get(answer, "certificates");
    for (size_t i = 0; i < json_count(list); i++)
        if (slice_equal(json_get_text(json_at(list, i), key), slice_of(value)))
            return json_at(list, i);
    return NULL;
}
