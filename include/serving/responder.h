/* What a loop does with a NOTIFY: the decision, its counters, its trace, and the few answers that
 * wait.
 *
 * A request for a label whose instance does not exist yet (agent/instance.h) is held: the loop asks
 * the main thread through the label desk, keeps a copy of the request, and decides again whenever a
 * new snapshot arrives. After HELD_WAIT_MS the answer is 503, and the label is not asked for again
 * for a while. One that is too long to be kept, or comes when as many are, is answered so at once,
 * but the label is asked for. Whoever makes up labels of one tenant takes nothing from the others:
 * each has a share of the places, and of what is asked.
 *
 * One responder per loop; everything but the reading of counters belongs to the loop's thread.
 */
#pragma once

#include "agent/decision_counts.h"
#include "net/loop.h"

#include <stdatomic.h>

struct label_desk;
struct responder;
struct trace_recent;
struct trace_ring;

enum { HELD_WAIT_MS = 300, LABEL_NEGATIVE_MS = 30 * 1000 };

extern const struct loop_handler RESPONDER_HANDLER;

/* `desk` is shared by all responders and outlives them. `count_places`: see
 * agent/decision_counts.h. `trace` NULL: no trace. */
struct responder *responder_new(struct loop *loop, struct label_desk *desk, unsigned count_places,
                                struct trace_ring *trace);
/* After the loop has ended, or before it starts. */
void responder_free(struct responder *responder);

/* Any thread: the last decisions are copied once the loop takes over another snapshot. */
void responder_want_dump(struct responder *responder);
/* Any thread: that copy, for free(); NULL while there is none. */
struct trace_recent *responder_take_dump(struct responder *responder);
/* Whether it remembers decisions. */
bool responder_records(const struct responder *responder);
/* Any thread: the last decisions as they were copied since the last call, for free(), or NULL; they
 * are copied again when the loop takes over the next published snapshot. */
struct trace_recent *responder_take_recent(struct responder *responder);
const struct decision_counts *responder_counts(const struct responder *responder);

/* What responders have counted, added up. */
struct responder_sums {
    uint64_t outcomes[OUTCOME__MAX];
    uint64_t refusals[REFUSAL__MAX];
    struct decision_times times;
    uint64_t held;         /* requests */
    uint64_t held_in_vain; /* those of them that were answered with 503 */
};
struct responder_sums responder_sums(struct responder *const *responders, unsigned count);
