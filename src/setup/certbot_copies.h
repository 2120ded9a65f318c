/* Copies of certbot's certificates in the daemon's own folder, for as long as it takes them over:
 * certbot's folder is root's alone.
 *
 * The daemon's folder is its user's, who may put a link in the way of root at any moment: every
 * step goes by an open folder, and follows none.
 */
#pragma once

#include "core/error.h"

struct certbot_copies;

/* "STATE_DIR/from-certbot"; NULL on error. */
struct certbot_copies *certbot_copies_new(const char *state_dir, struct error_text *why);
/* Where they are. */
const char *certbot_copies_path(const struct certbot_copies *copies)
    __attribute__((returns_nonnull));
/* Copies chain and key of CERTBOT/live/NAME, over what a run that was killed has left. */
MUST_CHECK enum error certbot_copies_add(struct certbot_copies *copies, const char *certbot,
                                         const char *name, struct error_text *why);
/* Takes all of them away again, with the folder. */
void certbot_copies_free(struct certbot_copies *copies);
