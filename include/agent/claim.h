/* The user's id in the claims of a token, unverified: whose word it is nobody knows. */
#pragma once

#include "core/slice.h"

enum { CLAIMS_MAX_BYTES = 1024 };

/* `claims` is the middle part of a JWT, base64url text of a JSON object; anything may come. Finds
 * the member "id" of that object, a string of 1 to 128 bytes, undecoded; `buffer` is what it views.
 * The first one counts. False when there is none. No allocation. */
MUST_CHECK bool claim_find_id(struct slice claims, char buffer[static CLAIMS_MAX_BYTES],
                              struct slice *id);

/* The middle part of a JWT, as HAProxy's field(2,.) has it; empty when there is none. */
struct slice claim_part(struct slice token);
/* A number for the user whose id claim_find_id() finds, the same in every process and whatever else
 * the claims hold; 0 when there is none. Claims as Open WebUI writes them are not decoded for it:
 * such that look alike and are none may give their sender a number of his own. */
uint64_t claim_user(struct slice claims);
