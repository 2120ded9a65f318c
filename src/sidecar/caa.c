/* Which CA may issue for a name: see sidecar/caa.h.
 *
 * What a record says is split as the RFCs have it: issuer-domain-name, then parameters, all behind
 * semicolons. Whatever cannot be read permits nobody, as a CA would have it.
 */
#include "sidecar/caa.h"

/* Cuts off what is before `separator`, without blanks around it. */
static struct slice cut(struct slice *rest, char separator)
{
    return slice_trim(slice_cut(rest, separator));
}

static bool is_named(struct slice domain, const struct caa_issuer *issuer)
{
    if (domain.size == 0)
        return false; /* `issue ";"`: nobody */
    for (size_t i = 0; i < issuer->identity_count; i++)
        if (slice_equal_nocase(domain, slice_of(issuer->identities[i])))
            return true;
    return issuer->identity_count == 0;
}

static bool has_method(struct slice methods)
{
    while (methods.size > 0)
        if (slice_equal_nocase(cut(&methods, ','), SLICE("http-01")))
            return true;
    return false;
}

/* RFC 8657. Other parameters are between the CA and its customer. */
static bool parameter_fits(struct slice parameter, const struct caa_issuer *issuer)
{
    struct slice name = cut(&parameter, '=');
    if (slice_equal_nocase(name, SLICE("validationmethods")))
        return has_method(parameter);
    if (slice_equal_nocase(name, SLICE("accounturi")))
        return slice_equal(slice_trim(parameter), slice_of(issuer->account_url));
    return true;
}

static bool permits(struct slice value, const struct caa_issuer *issuer)
{
    if (!is_named(cut(&value, ';'), issuer))
        return false;
    while (value.size > 0)
        if (!parameter_fits(cut(&value, ';'), issuer))
            return false;
    return true;
}

bool caa_allows(const struct dns_caa *records, size_t count, const struct caa_issuer *issuer)
{
    bool restricted = false;
    for (size_t i = 0; i < count; i++) {
        if (!slice_equal_nocase(records[i].tag, SLICE("issue")))
            continue;
        if (permits(records[i].value, issuer))
            return true;
        restricted = true;
    }
    return !restricted;
}
