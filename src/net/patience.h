/* Whether a loop that is woken interrupts who runs.
 *
 * HAProxy from 3.1 on sends each question by itself. A loop that shares a processor with it and
 * preempts it would be woken for every single question, at several times the cost of being woken
 * once HAProxy has asked all that it has to ask. So a loop is patient (SCHED_BATCH, sched(7)): it
 * does not preempt whoever runs, and waits until that thread sleeps. This needs no privilege, and
 * makes no difference on an idle processor.
 *
 * When the other thread is not HAProxy but a long computation, questions would wait for the rest of
 * its time slice, some ms. The kernel tells how long a thread has waited for a processor. A loop
 * that waits too long is as impatient as any other thread for a while, and for longer each time
 * that this happens again. Where the kernel does not tell, a loop is never patient.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct patience_sample {
    uint64_t waited_ns; /* for a processor, so far */
    uint64_t turns;     /* how often it got one */
};

struct patience {
    int fd; /* of the kernel's figures; -1: there are none */
    bool is_patient;
    double look_at_s; /* these are times of the loop's clock, which somebody may set back */
    double looked_s;
    double patient_since_s;
    double impatient_for_s; /* the last time that it was; 0: it never was */
    struct patience_sample before;
};

/* In the loop's thread, as all of these. */
void patience_begin(struct patience *patience, double now_s);
void patience_look(struct patience *patience, double now_s);
void patience_end(struct patience *patience);

/* For every turn of a loop: reads the kernel's figures ten times a second at most. */
static inline void patience_keep(struct patience *patience, double now_s)
{
    if (now_s >= patience->look_at_s || now_s < patience->looked_s)
        patience_look(patience, now_s);
}

/* Of patience_look(), what depends on nothing but its arguments: changes `is_patient` and when to
 * look again. */
void patience_judge(struct patience *patience, struct patience_sample sample, double now_s);
