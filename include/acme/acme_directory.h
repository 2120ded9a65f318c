/* A CA's directory: where its resources are and what it expects (RFC 8555 7.1.1). */
#pragma once

#include "acme/acme_message.h"

enum { ACME_PROFILES_MAX = 16, ACME_PROFILE_SIZE = 64, ACME_CAA_IDENTITIES_MAX = 8 };

struct acme_directory {
    char new_nonce[ACME_URL_SIZE];
    char new_account[ACME_URL_SIZE];
    char new_order[ACME_URL_SIZE];
    char revoke_cert[ACME_URL_SIZE]; /* "" when the CA does not offer it; so for the next ones */
    char key_change[ACME_URL_SIZE];
    char renewal_info[ACME_URL_SIZE];
    char terms_of_service[ACME_URL_SIZE];
    char profiles[ACME_PROFILES_MAX][ACME_PROFILE_SIZE];
    size_t profile_count;
    /* What CAA records call this CA; none when it does not say. */
    char caa_identities[ACME_CAA_IDENTITIES_MAX][ACME_NAME_SIZE];
    size_t caa_identity_count;
};

/* Members that are not known are passed over: CAs put random ones in to see who minds. What is no
 * directory leaves `directory` as it was: orders on their way go by it. */
MUST_CHECK enum error acme_directory_parse(struct slice body, struct acme_directory *directory,
                                           struct error_text *why);
MUST_CHECK bool acme_directory_has_profile(const struct acme_directory *directory,
                                           const char *profile);

/* A renewal window that the CA suggests (RFC 9773 4.2). */
struct acme_renewal_info {
    int64_t start_s;
    int64_t end_s;
    char explanation_url[ACME_URL_SIZE]; /* "" when there is none */
};
/* Refuses a window that ends before it starts. */
MUST_CHECK enum error acme_renewal_info_parse(struct slice body, struct acme_renewal_info *info,
                                              struct error_text *why);
