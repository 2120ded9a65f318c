/* Refused identities in the log: see identity_log.h. */
#include "identity_log.h"

#include "core/clock.h"
#include "core/log.h"

enum { WINDOW_MS = 10000 };

static void tell(const struct decision *decision, unsigned passed_over)
{
    char ip_text[IP_TEXT_SIZE];
    const struct tenant *tenant =
        decision->asked != NULL ? decision->asked : decision->match.tenant;
    log_event(LOG_NOTICE, "identity_refused", LOG_TEXT("tenant", tenant->name),
              LOG_TEXT("reason", identity_refusal_name(decision->identity_refusal)),
              LOG_TEXT("client", ip_print(&decision->client.ip, ip_text)),
              LOG_NUMBER("passed_over", passed_over));
}

void identity_log_add(struct identity_log *log, const struct decision *decision)
{
    if (decision->identity_refusal <= IDENTITY_REFUSAL_ABSENT)
        return;
    struct identity_log_reason *reason = &log->reasons[decision->identity_refusal];
    int64_t now_ms = clock_mono_ms();
    if (now_ms < reason->until_ms) {
        reason->passed_over++;
        return;
    }
    reason->until_ms = now_ms + WINDOW_MS;
    tell(decision, reason->passed_over);
    reason->passed_over = 0;
}
