/* Files that others put into HAProxy's folder: see arrivals.h.
 *
 * Whoever puts a file there, or replaces one, changes the folder: only then are all files that are
 * wanted looked at, which is a stat() for each. What is written in place does not change it: what
 * is somebody else's to renew is looked at each time, and the rest when the audit comes to it. */
#include "arrivals.h"

#include "core/clock.h"
#include "sidecar_state.h"

#include <stdlib.h>

/* A folder that has changed so lately may change again within the same tick of its clock. */
enum { SETTLED_S = 2 };

/* True when it is another file. */
static bool look_at(struct sidecar *sidecar, struct certificate *certificate)
{
    struct file_stamp file = store_stamp(sidecar->store, certificate->name);
    bool changed = !file_stamp_is_none(&file) && !file_stamp_equal(&file, &certificate->looked_at);
    certificate->is_due |= changed;
    return changed;
}

static bool has_changed(struct sidecar *sidecar)
{
    struct file_stamp folder = file_stamp_read(sidecar->crt_list);
    bool is_settled = llabs(clock_wall_s() - (int64_t)folder.changed.tv_sec) >= SETTLED_S;
    bool changed = !file_stamp_equal(&folder, &sidecar->arrivals_seen);
    sidecar->arrivals_seen = is_settled ? folder : (struct file_stamp){0};
    return changed;
}

bool arrivals_go_on(struct sidecar *sidecar)
{
    const int64_t began_ms = clock_mono_ms();
    bool changed = false;
    while (sidecar->arrivals_at < sidecar->list->count) {
        changed |= look_at(sidecar, sidecar->list->items[sidecar->arrivals_at++]);
        if (sidecar_turn_is_over(began_ms))
            break;
    }
    if (changed)
        sidecar_sweep(sidecar);
    return sidecar->arrivals_at < sidecar->list->count;
}

void arrivals_look(struct sidecar *sidecar)
{
    bool changed = false;
    for (size_t i = 0; i < sidecar->list->count; i++)
        if (sidecar->list->items[i]->is_given)
            changed |= look_at(sidecar, sidecar->list->items[i]);
    if (changed)
        sidecar_sweep(sidecar);
    if (has_changed(sidecar))
        sidecar->arrivals_at = 0;
}
