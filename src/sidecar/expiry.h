/* The alarm in the log: a certificate that is near its end, or over, whoever should have renewed
 * it.
 */
#pragma once

struct sidecar;

/* To be called at every look: goes through some of the certificates each time, so that a list of
 * any length is gone through within minutes. What is wrong is told at once and then once a day. */
void expiry_look(struct sidecar *sidecar);
