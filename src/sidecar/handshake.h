/* After a swap, a TLS handshake with each bind of HAProxy's for each host of the certificate, as a
 * browser does it: what is served must be what is on disk.
 *
 * Nobody there, or no answer in time, proves nothing and is told as a warning; so does the other
 * one of a tenant with two keys, where there is no handshake for one kind alone (TLS 1.3). When
 * what is served would be refused by a browser (no certificate, one for other names, one that has
 * expired), the certificate before is put back, once. Another certificate that is good for the name
 * is somebody's own file: an older one of ours would not be served either, so it is told, and no
 * more. One that is ours, of a tenant that has or had the host too, is as good: see overlap.h.
 */
#pragma once

#include "sidecar/sidecar.h"

struct handshakes;
struct certificate;

struct handshakes *handshakes_new(struct sidecar *sidecar, const struct sidecar_settings *settings);
void handshakes_free(struct handshakes *handshakes); /* NULL is fine */
/* Looks at what is served for the certificate's hosts. */
void handshakes_check(struct handshakes *handshakes, const struct certificate *certificate);
