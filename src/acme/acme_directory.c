/* A CA's directory: see acme/acme_directory.h. */
#include "acme/acme_directory.h"

#include "acme/acme_problem.h"
#include "core/time_text.h"
#include "json/json.h"

/* Whether a member that may be absent is fine: absent, or a URL. */
static void copy_optional(const struct json *root, const char *member, char url[ACME_URL_SIZE])
{
    if (!acme_url_copy(json_get(root, member), url))
        url[0] = '\0';
}

static void copy_caa_identities(const struct json *identities, struct acme_directory *directory)
{
    for (size_t i = 0; i < json_count(identities); i++) {
        struct slice text;
        if (!json_read_text(json_at(identities, i), &text) || text.size == 0 ||
            text.size >= ACME_NAME_SIZE || directory->caa_identity_count == ACME_CAA_IDENTITIES_MAX)
            continue;
        char *copy = directory->caa_identities[directory->caa_identity_count++];
        memcpy(copy, text.data, text.size);
        copy[text.size] = '\0';
    }
}

static void copy_meta(const struct json *meta, struct acme_directory *directory)
{
    copy_optional(meta, "termsOfService", directory->terms_of_service);
    copy_caa_identities(json_get(meta, "caaIdentities"), directory);
    for (struct json_member m = {0}; json_next(json_get(meta, "profiles"), &m);) {
        if (m.key.size >= ACME_PROFILE_SIZE || directory->profile_count == ACME_PROFILES_MAX)
            continue;
        char *profile = directory->profiles[directory->profile_count++];
        memcpy(profile, m.key.data, m.key.size);
        profile[m.key.size] = '\0';
    }
}

enum error acme_directory_parse(struct slice body, struct acme_directory *directory,
                                struct error_text *why)
{
    struct acme_directory read = {.profile_count = 0};
    struct json *root = json_parse(body, ACME_ANSWER_MAX_BYTES, NULL, why);
    if (root == NULL)
        return ERROR_PROTOCOL;
    enum error error = ERROR_OK;
    if (!acme_url_copy(json_get(root, "newNonce"), read.new_nonce) ||
        !acme_url_copy(json_get(root, "newAccount"), read.new_account) ||
        !acme_url_copy(json_get(root, "newOrder"), read.new_order))
        error = error_set(why, ERROR_PROTOCOL,
                          "not an ACME directory: newNonce, newAccount and newOrder must be https "
                          "URLs");
    copy_optional(root, "revokeCert", read.revoke_cert);
    copy_optional(root, "keyChange", read.key_change);
    copy_optional(root, "renewalInfo", read.renewal_info);
    copy_meta(json_get(root, "meta"), &read);
    json_free(root);
    if (error == ERROR_OK)
        *directory = read;
    return error;
}

bool acme_directory_has_profile(const struct acme_directory *directory, const char *profile)
{
    for (size_t i = 0; i < directory->profile_count; i++)
        if (strcmp(directory->profiles[i], profile) == 0)
            return true;
    return false;
}

static bool read_time(const struct json *window, const char *member, int64_t *seconds)
{
    struct slice text;
    return json_read_text(json_get(window, member), &text) &&
           time_text_parse_rfc3339(text, seconds);
}

enum error acme_renewal_info_parse(struct slice body, struct acme_renewal_info *info,
                                   struct error_text *why)
{
    struct json *root = json_parse(body, ACME_ANSWER_MAX_BYTES, NULL, why);
    if (root == NULL)
        return ERROR_PROTOCOL;
    const struct json *window = json_get(root, "suggestedWindow");
    enum error error = ERROR_OK;
    copy_optional(root, "explanationURL", info->explanation_url);
    if (!read_time(window, "start", &info->start_s) || !read_time(window, "end", &info->end_s))
        error = error_set(why, ERROR_PROTOCOL, "suggestedWindow lacks its start or end");
    else if (info->end_s <= info->start_s)
        error = error_set(why, ERROR_PROTOCOL, "suggestedWindow ends before it starts");
    json_free(root);
    return error;
}
