/* net: whether a loop interrupts who runs. */
#include "core/base.h"
#include "patience.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <sched.h>

enum { MS = 1000000 };

/* One that has just become patient, at the time 0. */
static struct patience patient(void)
{
    return (struct patience){.fd = -1, .is_patient = true};
}

/* So many turns more, each after a wait of so many ms. */
static void pass(struct patience *patience, uint64_t turns, uint64_t wait_ms, double now_s)
{
    struct patience_sample sample = patience->before;
    sample.turns += turns;
    sample.waited_ns += turns * wait_ms * MS;
    patience_judge(patience, sample, now_s);
}

static double impatient_for(struct patience *patience, double now_s)
{
    pass(patience, 100, 4, now_s);
    cr_assert(zero(int, patience->is_patient));
    return patience->look_at_s - now_s;
}

static void become_patient(struct patience *patience)
{
    patience_judge(patience, patience->before, patience->look_at_s);
    cr_assert(patience->is_patient);
}

Test(patience, lasts_while_others_soon_sleep)
{
    struct patience patience = patient();
    for (int i = 1; i <= 100; i++) {
        pass(&patience, 100, 1, i);
        cr_assert(patience.is_patient);
        cr_assert(patience.look_at_s > i);
    }
}

Test(patience, ends_where_somebody_calculates)
{
    struct patience patience = patient();
    cr_expect(epsilon_eq(dbl, impatient_for(&patience, 1), 10, 0.001));
    become_patient(&patience);
}

Test(patience, is_tried_less_often_each_time)
{
    static const double TIMES_S[] = {10, 20, 40, 80, 160, 320, 320};
    struct patience patience = patient();
    double now_s = 1;
    for (size_t i = 0; i < COUNT_OF(TIMES_S); i++) {
        cr_expect(epsilon_eq(dbl, impatient_for(&patience, now_s), TIMES_S[i], 0.001));
        become_patient(&patience);
        now_s = patience.patient_since_s + 1;
    }
    now_s += 60;
    cr_expect(epsilon_eq(dbl, impatient_for(&patience, now_s), TIMES_S[0], 0.001));
}

Test(patience, of_few_turns_nothing_is_concluded)
{
    struct patience patience = patient();
    struct patience_sample sample = {0};
    for (int i = 1; i < 8; i++) {
        sample.turns++;
        sample.waited_ns += 4 * MS;
        patience_judge(&patience, sample, i);
        cr_assert(patience.is_patient);
    }
    sample.turns++;
    sample.waited_ns += 4 * MS;
    patience_judge(&patience, sample, 8);
    cr_expect(zero(int, patience.is_patient), "but they count for the next look");
}

/* One that is set back by a year must not keep a loop as it is for a year. */
Test(patience, looks_again_when_the_clock_is_set_back)
{
    struct patience patience = patient();
    (void)impatient_for(&patience, 1e9);
    patience_keep(&patience, 1e9 + 1);
    cr_assert(not(patience.is_patient));
    patience.fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    patience_keep(&patience, 1e8);
    cr_assert(lt(dbl, patience.look_at_s, 2e8));
    patience_end(&patience);
}

/* Where the kernel allows it: and whoever is not patient is as any other thread. */
Test(patience, is_a_policy_of_the_kernel)
{
    struct patience patience;
    patience_begin(&patience, 1);
    cr_expect(eq(int, sched_getscheduler(0), patience.is_patient ? SCHED_BATCH : SCHED_OTHER));
    patience_look(&patience, patience.look_at_s);
    cr_expect(eq(int, sched_getscheduler(0), patience.is_patient ? SCHED_BATCH : SCHED_OTHER));
    patience_end(&patience);
    patience_look(&patience, 2);
    cr_expect(eq(int, sched_getscheduler(0), SCHED_OTHER), "the kernel tells nothing any more");
    cr_expect(zero(int, patience.is_patient));
}
