/* Verification behind a cache: see identity/verifier.h. */
#include "identity/verifier.h"

#include "core/hash.h"
#include "core/memory.h"
#include "crypto/client_certificate.h"
#include "debts.h"
#include "memos.h"

#include <stdlib.h>

enum {
    /* Of a token of 700 bytes and who it is: 15,000 users. What is refused does not drive these
     * out: anybody can send some. */
    KNOWN_BYTES = 16 * 1024 * 1024,
    KNOWN_PLACES = 32 * 1024,
    REFUSED_BYTES = 512 * 1024,
    REFUSED_PLACES = 1024,
    CERTIFICATE_MAX_BYTES = JWT_MAX_BYTES,
    NOTES = 2048,
    HASHED_BYTES = 16,  /* at the end, where a signature is as good as random */
    REFUSED_FOR_S = 60, /* what was refused is looked at again after this */
};

struct verifier {
    int64_t (*wall_s)(void);
    int64_t (*mono_ns)(void);
    uint64_t *notes;               /* these and the memos are made when the first is needed: */
    struct memos *known, *refused; /* most loops never do */
    uint64_t misses;
    struct debts debts;
};

struct verifier *verifier_new(int64_t (*wall_s)(void), int64_t (*mono_ns)(void))
{
    struct verifier *verifier = memory_new(sizeof(*verifier));
    verifier->wall_s = wall_s;
    verifier->mono_ns = mono_ns;
    return verifier;
}

void verifier_free(struct verifier *verifier)
{
    if (verifier == NULL)
        return;
    memos_free(verifier->known);
    memos_free(verifier->refused);
    free(verifier->notes);
    free(verifier);
}

uint64_t verifier_misses(const struct verifier *verifier)
{
    return verifier->misses;
}

/* -- Notes -- */

static uint64_t note_of(uint64_t tenant, struct slice stripped)
{
    return (hash_bytes(stripped) ^ tenant) | 1;
}

bool verifier_has_seen(const struct verifier *verifier, uint64_t tenant, struct slice stripped)
{
    uint64_t note = note_of(tenant, stripped);
    return verifier->notes != NULL && verifier->notes[note >> 1 & (NOTES - 1)] == note;
}

void verifier_note_seen(struct verifier *verifier, uint64_t tenant, struct slice stripped)
{
    uint64_t note = note_of(tenant, stripped);
    if (verifier->notes == NULL)
        verifier->notes = memory_new(NOTES * sizeof(*verifier->notes));
    verifier->notes[note >> 1 & (NOTES - 1)] = note;
}

/* -- Certificates -- */

static bool set_value(struct identity *identity, enum identity_value value, struct slice text)
{
    switch (value) {
    case IDENTITY_EMAIL: return identity_set_email(identity, text);
    case IDENTITY_NAME: return identity_set_name(identity, text);
    case IDENTITY_ROLE: return identity_set_role(identity, text);
    case IDENTITY_GROUPS:
    case IDENTITY_VALUE__MAX: break;
    }
    while (text.size > 0)
        if (!identity_add_group(identity, slice_cut(&text, ',')))
            return false;
    return true;
}

/* CRYPTO_FIELD__MAX: none. */
static size_t find_field(const char *field)
{
    static const char *const NAMES[] = {
#define X(NAME, TEXT) [CRYPTO_FIELD_##NAME] = TEXT,
        CRYPTO_FIELD_TABLE(X)
#undef X
    };
    size_t i = 0;
    while (i < COUNT_OF(NAMES) && strcmp(field, NAMES[i]) != 0)
        i++;
    return i;
}

/* Groups and a role that are not told change nothing in Open WebUI: who has others by now would
 * keep those of before. */
static bool is_withheld(const struct crypto_client_certificate *certificate, size_t field,
                        enum identity_value value)
{
    return certificate->is_unfit[field] && (value == IDENTITY_GROUPS || value == IDENTITY_ROLE);
}

static enum identity_refusal read_certificate(struct slice der, const struct identity_rule *rule,
                                              int64_t now_s, struct identity *identity)
{
    struct crypto_client_certificate certificate;
    *identity = (struct identity){.good_until_s = INT64_MAX};
    if (crypto_client_certificate_read(der, &certificate, NULL) != ERROR_OK)
        return IDENTITY_REFUSAL_CERTIFICATE;
    identity->good_until_s = certificate.not_after_s;
    if (now_s > certificate.not_after_s)
        return IDENTITY_REFUSAL_EXPIRED;
    if (rule->issuer_pem != NULL &&
        !crypto_client_certificate_is_from(der, slice_of(rule->issuer_pem)))
        return IDENTITY_REFUSAL_CERTIFICATE_ISSUER;
    for (unsigned i = 0; i < IDENTITY_VALUE__MAX; i++) {
        size_t field = find_field(rule->field[i]);
        struct slice text =
            field < CRYPTO_FIELD__MAX ? slice_of(certificate.text[field]) : (struct slice){0};
        if (field < CRYPTO_FIELD__MAX && is_withheld(&certificate, field, (enum identity_value)i))
            return IDENTITY_REFUSAL_VALUE;
        if ((text.size > 0 || i == IDENTITY_EMAIL) &&
            !set_value(identity, (enum identity_value)i, text))
            return i == IDENTITY_EMAIL ? IDENTITY_REFUSAL_EMAIL : IDENTITY_REFUSAL_VALUE;
    }
    return IDENTITY_REFUSAL_NONE;
}

/* -- The cache -- */

/* Whether the issuer may have other keys by now: also under the name of one that is known. */
static bool misses_key(enum identity_refusal refusal)
{
    return refusal == IDENTITY_REFUSAL_UNKNOWN_KEY || refusal == IDENTITY_REFUSAL_SIGNATURE ||
           refusal == IDENTITY_REFUSAL_KEY_KIND;
}

static enum identity_refusal verify(struct slice bytes, const struct identity_rule *rule,
                                    struct jwk_table *keys, int64_t now_s,
                                    struct identity *identity)
{
    if (rule->from == IDENTITY_FROM_CLIENT_CERT)
        return read_certificate(bytes, rule, now_s, identity);
    struct jwk_source *source = jwk_table_find(keys, rule->keys);
    enum identity_refusal refusal =
        jwt_verify(bytes, rule, source != NULL ? source->set : NULL, now_s, identity);
    if (misses_key(refusal) && source != NULL) {
        atomic_store_explicit(&source->key_missed, true, memory_order_relaxed);
        atomic_store_explicit(&keys->key_missed, true, memory_order_release);
    }
    return refusal;
}

static uint64_t generation_of(const struct jwk_table *keys)
{
    return keys != NULL ? keys->generation : 0;
}

static bool holds(const struct verifier *verifier, const struct memo *memo,
                  const struct jwk_table *keys)
{
    if (memo == NULL || memo->generation != generation_of(keys))
        return false;
    int64_t left_s = memo->good_until_s - verifier->wall_s();
    /* What a clock that was ahead has refused must not be refused until that time is there. */
    return left_s > 0 && (memo->refusal == IDENTITY_REFUSAL_NONE || left_s <= REFUSED_FOR_S);
}

/* Until when what was found out holds. */
static int64_t good_until(enum identity_refusal refusal, const struct identity *identity,
                          int64_t now_s)
{
    if (refusal == IDENTITY_REFUSAL_NONE)
        return identity->good_until_s;
    if (refusal == IDENTITY_REFUSAL_NOT_YET)
        return now_s; /* which the next second may change */
    return now_s + REFUSED_FOR_S;
}

static const struct memo *find_out(struct verifier *verifier, uint64_t hash, struct slice bytes,
                                   const struct identity_rule *rule, uint64_t tenant,
                                   struct jwk_table *keys)
{
    struct identity identity = {0};
    int64_t now_s = verifier->wall_s();
    enum identity_refusal refusal = verify(bytes, rule, keys, now_s, &identity);
    struct memos *memos = refusal == IDENTITY_REFUSAL_NONE ? verifier->known : verifier->refused;
    struct memo *memo = memos_add(memos, hash, tenant, bytes);
    memo->generation = generation_of(keys);
    memo->good_until_s = good_until(refusal, &identity, now_s);
    memo->identity = identity;
    memo->refusal = refusal;
    return memo;
}

/* NULL: it is not known, and for now it will not be. */
static const struct memo *look_up(struct verifier *verifier, struct slice bytes,
                                  const struct identity_rule *rule, uint64_t tenant,
                                  struct jwk_table *keys)
{
    struct slice end = slice_skip(bytes, bytes.size - size_min(bytes.size, HASHED_BYTES));
    uint64_t hash = hash_bytes(end) ^ tenant;
    if (verifier->known == NULL) {
        verifier->known = memos_new(KNOWN_BYTES, KNOWN_PLACES);
        verifier->refused = memos_new(REFUSED_BYTES, REFUSED_PLACES);
    }
    const struct memo *memo = memos_find(verifier->known, hash, tenant, bytes);
    /* Keys that were fetched since are no reason to refuse who was signed in before. */
    bool was_good = memo != NULL && memo->refusal == IDENTITY_REFUSAL_NONE &&
                    memo->good_until_s > verifier->wall_s();
    if (!holds(verifier, memo, keys))
        memo = memos_find(verifier->refused, hash, tenant, bytes);
    if (holds(verifier, memo, keys))
        return memo;
    int64_t start_ns = verifier->mono_ns();
    if (!was_good && !debts_allow(&verifier->debts, tenant, start_ns))
        return NULL;
    verifier->misses++;
    memo = find_out(verifier, hash, bytes, rule, tenant, keys);
    if (memo->refusal != IDENTITY_REFUSAL_NONE) {
        int64_t now_ns = verifier->mono_ns();
        debts_add(&verifier->debts, tenant, now_ns - start_ns, now_ns);
    }
    return memo;
}

/* -- The question -- */

static enum identity_refusal find_token(const struct identity_rule *rule,
                                        const struct identity_question *question,
                                        struct slice *text)
{
    for (size_t i = 0; i < question->token_count; i++) {
        const struct identity_token *token = &question->tokens[i];
        if (!slice_equal(token->argument, slice_of(rule->token_argument)))
            continue;
        *text = jwt_of_header(token->text);
        if (text->size == 0)
            return IDENTITY_REFUSAL_ABSENT;
        if (token->is_repeated)
            return IDENTITY_REFUSAL_REPEATED;
        return text->size > JWT_MAX_BYTES ? IDENTITY_REFUSAL_TOO_BIG : IDENTITY_REFUSAL_NONE;
    }
    return IDENTITY_REFUSAL_ABSENT;
}

enum identity_refusal verifier_ask(struct verifier *verifier, const struct identity_rule *rule,
                                   uint64_t tenant, struct jwk_table *keys,
                                   const struct identity_question *question,
                                   const struct identity **identity)
{
    struct slice bytes = question->certificate;
    enum identity_refusal refusal = IDENTITY_REFUSAL_NONE;
    *identity = NULL;
    if (rule->from == IDENTITY_FROM_SHARED)
        return IDENTITY_REFUSAL_ABSENT;
    if (rule->from == IDENTITY_FROM_JWT)
        refusal = find_token(rule, question, &bytes);
    else if (bytes.size == 0)
        refusal = IDENTITY_REFUSAL_ABSENT;
    else if (bytes.size > CERTIFICATE_MAX_BYTES)
        refusal = IDENTITY_REFUSAL_TOO_BIG;
    if (refusal != IDENTITY_REFUSAL_NONE)
        return refusal;
    const struct memo *memo = look_up(verifier, bytes, rule, tenant, keys);
    if (memo == NULL)
        return IDENTITY_REFUSAL_UNVERIFIED;
    if (memo->refusal == IDENTITY_REFUSAL_NONE)
        *identity = &memo->identity;
    return memo->refusal;
}
