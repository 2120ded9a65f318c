/* Threads that have stopped coming round: see serving/standstill.h. */
#include "serving/standstill.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "net/loop.h"
#include "net/main_loop.h"
#include "serving/certificates.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    LOOK_MS = 1000,
    /* A loop is woken for each look, and its turns take milliseconds: what lasts so long is no busy
     * machine. A sidecar comes round by itself every few seconds, and reads and writes files. */
    LOOP_MISSED_MAX = 10,
    SIDECAR_MISSED_MAX = 60,
};

struct watched_thread {
    char name[16];
    bool is_loop;
    bool stands_still;
    struct turns_seen seen;
    int64_t turned_mono_ms; /* the last look at which it had turned */
};

struct standstill {
    struct loops *loops;
    struct certificates *certificates;
    struct main_timer *timer;
    size_t count;
    struct watched_thread threads[LOOPS_MAX + 1];
};

enum turns_news turns_look(struct turns_seen *seen, uint64_t turns, unsigned missed_max)
{
    bool stood_still = seen->missed > missed_max;
    bool has_turned = turns != seen->turns;
    seen->turns = turns;
    if (has_turned)
        seen->missed = 0;
    else if (!stood_still)
        seen->missed++;
    if ((seen->missed > missed_max) == stood_still)
        return TURNS_AS_BEFORE;
    return stood_still ? TURNS_AGAIN : TURNS_STOPPED;
}

static long long stood_s(const struct watched_thread *thread)
{
    return (clock_mono_ms() - thread->turned_mono_ms) / 1000;
}

static void tell(const struct watched_thread *thread, enum turns_news news)
{
    if (news == TURNS_STOPPED)
        log_event(LOG_ERROR, "thread_stands_still", LOG_TEXT("thread", thread->name),
                  LOG_NUMBER("for_s", stood_s(thread)),
                  LOG_TEXT("consequence", thread->is_loop
                                              ? "requests on its connections are not answered"
                                              : "no certificate is obtained or renewed"),
                  LOG_TEXT("hint", "owui-spoa status tells what to do while it lasts"));
    else
        log_event(LOG_NOTICE, "thread_goes_on", LOG_TEXT("thread", thread->name),
                  LOG_NUMBER("stood_still_for_s", stood_s(thread)));
}

static void look_at(struct standstill *standstill, struct watched_thread *thread, uint64_t turns,
                    unsigned missed_max)
{
    enum turns_news news = turns_look(&thread->seen, turns, missed_max);
    if (news != TURNS_AS_BEFORE) {
        thread->stands_still = news == TURNS_STOPPED;
        tell(thread, news);
        if (!thread->is_loop)
            certificates_pass_over(standstill->certificates, thread->stands_still);
    }
    if (thread->seen.missed == 0)
        thread->turned_mono_ms = clock_mono_ms();
}

static void on_look(void *context)
{
    struct standstill *standstill = context;
    unsigned loop_count = loops_count(standstill->loops);
    for (unsigned i = 0; i < loop_count; i++)
        look_at(standstill, &standstill->threads[i],
                loop_counter(loops_at(standstill->loops, i), LOOP_TURNS), LOOP_MISSED_MAX);
    if (standstill->certificates != NULL)
        look_at(standstill, &standstill->threads[loop_count],
                certificates_turns(standstill->certificates), SIDECAR_MISSED_MAX);
    loops_wake(standstill->loops);
}

struct standstill *standstill_new(struct main_loop *main_loop, struct loops *loops,
                                  struct certificates *certificates)
{
    struct standstill *standstill = memory_new(sizeof(*standstill));
    unsigned loop_count = loops_count(loops);
    *standstill = (struct standstill){.loops = loops, .certificates = certificates};
    standstill->count = loop_count + (certificates != NULL);
    for (unsigned i = 0; i < standstill->count; i++) {
        struct watched_thread *thread = &standstill->threads[i];
        thread->is_loop = i < loop_count;
        thread->turned_mono_ms = clock_mono_ms();
        if (thread->is_loop)
            snprintf(thread->name, sizeof(thread->name), "loop-%u", i);
        else
            snprintf(thread->name, sizeof(thread->name), "sidecar");
    }
    standstill->timer = main_timer_new(main_loop, on_look, standstill);
    main_timer_every(standstill->timer, LOOK_MS);
    return standstill;
}

void standstill_free(struct standstill *standstill)
{
    if (standstill == NULL)
        return;
    main_timer_free(standstill->timer);
    free(standstill);
}

void standstill_stop(struct standstill *standstill)
{
    if (standstill != NULL)
        main_timer_stop(standstill->timer);
}

bool standstill_at(const struct standstill *standstill, size_t number,
                   struct standing_thread *thread)
{
    size_t count = standstill != NULL ? standstill->count : 0;
    for (size_t i = 0; i < count; i++) {
        const struct watched_thread *found = &standstill->threads[i];
        if (!found->stands_still || number-- > 0)
            continue;
        *thread = (struct standing_thread){found->name, found->is_loop, stood_s(found)};
        return true;
    }
    return false;
}

/* Loops come first. */
bool standstill_of_loop(const struct standstill *standstill)
{
    struct standing_thread first;
    return standstill_at(standstill, 0, &first) && first.is_loop;
}
