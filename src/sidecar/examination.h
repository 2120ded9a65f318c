/* Names looked at before they are ordered: what DNS says of them. A name without any address cannot
 * be reached by the CA, and where CAA forbids it the CA may not issue: neither is worth an order,
 * which would count against the CA's limits and keep the other names waiting.
 *
 * Which address a name has is not asked: with split DNS the CA sees others than this machine. And
 * trouble with our name servers refuses nothing: it says nothing about what the CA sees, whose word
 * counts; an order must not wait for a resolver that nobody mends.
 */
#pragma once

#include "acme/acme_worker.h"

struct examinations;
struct sidecar;
struct sidecar_settings;

/* NULL with the reason when the name servers cannot be understood. */
MUST_CHECK struct examinations *examinations_new(struct sidecar *sidecar,
                                                 const struct sidecar_settings *settings,
                                                 struct error_text *why);
void examinations_free(struct examinations *examinations); /* NULL is fine */

/* The worker's hook; the context is the sidecar. */
void examinations_begin(void *context, uint64_t ticket, const struct acme_examination *asked);
