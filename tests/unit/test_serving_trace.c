/* serving/trace: the ring, and its file when somebody cuts it short. */
#include "serving/trace.h"

#include "core/memory.h"
#include "net/main_loop.h"
#include "printed.h"
#include "serving/trace_entry.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ENTRIES = 100, LOOPS = 2 };

struct recording {
    char folder[32];
    char path[64];
    struct main_loop *loop;
    struct trace *trace;
};

static void begin(struct recording *recorded)
{
    struct error_text why;
    strcpy(recorded->folder, "/tmp/test_trace.XXXXXX");
    cr_assert(mkdtemp(recorded->folder) != NULL);
    snprintf(recorded->path, sizeof(recorded->path), "%s/trace", recorded->folder);
    recorded->loop = main_loop_new(&why);
    recorded->trace = trace_new(ENTRIES, LOOPS, recorded->path, recorded->loop, &why);
    cr_assert(recorded->trace != NULL, "%s", why.text);
}

static void end(struct recording *recorded)
{
    trace_free(recorded->trace);
    main_loop_free(recorded->loop);
    unlink(recorded->path);
    rmdir(recorded->folder);
}

/* What could not be read: there is only the decision. */
static void add(const struct recording *recorded, unsigned loop, uint64_t generation)
{
    const struct spop_notify notify = {0};
    const struct decision decision = {.outcome = OUTCOME_BAD_REQUEST, .status = 400};
    trace_add(trace_ring(recorded->trace, loop), generation, 0, &notify, &decision);
}

static void expect_recent(const struct recording *recorded, unsigned loop, size_t count,
                          uint64_t last)
{
    struct trace_recent *recent = trace_recent(trace_ring(recorded->trace, loop));
    cr_assert(eq(sz, recent->count, count));
    for (size_t i = 0; i < count; i++)
        cr_expect(eq(u64, recent->entries[i].generation, last - i));
    free(recent);
}

Test(trace, is_in_its_file)
{
    struct recording recorded;
    struct error_text why;
    size_t count;
    begin(&recorded);
    add(&recorded, 0, 1);
    add(&recorded, 1, 2);
    struct trace_entry *entries = trace_file_read(recorded.path, &count, &why);
    cr_expect(eq(sz, count, 2));
    free(entries);
    end(&recorded);
}

static void wake_up(void *context)
{
    main_loop_stop(context);
}

static char *told_while_running(const struct recording *recorded)
{
    struct printed log = printed_on(STDERR_FILENO);
    struct main_timer *timer = main_timer_new(recorded->loop, wake_up, recorded->loop);
    main_timer_once(timer, 50);
    main_loop_run(recorded->loop);
    main_timer_free(timer);
    return printed_till_here(&log);
}

Test(trace, goes_on_in_memory_when_its_file_is_cut_short)
{
    static const long SIZES[] = {0, 100, TRACE_HEADER_BYTES, TRACE_HEADER_BYTES + 30 * 512};
    for (size_t i = 0; i < COUNT_OF(SIZES); i++) {
        struct recording recorded;
        begin(&recorded);
        for (uint64_t generation = 1; generation <= 10; generation++)
            add(&recorded, 0, generation);
        cr_assert(zero(int, truncate(recorded.path, SIZES[i])));
        for (uint64_t generation = 11; generation <= 250; generation++)
            for (unsigned loop = 0; loop < LOOPS; loop++)
                add(&recorded, loop, generation);
        expect_recent(&recorded, 0, 100, 250);
        expect_recent(&recorded, 1, 100, 250);
        char *told = told_while_running(&recorded);
        cr_expect(strstr(told, " error trace_not_written file=") != NULL, "%s", told);
        free(told);
        end(&recorded);
    }
}

/* Neither what reads beyond another file's end, nor a signal that somebody sends, is taken for it.
 */
static void expect_the_usual_end(bool is_sent)
{
    struct recording recorded;
    char other[64];
    signal(SIGBUS, SIG_DFL); /* a sanitizer has one of its own */
    begin(&recorded);
    snprintf(other, sizeof(other), "%s/other", recorded.folder);
    int fd = open(other, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    const volatile char *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    unlink(other);
    unlink(recorded.path);
    rmdir(recorded.folder);
    if (is_sent)
        raise(SIGBUS);
    else
        (void)page[0];
}

Test(trace, another_fault_ends_the_process, .signal = SIGBUS)
{
    expect_the_usual_end(false);
}

Test(trace, a_signal_that_is_sent_ends_the_process, .signal = SIGBUS)
{
    expect_the_usual_end(true);
}

Test(trace, leaves_the_signal_as_it_was)
{
    struct sigaction before, after;
    struct recording recorded;
    sigaction(SIGBUS, NULL, &before);
    begin(&recorded);
    end(&recorded);
    sigaction(SIGBUS, NULL, &after);
    cr_expect(before.sa_sigaction == after.sa_sigaction);
}
