/* Whether a loop that is woken interrupts who runs: see patience.h. */
#include "patience.h"

#include "core/log.h"
#include "core/slice.h"

#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    TURNS_MIN = 8,          /* of fewer nothing is concluded */
    WAIT_MAX_NS = 2000000,  /* on average: HAProxy sleeps sooner, who calculates has some 3 ms */
    IMPATIENT_FIRST_S = 10, /* and twice as long each time, */
    IMPATIENT_MAX_S = 320,
    FORGOTTEN_AFTER_S = 60, /* unless it was patient for so long */
};
static const double LOOK_EVERY_S = 0.1;

MUST_CHECK static bool set_policy(bool patient)
{
    const struct sched_param parameter = {0};
    return sched_setscheduler(0, patient ? SCHED_BATCH : SCHED_OTHER, &parameter) == 0;
}

MUST_CHECK static bool take_sample(const struct patience *patience, struct patience_sample *sample)
{
    char text[96], *end;
    ssize_t size = patience->fd >= 0 ? pread(patience->fd, text, sizeof(text) - 1, 0) : -1;
    if (size <= 0)
        return false;
    text[size] = '\0';
    (void)strtoull(text, &end, 10); /* how long it had one */
    sample->waited_ns = strtoull(end, &end, 10);
    sample->turns = strtoull(end, &end, 10);
    return *end == '\n';
}

static void give_up(struct patience *patience)
{
    patience->is_patient = false;
    patience->look_at_s = INFINITY;
    patience->looked_s = -INFINITY;
}

void patience_begin(struct patience *patience, double now_s)
{
    *patience = (struct patience){
        .patient_since_s = now_s, .look_at_s = now_s + LOOK_EVERY_S, .looked_s = now_s};
    patience->fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    patience->is_patient = take_sample(patience, &patience->before) && set_policy(true);
    if (!patience->is_patient)
        give_up(patience);
}

static void be_impatient(struct patience *patience, double now_s)
{
    double for_s = patience->impatient_for_s * 2;
    if (for_s < IMPATIENT_FIRST_S || now_s - patience->patient_since_s >= FORGOTTEN_AFTER_S)
        for_s = IMPATIENT_FIRST_S;
    patience->impatient_for_s = for_s < IMPATIENT_MAX_S ? for_s : IMPATIENT_MAX_S;
    patience->is_patient = false;
    patience->look_at_s = now_s + patience->impatient_for_s;
}

static void be_patient(struct patience *patience, struct patience_sample sample, double now_s)
{
    patience->is_patient = true;
    patience->patient_since_s = now_s;
    patience->before = sample;
    patience->look_at_s = now_s + LOOK_EVERY_S;
}

void patience_judge(struct patience *patience, struct patience_sample sample, double now_s)
{
    patience->looked_s = now_s;
    if (!patience->is_patient) {
        be_patient(patience, sample, now_s);
        return;
    }
    uint64_t turns = sample.turns - patience->before.turns;
    patience->look_at_s = now_s + LOOK_EVERY_S;
    if (turns < TURNS_MIN)
        return;
    uint64_t waited_ns = sample.waited_ns - patience->before.waited_ns;
    patience->before = sample;
    if (waited_ns / turns > WAIT_MAX_NS)
        be_impatient(patience, now_s);
}

void patience_look(struct patience *patience, double now_s)
{
    struct patience_sample sample;
    bool was_patient = patience->is_patient;
    if (!take_sample(patience, &sample)) {
        give_up(patience);
        (void)!set_policy(false);
        return;
    }
    patience_judge(patience, sample, now_s);
    if (patience->is_patient == was_patient)
        return;
    if (!set_policy(patience->is_patient))
        give_up(patience);
    else if (was_patient)
        log_event(LOG_INFO, "loop_waited",
                  LOG_NUMBER("takes_its_turn_at_once_for_s", patience->impatient_for_s));
}

void patience_end(struct patience *patience)
{
    if (patience->fd >= 0)
        close(patience->fd);
    patience->fd = -1;
}
