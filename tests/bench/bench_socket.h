/* Sockets of the benchmark: tcp:HOST:PORT (addresses only), unix:PATH and unix:@ABSTRACT. */
#pragma once

#include "core/base.h"

/* Each ends the program with the reason when it cannot be done. Descriptors do not block. */
int bench_listen(const char *address);
int bench_connect(const char *address);

_Noreturn void bench_give_up(const char *format, ...) PRINTF_LIKE(1, 2);
