/* The two clocks. Waits and back-offs use the monotonic one; wall time is for certificate dates and
 * for people. Pure code takes the time as an argument. */
#pragma once

#include <stdint.h>

int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
int64_t clock_mono_ns(void); /* to measure how long something took */
int64_t clock_wall_s(void);
int64_t clock_wall_ms(void);
