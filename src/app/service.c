/* What the service manager is told: see service.h. The only file that knows libsystemd. */
#include "service.h"

#ifdef WITH_SYSTEMD

#include "core/clock.h"

#include <systemd/sd-daemon.h>

void service_ready(const char *status)
{
    sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void service_reloading(void)
{
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_mono_us());
}

void service_stopping(void)
{
    sd_notify(0, "STOPPING=1");
}

int64_t service_watchdog_ms(void)
{
    uint64_t limit_us = 0;
    if (sd_watchdog_enabled(0, &limit_us) <= 0)
        return 0;
    return (int64_t)(limit_us / 2000); /* twice as often as asked */
}

void service_alive(void)
{
    sd_notify(0, "WATCHDOG=1");
}

#else

void service_ready(const char *status)
{
    (void)status;
}

void service_reloading(void)
{
}

void service_stopping(void)
{
}

int64_t service_watchdog_ms(void)
{
    return 0;
}

void service_alive(void)
{
}

#endif
