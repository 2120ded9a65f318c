/* Which CA may issue for a name, by its CAA records (RFC 8659, RFC 8657). Pure. */
#pragma once

#include "dns/dns_client.h"

/* The CA that would be asked. */
struct caa_issuer {
    const char *const *identities; /* what the records call it; none: it does not say */
    size_t identity_count;
    const char *account_url;
};

/* Whether these records, all those of one name, let the CA issue for names that are no wildcards,
 * by HTTP-01. A CA that does not say what it is called is taken to be any that is named. */
MUST_CHECK bool caa_allows(const struct dns_caa *records, size_t count,
                           const struct caa_issuer *issuer);
