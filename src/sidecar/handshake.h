/* A TLS handshake with each bind of HAProxy's for each host of a certificate, as a browser does it:
 * what is served must be what is on disk.
 *
 * It is looked at after a swap, when some HAProxy or the agent has started, once a day, and when
 * what was seen comes to its end. But for swaps these are few at a time: of very many certificates
 * the last is looked at half an hour after a start.
 *
 * Nobody there, or no answer in time, proves nothing and is told as a warning after a swap; so does
 * the other one of a tenant with two keys, where there is no handshake for one kind alone
 * (TLS 1.3). When no certificate is served after a swap, or one for other names, and no alarm was
 * there before, the certificate before is put back. Another certificate for the name, be it one
 * that has expired, is somebody's own file: an older one of ours would not be served either, so it
 * is told, and no more. One that is ours, of a tenant that has or had the host too, is as good: see
 * overlap.h.
 */
#pragma once

#include "sidecar/sidecar.h"

struct handshakes;
struct certificate;

struct handshakes *handshakes_new(struct sidecar *sidecar, const struct sidecar_settings *settings);
void handshakes_free(struct handshakes *handshakes); /* NULL is fine */
/* Looks at what is served for the certificate's hosts. */
void handshakes_check(struct handshakes *handshakes, struct certificate *certificate);
/* The same where it is due; to be called whenever HAProxys were asked whether they have it. */
void handshakes_check_due(struct handshakes *handshakes, struct certificate *certificate);
/* So that a few more can be looked at; to be called every few seconds. */
void handshakes_make_room(struct handshakes *handshakes);
