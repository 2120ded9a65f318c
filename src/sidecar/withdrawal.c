/* Certificates on their way out of HAProxys: see withdrawal.h. */
#include "withdrawal.h"

#include "sidecar_state.h"

#include "core/clock.h"
#include "core/memory.h"

#include <stdlib.h>

enum {
    TRIES = 11,
    PAUSE_FIRST_MS = 10 * 1000, /* doubled at each try: three hours in all */
};

static struct withdrawal *find(const struct sidecar *sidecar, const char *name)
{
    for (size_t i = 0; i < sidecar->withdrawal_count; i++)
        if (strcmp(sidecar->withdrawals[i].name, name) == 0)
            return &sidecar->withdrawals[i];
    return NULL;
}

static struct withdrawal *add(struct sidecar *sidecar, const char *name)
{
    sidecar->withdrawals = memory_resize(sidecar->withdrawals, sidecar->withdrawal_count + 1,
                                         sizeof(sidecar->withdrawals[0]));
    struct withdrawal *withdrawal = &sidecar->withdrawals[sidecar->withdrawal_count++];
    *withdrawal = (struct withdrawal){.name = memory_copy_text(slice_of(name))};
    return withdrawal;
}

static void forget(struct sidecar *sidecar, struct withdrawal *withdrawal)
{
    free(withdrawal->name);
    *withdrawal = sidecar->withdrawals[--sidecar->withdrawal_count];
}

static void ask(struct sidecar *sidecar, struct withdrawal *withdrawal)
{
    withdrawal->tries++;
    withdrawal->has_failed = false;
    withdrawal->again_ms = INT64_MAX;
    sidecar_withdraw(sidecar, withdrawal->name);
}

void withdrawal_begin(struct sidecar *sidecar, const char *name)
{
    struct withdrawal *withdrawal = find(sidecar, name);
    if (sidecar->haproxy_count == 0) {
        store_forget_removed(sidecar->store, name);
        return;
    }
    if (withdrawal == NULL)
        withdrawal = add(sidecar, name);
    withdrawal->tries = 0;
    ask(sidecar, withdrawal);
}

bool withdrawal_took(struct sidecar *sidecar, const char *name, const struct deploy_result *result,
                     size_t left)
{
    struct withdrawal *withdrawal = find(sidecar, name);
    if (withdrawal == NULL)
        return true;
    bool is_new = withdrawal->tries == 1 || (result->error == ERROR_OK && result->existed);
    withdrawal->has_failed |= result->error != ERROR_OK;
    if (left > 0)
        return is_new;
    if (!withdrawal->has_failed) {
        store_forget_removed(sidecar->store, name);
        overlap_changed(sidecar, name);
    }
    if (withdrawal->has_failed && withdrawal->tries < TRIES)
        withdrawal->again_ms =
            clock_mono_ms() + ((int64_t)PAUSE_FIRST_MS << (withdrawal->tries - 1));
    else
        forget(sidecar, withdrawal);
    return is_new;
}

/* A tenant has it again, or an admin has put a file of that name there. */
static bool is_somebodys(const struct sidecar *sidecar, const char *name)
{
    struct file_stamp file = store_stamp(sidecar->store, name);
    return certificate_list_find(sidecar->list, name) != NULL || !file_stamp_is_none(&file);
}

void withdrawals_look(struct sidecar *sidecar)
{
    int64_t now_ms = clock_mono_ms();
    for (size_t i = sidecar->withdrawal_count; i-- > 0;) {
        struct withdrawal *withdrawal = &sidecar->withdrawals[i];
        if (withdrawal->again_ms > now_ms)
            continue;
        if (is_somebodys(sidecar, withdrawal->name))
            forget(sidecar, withdrawal);
        else
            ask(sidecar, withdrawal);
    }
}

void withdrawals_free(struct sidecar *sidecar)
{
    for (size_t i = 0; i < sidecar->withdrawal_count; i++)
        free(sidecar->withdrawals[i].name);
    free(sidecar->withdrawals);
}
