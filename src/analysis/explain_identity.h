/* For `explain`: what HAProxy and the daemon would know of the user. */
#pragma once

#include "agent/answer.h"
#include "conf/whole.h"

struct explain_identity {
    struct verifier *verifier;
    struct jwk_table *keys;
    char *stripped;
};

/* Headers are lines "Name: value". Fills the request's identity, and reads the keys of all issuers
 * from disk; a problem with them is printed to stderr. */
void explain_identity_init(struct explain_identity *known, const struct whole *whole,
                           const char *const *headers, size_t header_count,
                           struct request *request);
/* The same without keys: the daemon has them. */
void explain_identity_ask(struct explain_identity *known, const struct hap_config *haproxy,
                          const char *const *headers, size_t header_count, struct request *request);
void explain_identity_fini(struct explain_identity *known);
