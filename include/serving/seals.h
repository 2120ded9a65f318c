/* The keys of cookies in the running daemon: from their file to the snapshots, once a tenant takes
 * a host's root over. All of it belongs to the main thread. */
#pragma once

#include "serving/publisher.h"

struct seals;
struct main_loop;

struct seals *seals_new(struct main_loop *loop, struct publisher *publisher);
/* To be called when something was published; NULL is fine, here and below. */
void seals_look(struct seals *seals);
void seals_free(struct seals *seals);
