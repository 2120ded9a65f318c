/* Certificates that nobody wants any more.
 *
 * Each is kept for a while, because who removes a tenant may put it back; then it is taken out of
 * service, from HAProxys and from the disk. One for a host that is another tenant's now, as after a
 * rename, stays until that one's own is there: a CA may be away, or its limits used up, and TLS
 * goes on meanwhile.
 *
 * The wait is in memory only. What was left behind when a process ended, or lost its tenant while
 * there was none, is found with the first wishes, and waits anew; what had left the disk by then,
 * and not every HAProxy, is withdrawn again.
 *
 * Only what was put there from here ever leaves (store_is_ours()). What an admin has put into the
 * folder stays, whatever its name is.
 */
#pragma once

#include "crypto/crypto.h"

#include <stdint.h>

struct sidecar;

struct leaving {
    char *name;
    uint8_t sha256[CRYPTO_SHA256_BYTES]; /* of the certificate */
    int64_t until_ms;                    /* monotonic */
};

void leaving_add(struct sidecar *sidecar, const char *name,
                 const uint8_t sha256[static CRYPTO_SHA256_BYTES]);
/* After wishes have become the list: the first ones that are any, since of a start without tenants
 * it is not known whether their folder was there. Does nothing later. */
void leaving_find(struct sidecar *sidecar);
/* What has waited long enough goes. True when the turn is over before all were looked at. */
MUST_CHECK bool leaving_drop(struct sidecar *sidecar);
void leaving_free(struct sidecar *sidecar);
