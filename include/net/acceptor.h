/* The thread at the door. The main thread reads a configuration, or writes what has changed of it,
 * for a second and more; HAProxy gives a new connection, of a health check too, half of one.
 */
#pragma once

#include "core/error.h"

#include <stddef.h>

struct acceptor;
struct listener;
struct loops;

/* Begins to accept from the listeners, and to hand what connects to the loops, all of which have to
 * live until acceptor_stop(). NULL with the reason when there is no thread to be had. */
MUST_CHECK struct acceptor *acceptor_start(struct listener *const *listeners, size_t count,
                                           struct loops *loops, struct error_text *why);
/* Nothing is handed out any more when this returns. The sockets stay open. NULL is fine. */
void acceptor_stop(struct acceptor *acceptor);
