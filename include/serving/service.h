/* What the service manager is told (sd_notify(3)); without systemd these do nothing. */
#pragma once

#include "core/base.h"

#include <stdint.h>

/* Serving from now on; `status` is what `systemctl status` shows. */
void service_ready(const char *status);
/* A reload begins; service_ready() ends it. */
void service_reloading(void);
void service_stopping(void);
/* How often service_alive() has to be called; 0: nobody watches. */
int64_t service_watchdog_ms(void);
void service_alive(void);
