/* Where HAProxy sends challenges to. Somebody else may have the port when the daemon starts: a
 * client that was forgotten, or one that nobody wants. That is no reason to refuse every request,
 * since the agent answers challenges too (hap/config.h): the port is waited for.
 */
#pragma once

#include "sidecar/challenges.h"
#include "sidecar/sidecar.h"

struct challenge_door;

/* Listens as `settings` say, or tries again each second, which is logged. NULL with the reason when
 * the address or the webroot is wrong. */
MUST_CHECK struct challenge_door *challenge_door_new(struct main_loop *loop,
                                                     const struct sidecar_settings *settings,
                                                     const struct challenges *challenges,
                                                     struct error_text *text);
void challenge_door_free(struct challenge_door *door); /* NULL is fine */
