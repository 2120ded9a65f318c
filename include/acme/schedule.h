/* When to act next for a certificate: pure, time is an argument.
 *
 * Waits run on the monotonic clock; the wall clock is for certificate dates and is looked at anew
 * at least once an hour, so that a clock that jumps is noticed and does no more harm than that.
 */
#pragma once

#include "acme/acme_problem.h"

struct json;

struct schedule_now {
    int64_t mono_ms;
    int64_t wall_s;
};

struct schedule_settings {
    bool has_staging;      /* a directory for trying again what failed */
    bool has_second;       /* another CA */
    unsigned second_after; /* failures; 0 means 5 */
};

enum schedule_ca { SCHEDULE_CA_FIRST, SCHEDULE_CA_STAGING, SCHEDULE_CA_SECOND };

/* All that is remembered of a certificate between two actions. */
struct schedule_certificate {
    uint32_t seed; /* spreads what would fall together; any number, kept for life */

    /* Of the certificate in service, from the certificate itself; 0 when there is none. */
    int64_t not_before_s;
    int64_t not_after_s;
    int64_t young_until_mono_ms; /* issued just now, whatever the wall clock says; 0: it was not */

    /* What the CA suggests (RFC 9773); 0 when it does not. */
    bool can_poll; /* the CA has a renewalInfo and the certificate an id for it */
    int64_t window_start_s;
    int64_t window_end_s;
    int64_t poll_mono_ms; /* not before then */

    /* What went wrong. */
    unsigned failures;     /* in a row */
    unsigned own_failures; /* the last of them, which are our own side's: no CA's doing */
    enum acme_class last_class;
    int64_t retry_mono_ms;        /* no order before then; 0: any time */
    bool staging_passed;          /* since the last failure: now for real */
    enum schedule_ca closed;      /* is, as the last of those, not to be asked for long */
    int64_t closed_until_mono_ms; /* 0: none has */
    bool wanted_now;              /* somebody asked for a renewal, or names have changed */
};

enum schedule_action { SCHEDULE_ORDER, SCHEDULE_POLL, SCHEDULE_LOOK };

struct schedule_decision {
    enum schedule_action action; /* SCHEDULE_LOOK: decide anew */
    int64_t due_mono_ms;         /* may be past */
    const char *why;             /* a literal */
    int64_t happens_mono_ms;     /* what `why` tells of, where no more than a look is due before */
    int64_t renewal_s;           /* wall clock: when a renewal is planned; 0: at once */
    bool in_window;              /* a CA exempts an order now that `replaces` from its limits */
};

enum {
    SCHEDULE_LOOK_MS = 3600 * 1000,
    SCHEDULE_POLL_MIN_S = 60,
    SCHEDULE_POLL_MAX_S = 24 * 3600,
    SCHEDULE_POLL_DEFAULT_S = 6 * 3600,
    SCHEDULE_DAY_S = 24 * 3600,
    SCHEDULE_CLOSED_MIN_S = 3600,           /* less is waited for before the other CA is asked */
    SCHEDULE_SHORT_LIFE_S = 10 * 24 * 3600, /* renewed at half of life instead of two thirds */
};

struct schedule_decision schedule_decide(const struct schedule_certificate *certificate,
                                         const struct schedule_now *now);
enum schedule_ca schedule_ca_of(const struct schedule_certificate *certificate,
                                const struct schedule_settings *settings,
                                const struct schedule_now *now);

/* Whether the CA wants it to be renewed long before its time, as it does before it revokes. */
MUST_CHECK bool schedule_is_urged(const struct schedule_certificate *certificate, int64_t wall_s);

/* What happened. */
void schedule_succeeded(struct schedule_certificate *certificate, int64_t not_before_s,
                        int64_t not_after_s, bool can_poll, const struct schedule_now *now);
void schedule_failed(struct schedule_certificate *certificate, const struct acme_problem *problem,
                     const struct schedule_now *now);
/* The same of one of two CAs: what it says of when to come back keeps the other one from nothing.
 */
void schedule_failed_at(struct schedule_certificate *certificate, enum schedule_ca ca,
                        const struct acme_problem *problem, const struct schedule_now *now);
/* Our own side keeps an order from that CA for so long: how long it waits then. Not at all where
 * that is long and the other one can be asked, who is the one to ask until then. */
MUST_CHECK int64_t schedule_keep_back_ms(struct schedule_certificate *certificate,
                                         enum schedule_ca ca, int64_t wait_ms,
                                         const struct schedule_now *now);
/* The CA that is closed is the one to ask all the same, and the other one is not for so long. */
void schedule_turn_back(struct schedule_certificate *certificate, int64_t wait_ms,
                        const struct schedule_now *now);
/* The CA, which was not to be had, is back: who has failed for that does not wait for long now. */
void schedule_ca_is_back(struct schedule_certificate *certificate, const struct schedule_now *now);
/* The same of our own side, where what a challenge goes through is another than before. */
void schedule_way_is_new(struct schedule_certificate *certificate, const struct schedule_now *now);
void schedule_staging_succeeded(struct schedule_certificate *certificate);
/* Another one is in service, which is told of in `certificate`: the window was that of the one
 * before. */
void schedule_replaced(struct schedule_certificate *certificate);
/* Somebody has put it there, who has ended what went wrong with the one before, or was wanted
 * instead of it. */
void schedule_found(struct schedule_certificate *certificate);
/* That one is the one before, which somebody wants to have back. */
void schedule_put_back(struct schedule_certificate *certificate, const struct schedule_now *now);
/* It is for other names now, which need not wait for what was wrong with those before. */
void schedule_names_changed(struct schedule_certificate *certificate);
/* Other CAs are asked for it, or as somebody else. */
void schedule_cas_changed(struct schedule_certificate *certificate);
void schedule_window(struct schedule_certificate *certificate, int64_t start_s, int64_t end_s,
                     int32_t retry_after_s, const struct schedule_now *now);
/* No window could be had; the life of the certificate decides till one can. */
void schedule_window_failed(struct schedule_certificate *certificate, int32_t retry_after_s,
                            const struct schedule_now *now);

/* How close the certificate in service is to its end. */
enum schedule_alarm { SCHEDULE_FINE, SCHEDULE_EXPIRING, SCHEDULE_EXPIRED };
/* EXPIRING: a quarter of life is left (a third for short ones), so renewals have failed for long.
 */
enum schedule_alarm schedule_alarm_of(const struct schedule_certificate *certificate,
                                      int64_t wall_s);

/* What must survive a restart: back-off and windows. Dates are read from the certificate again. */
struct json *schedule_save(const struct schedule_certificate *certificate,
                           const struct schedule_now *now);
/* Takes over what makes sense. However the wall clock was set meanwhile, no wait becomes longer
 * than it was when it was saved. */
void schedule_load(struct schedule_certificate *certificate, const struct json *saved,
                   const struct schedule_now *now);
