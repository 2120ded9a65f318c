/* The CPU time of another process. */
#pragma once

/* Over all threads. The total is the scheduler's, in nanoseconds; user and system time are the
 * kernel's ticks and good for their ratio. */
struct cpu_time {
    double total_s;
    double user_s;
    double system_s;
};

/* Zeroes for pid 0. Ends the program when the process is gone. */
struct cpu_time cpu_time_of(int pid);
