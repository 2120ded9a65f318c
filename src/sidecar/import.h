/* Certificates that another client obtained: certbot's folder, taken over once or watched.
 *
 *     FOLDER/live/NAME/fullchain.pem, privkey.pem     or FOLDER/NAME/...
 *
 * Each goes to the tenant that has the first of its names that some tenant has. What is in service
 * stays when it is for more of the tenant's hosts, or lasts as long. Files are read only.
 */
#pragma once

#include "sidecar/sidecar.h"
#include "json/json.h"

/* Takes over what is fit, and tells of each lineage what became of it: {"imported": [...],
 * "unchanged": [...], "skipped": [{"lineage", "reason"}]}. NULL with the reason when there is no
 * such folder, or none that we may read. */
MUST_CHECK struct json *import_folder(struct sidecar *sidecar, const char *folder,
                                      struct error_text *why);
/* For each look: imports from the watched folder when something in it has changed and has come to
 * rest. */
void import_watch(struct sidecar *sidecar);
/* Other tenants: what nobody had may have an owner now. */
void import_again(struct sidecar *sidecar);
