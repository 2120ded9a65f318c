/* JSON Web Tokens: see identity/jwt.h. */
#include "identity/jwt.h"

#include "claim_path.h"
#include "crypto/base64url.h"
#include "json/json.h"

enum {
    PARTS = 3,
    CANDIDATES_MAX = 4, /* signatures that are tried for a token that names no key */
    GROUPS_MAX = 64,
};

/* A token's parts, as they came. */
struct parts {
    struct slice header;
    struct slice payload;
    struct slice signature;
    struct slice signed_text; /* header, dot, payload */
};

static bool split(struct slice text, struct parts *parts)
{
    struct slice rest = text;
    parts->header = slice_cut(&rest, '.');
    bool has_signature = slice_has(rest, '.');
    parts->payload = slice_cut(&rest, '.');
    parts->signature = rest;
    if (!has_signature || slice_has(rest, '.'))
        return false;
    parts->signed_text = slice_head(text, parts->header.size + 1 + parts->payload.size);
    return parts->header.size > 0 && parts->payload.size > 0;
}

/* A part that is JSON; NULL when it is not base64url, not an object, or says something twice. What
 * numbers other services put there is their business. */
static struct json *parse_part(struct slice part)
{
    struct bytes raw = {0};
    struct json *object = NULL;
    if (base64url_decode(part, &raw))
        object = json_parse_reals(bytes_slice(&raw), JWT_MAX_BYTES);
    bytes_free(&raw);
    if (json_type_of(object) == JSON_TYPE_OBJECT)
        return object;
    json_free(object);
    return NULL;
}

/* -- The header -- */

struct selection {
    enum crypto_algorithm algorithm;
    struct slice kid;
    bool has_kid;
};

/* An access token's type (RFC 9068) or the plain one; a token of another type is for another use
 * (RFC 8725 3.11). */
static bool is_known_type(struct slice type)
{
    static const char *const TYPES[] = {"JWT", "at+jwt", "application/jwt", "application/at+jwt"};
    for (size_t i = 0; i < COUNT_OF(TYPES); i++)
        if (slice_equal_nocase(type, slice_of(TYPES[i])))
            return true;
    return false;
}

static enum identity_refusal read_header(const struct json *header,
                                         const struct identity_rule *rule,
                                         struct selection *selection)
{
    struct slice text;
    const struct json *kid = json_get(header, "kid");
    if (json_get(header, "crit") != NULL || json_get(header, "b64") != NULL)
        return IDENTITY_REFUSAL_CRITICAL; /* none is known here (RFC 7515 4.1.11) */
    if (json_get(header, "enc") != NULL || json_get(header, "zip") != NULL ||
        json_get(header, "cty") != NULL)
        return IDENTITY_REFUSAL_TYPE;
    if (json_get(header, "typ") != NULL &&
        !(json_read_text(json_get(header, "typ"), &text) && is_known_type(text)))
        return IDENTITY_REFUSAL_TYPE;
    if (!json_read_text(json_get(header, "alg"), &text))
        return IDENTITY_REFUSAL_HEADER;
    if (!crypto_algorithm_parse(text, &selection->algorithm) ||
        (rule->algorithms & 1u << selection->algorithm) == 0)
        return IDENTITY_REFUSAL_ALGORITHM;
    selection->has_kid = kid != NULL;
    if (kid != NULL &&
        (!json_read_text(kid, &selection->kid) || selection->kid.size > JWK_KID_MAX_BYTES))
        return IDENTITY_REFUSAL_HEADER;
    return IDENTITY_REFUSAL_NONE;
}

/* -- The signature -- */

static bool is_meant(const struct jwk *jwk, const struct selection *selection)
{
    return jwk->kid == NULL || !selection->has_kid ||
           slice_equal(slice_of(jwk->kid), selection->kid);
}

static bool is_possible(const struct jwk *jwk, const struct selection *selection)
{
    return (jwk->algorithm < 0 || jwk->algorithm == (int)selection->algorithm) &&
           crypto_public_key_fits(jwk->key, selection->algorithm);
}

static enum identity_refusal check_signature(const struct jwk_set *keys,
                                             const struct selection *selection,
                                             const struct parts *parts)
{
    struct bytes signature = {0};
    enum identity_refusal refusal = IDENTITY_REFUSAL_UNKNOWN_KEY;
    unsigned tried = 0;
    if (!base64url_decode(parts->signature, &signature))
        refusal = IDENTITY_REFUSAL_NOT_A_TOKEN;
    for (size_t i = 0; refusal != IDENTITY_REFUSAL_NOT_A_TOKEN && i < keys->count; i++) {
        const struct jwk *jwk = &keys->keys[i];
        if (!is_meant(jwk, selection))
            continue;
        if (!is_possible(jwk, selection)) {
            if (tried == 0)
                refusal = IDENTITY_REFUSAL_KEY_KIND;
            continue;
        }
        if (tried++ == CANDIDATES_MAX)
            break;
        /* Where the key is not told by its name, it may be one that is not known yet. */
        refusal = selection->has_kid && jwk->kid != NULL ? IDENTITY_REFUSAL_SIGNATURE
                                                         : IDENTITY_REFUSAL_UNKNOWN_KEY;
        if (crypto_verify(jwk->key, selection->algorithm, parts->signed_text,
                          bytes_slice(&signature))) {
            refusal = IDENTITY_REFUSAL_NONE;
            break;
        }
    }
    bytes_free(&signature);
    return refusal;
}

/* -- The claims -- */

/* A NumericDate (RFC 7519 2), which may have a fraction. */
static bool read_time(const struct json *value, int64_t *time_s)
{
    static const double FAR = 1e15;
    double real;
    if (!json_read_real(value, &real) || !(real >= 0 && real < FAR))
        return false;
    *time_s = (int64_t)real;
    return true;
}

static enum identity_refusal check_times(const struct json *claims,
                                         const struct identity_rule *rule, int64_t now_s,
                                         struct identity *identity)
{
    int64_t expires_s, not_before_s = 0, issued_s = 0;
    const struct json *not_before = json_get(claims, "nbf");
    const struct json *issued = json_get(claims, "iat");
    if (!read_time(json_get(claims, "exp"), &expires_s) ||
        (not_before != NULL && !read_time(not_before, &not_before_s)) ||
        (issued != NULL && !read_time(issued, &issued_s)))
        return IDENTITY_REFUSAL_CLAIMS;
    identity->good_until_s = expires_s + rule->leeway_s;
    if (now_s >= identity->good_until_s)
        return IDENTITY_REFUSAL_EXPIRED;
    if (not_before_s > now_s + rule->leeway_s || issued_s > now_s + rule->leeway_s)
        return IDENTITY_REFUSAL_NOT_YET;
    return IDENTITY_REFUSAL_NONE;
}

static bool is_wanted_audience(const struct identity_rule *rule, const struct json *value)
{
    struct slice text;
    if (!json_read_text(value, &text))
        return false;
    for (size_t i = 0; i < rule->audience_count; i++)
        if (slice_equal(text, slice_of(rule->audiences[i])))
            return true;
    return false;
}

static bool has_audience(const struct identity_rule *rule, const struct json *audience)
{
    if (json_type_of(audience) != JSON_TYPE_ARRAY)
        return is_wanted_audience(rule, audience);
    for (size_t i = 0; i < json_count(audience); i++)
        if (is_wanted_audience(rule, json_at(audience, i)))
            return true;
    return false;
}

/* The issuer does not say that the address in this object is nobody's word. */
static bool may_be_verified(const struct json *object)
{
    const struct json *verified = json_get(object, "email_verified");
    struct slice text;
    bool is_verified;
    if (verified == NULL || json_read_bool(verified, &is_verified))
        return verified == NULL || is_verified;
    return json_read_text(verified, &text) && slice_equal(text, SLICE("true")); /* some write so */
}

static enum identity_refusal read_email(const struct json *claims, const struct identity_rule *rule,
                                        struct identity *identity)
{
    const struct json *claim, *siblings;
    struct slice text;
    if (!claim_path_find(claims, rule->field[IDENTITY_EMAIL], &claim, &siblings) ||
        !json_read_text(claim, &text) || !identity_set_email(identity, text))
        return IDENTITY_REFUSAL_EMAIL;
    return may_be_verified(claims) && may_be_verified(siblings) ? IDENTITY_REFUSAL_NONE
                                                                : IDENTITY_REFUSAL_EMAIL_UNVERIFIED;
}

static bool read_name(const struct json *name, struct identity *identity)
{
    struct slice text;
    return json_read_text(name, &text) && identity_set_name(identity, text);
}

static bool read_groups(const struct json *groups, struct identity *identity)
{
    struct slice text;
    if (json_read_text(groups, &text))
        return text.size == 0 || identity_add_group(identity, text);
    if (json_type_of(groups) != JSON_TYPE_ARRAY || json_count(groups) > GROUPS_MAX)
        return false;
    for (size_t i = 0; i < json_count(groups); i++)
        if (!json_read_text(json_at(groups, i), &text) || !identity_add_group(identity, text))
            return false;
    return true;
}

static bool read_role(const struct json *role, struct identity *identity)
{
    struct slice text;
    return json_read_text(role, &text) && identity_set_role(identity, text);
}

/* All but the address need not be there. What nobody is told may be whatever it is: a role of
 * another service's is no reason to know nobody. */
static enum identity_refusal read_values(const struct json *claims,
                                         const struct identity_rule *rule,
                                         struct identity *identity)
{
    static bool (*const READERS[])(const struct json *, struct identity *) = {
        [IDENTITY_NAME] = read_name, [IDENTITY_GROUPS] = read_groups, [IDENTITY_ROLE] = read_role};
    enum identity_refusal refusal = read_email(claims, rule, identity);
    for (size_t i = 0; refusal == IDENTITY_REFUSAL_NONE && i < COUNT_OF(READERS); i++) {
        const struct json *claim;
        if (READERS[i] == NULL || (rule->unread >> i & 1) != 0)
            continue;
        if (!claim_path_find(claims, rule->field[i], &claim, NULL) ||
            (claim != NULL && !READERS[i](claim, identity)))
            refusal = IDENTITY_REFUSAL_VALUE;
    }
    return refusal;
}

static enum identity_refusal read_claims(const struct json *claims,
                                         const struct identity_rule *rule, int64_t now_s,
                                         struct identity *identity)
{
    struct slice issuer;
    if (!json_read_text(json_get(claims, "iss"), &issuer) ||
        !slice_equal(issuer, slice_of(rule->issuer)))
        return IDENTITY_REFUSAL_ISSUER;
    if (!has_audience(rule, json_get(claims, "aud")))
        return IDENTITY_REFUSAL_AUDIENCE;
    enum identity_refusal refusal = check_times(claims, rule, now_s, identity);
    return refusal != IDENTITY_REFUSAL_NONE ? refusal : read_values(claims, rule, identity);
}

struct slice jwt_of_header(struct slice value)
{
    static const size_t BEARER = sizeof("Bearer ") - 1;
    struct slice text = slice_trim(value);
    if (text.size > BEARER && slice_equal_nocase(slice_head(text, BEARER), SLICE("Bearer ")))
        text = slice_trim(slice_skip(text, BEARER));
    return text;
}

enum identity_refusal jwt_verify(struct slice text, const struct identity_rule *rule,
                                 const struct jwk_set *keys, int64_t now_s,
                                 struct identity *identity)
{
    struct parts parts;
    struct selection selection = {.has_kid = false};
    enum identity_refusal refusal;
    struct json *header = NULL, *claims = NULL;

    *identity = (struct identity){.good_until_s = INT64_MAX};
    if (text.size > JWT_MAX_BYTES)
        return IDENTITY_REFUSAL_TOO_BIG;
    if (!split(text, &parts))
        return IDENTITY_REFUSAL_NOT_A_TOKEN;
    header = parse_part(parts.header);
    refusal = header != NULL ? read_header(header, rule, &selection) : IDENTITY_REFUSAL_HEADER;
    if (refusal == IDENTITY_REFUSAL_NONE && keys == NULL)
        refusal = IDENTITY_REFUSAL_NO_KEYS;
    if (refusal == IDENTITY_REFUSAL_NONE)
        refusal = check_signature(keys, &selection, &parts);
    if (refusal == IDENTITY_REFUSAL_NONE) {
        claims = parse_part(parts.payload);
        refusal =
            claims != NULL ? read_claims(claims, rule, now_s, identity) : IDENTITY_REFUSAL_CLAIMS;
    }
    json_free(claims);
    json_free(header);
    return refusal;
}
