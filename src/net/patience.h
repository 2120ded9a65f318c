/* Whether a loop that is woken interrupts who runs.
 *
 * HAProxy from 3.1 on sends each question by itself. A loop that shares a processor with it and
 * takes that over at once is woken for every one, and costs several times what it does when HAProxy
 * first asks all that it has to ask. So a loop is patient (SCHED_BATCH, sched(7)): who runs goes on
 * until he sleeps. Takes no privilege, and makes no difference on a processor that is free.
 *
 * Where he is not HAProxy but somebody who calculates, questions would wait until his time is up,
 * some ms. The kernel tells how long a thread has waited for a processor; a loop that waits for too
 * long is as impatient as any other thread for a while, and for longer each time that this is found
 * again. Where the kernel does not tell, a loop is never patient.
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
    double look_at_s; /* these are times of the loop's clock */
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
    if (now_s >= patience->look_at_s)
        patience_look(patience, now_s);
}

/* Of patience_look(), what depends on nothing but its arguments: changes `is_patient` and when to
 * look again. */
void patience_judge(struct patience *patience, struct patience_sample sample, double now_s);
