/* Challenges on their way to where a CA can see them: told to the program, awaited, looked at
 * through our own HAProxy as the CA will look at them, acknowledged to the worker.
 *
 * What the CA would not find is found out here, where it costs nothing and can be told in words.
 */
#pragma once

#include "sidecar/sidecar.h"

struct publications;

/* Without `on_challenges` in the settings, what the challenge server has is out. */
struct publications *publications_new(struct sidecar *sidecar,
                                      const struct sidecar_settings *settings);
void publications_free(struct publications *publications); /* NULL is fine */

/* acme_worker_hooks.publish and .withdraw; the context is the sidecar. */
void publications_publish(void *sidecar, uint64_t ticket, const struct acme_challenge *challenges,
                          size_t count);
void publications_withdraw(void *sidecar, const char *token);
/* Everything up to `number` is in force. */
void publications_out(struct publications *publications, uint64_t number);
