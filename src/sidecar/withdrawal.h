/* Certificates on their way out of HAProxys.
 *
 * A HAProxy that answers with an error, or not in time, would serve the certificate of a tenant
 * that is gone until its next reload. So it is asked again, after ten seconds, after twenty more,
 * and so on for three hours, and from the next start on, which finds what is left of them
 * (store_each_removed()).
 */
#pragma once

#include "sidecar/deploy.h"

struct sidecar;

struct withdrawal {
    char *name;
    unsigned tries;
    bool has_failed;  /* in some HAProxy, at this try */
    int64_t again_ms; /* monotonic; INT64_MAX while it is under way */
};

/* Takes the file out of every HAProxy, whatever is on disk. After store_remove(), if at all. */
void withdrawal_begin(struct sidecar *sidecar, const char *name);
/* What became of it in one HAProxy; `left` are yet to come. False: the log has been told already.
 */
bool withdrawal_took(struct sidecar *sidecar, const char *name, const struct deploy_result *result,
                     size_t left);
/* At each look: what is due is tried again, unless the name is somebody's again. */
void withdrawals_look(struct sidecar *sidecar);
void withdrawals_free(struct sidecar *sidecar);
