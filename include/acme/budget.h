/* How much a CA still lets us do: token buckets below its limits, per account, registered domain,
 * set of names and failing name, so that a CA need not say 429. */
#pragma once

#include "acme/schedule.h"

/* Kind, tokens, seconds until one is back, what they are of; and Let's Encrypt's limit. */
#define BUDGET_TABLE(X)                                                                     \
    X(ORDERS, 280, 38, "new orders")                          /* per account: 300 in 3 h */ \
    X(DOMAIN, 45, 12500, "certificates of one domain")        /* registered: 50 in 7 d */   \
    X(SET, 4, 125000, "certificates for exactly these names") /* 5 in 7 d */                \
    X(FAILURES, 4, 750, "failed validations of a name")       /* per account: 5 in 1 h */   \
    X(ACCOUNTS, 8, 1100, "new accounts")                      /* per address: 10 in 3 h */

enum budget_kind {
#define X(NAME, TOKENS, REFILL_S, TEXT) BUDGET_##NAME,
    BUDGET_TABLE(X)
#undef X
        BUDGET__MAX,
};

struct budget; /* of one CA account */

struct budget *budget_new(void);
void budget_free(struct budget *budget); /* NULL is fine */

/* What an order takes. A renewal of the same names takes less, one in the CA's own window nothing.
 */
enum budget_order { BUDGET_NEW_NAMES, BUDGET_SAME_NAMES, BUDGET_IN_WINDOW };

/* How long an order for these names would have to wait for what it needs; takes nothing. */
MUST_CHECK int64_t budget_order_wait_ms(struct budget *budget, enum budget_order order,
                                        const char *const *names, size_t name_count,
                                        int64_t mono_ms);
/* Takes that, or nothing and returns how long to wait for it. */
MUST_CHECK int64_t budget_take_order_ms(struct budget *budget, enum budget_order order,
                                        const char *const *names, size_t name_count,
                                        int64_t mono_ms);
/* Nothing was issued for an order that has taken what it needs: a CA counts certificates when it
 * issues them, so those of the set and of the domains are there again. The order is used up. */
void budget_give_back(struct budget *budget, enum budget_order order, const char *const *names,
                      size_t name_count, int64_t mono_ms);
/* How long the last order that had to wait, for `wait_ms`, waits until it asks again. Thousands may
 * wait for the account's next order: each has a turn of its own there, so that all do not come for
 * every single one. */
MUST_CHECK int64_t budget_turn_ms(struct budget *budget, int64_t wait_ms, int64_t mono_ms);
/* Why the last order that had to wait has to, in words: a literal. */
const char *budget_reason(const struct budget *budget);
/* A name could not be validated. */
void budget_note_failure(struct budget *budget, const char *name, int64_t mono_ms);
MUST_CHECK int64_t budget_take_account_ms(struct budget *budget, int64_t mono_ms);
/* Buckets that are not full; for tests, which see no other way that refusals take no memory. */
size_t budget_size(const struct budget *budget);

/* Across restarts. Buckets that have filled up again are left out. */
struct json *budget_save(struct budget *budget, const struct schedule_now *now);
void budget_load(struct budget *budget, const struct json *saved, const struct schedule_now *now);

/* The name that a CA counts by: the part that was registered below a public suffix, or the whole
 * name when that cannot be told. */
void registered_domain(const char *name, char domain[static ACME_NAME_SIZE]);
