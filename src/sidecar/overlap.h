/* Hosts that several certificates of ours are for.
 *
 * A host that has become another tenant's stays in the certificate of the one before until that is
 * renewed or leaves, and a bundle of another client's may be for hosts of several tenants on
 * purpose. HAProxy shows the one that it learned first. All of them are good for the host, so that
 * none is wrong, and none is ordered anew for it: that would count against the CA's limits, and
 * might fail.
 *
 * Only one that comes to its end, because its renewals fail, or that was revoked, must not stand
 * before one that lasts. It is given to HAProxy once more, which then has it behind the others, up
 * to its next start: so the hosts are looked at again and again until it is renewed.
 */
#pragma once

#include "crypto/crypto.h"

struct certificate;
struct sidecar;

/* Another one of ours that is shown in a certificate's place. */
struct overlap {
    char *name;    /* of its file, for free(); NULL: none is */
    bool is_worse; /* it comes to its end, and before the other */
    bool has_expired;
};

/* Fills `overlap` when `shown` is another one of ours than `certificate`, be it on its way out. */
MUST_CHECK bool overlap_find(const struct sidecar *sidecar, const struct certificate *certificate,
                             const struct crypto_certificate *shown, struct overlap *overlap);
/* What HAProxys were seen to show in the place of `certificate`, if anything. A worse one is put
 * behind it. */
void overlap_note(struct sidecar *sidecar, struct certificate *certificate,
                  const struct overlap *overlap);
/* HAProxys have another file `name` than before, or none: who was behind it is looked at. */
void overlap_changed(struct sidecar *sidecar, const char *name);
/* A HAProxy did not take the file `name`: it is put behind others anew, where it is still worse. */
void overlap_not_changed(struct sidecar *sidecar, const char *name);
/* `certificate` is `about` on disk: when that comes to its end, hosts of others that it is for are
 * looked at. */
void overlap_look(struct sidecar *sidecar, const struct certificate *certificate,
                  const struct crypto_certificate *about);
