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

struct certificate;

/* Takes over what is fit, and tells of each lineage what became of it: {"imported": [...],
 * "unchanged": [...], "skipped": [{"lineage", "reason"}]}. NULL with the reason when there is no
 * such folder, or none that we may read. */
MUST_CHECK struct json *import_folder(struct sidecar *sidecar, const char *folder,
                                      struct error_text *why);
/* Imports what has changed in the watched folder and has come to rest, in passes over all of it, a
 * look apart at least. True while a pass is under way, whose turn is over. */
MUST_CHECK bool import_watch(struct sidecar *sidecar);
/* This one is new, or for other hosts, or has lost its file: what has been turned down may do for
 * it, and is read again by the next pass. It need not be ordered before `wanted_at`. */
void import_wanted(struct sidecar *sidecar, struct certificate *certificate);
void import_free(struct sidecar *sidecar);
