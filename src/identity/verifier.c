/* Verification behind a cache: see identity/verifier.h. */
#include "identity/verifier.h"

#include "core/hash.h"
#include "core/memory.h"
#include "crypto/client_certificate.h"

#include <stdlib.h>

enum {
    SLOTS = 512, /* 4.5 MB of address space, touched as it is used */
    WAYS = 8,    /* so many slots are one hash's: their hashes are a cache line */
    CERTIFICATE_MAX_BYTES = JWT_MAX_BYTES,
    NOTES = 2048,
    HASHED_BYTES = 16,  /* at the end, where a signature is as good as random */
    REFUSED_FOR_S = 60, /* what was refused is looked at again after this */
};

struct slot {
    uint64_t tenant;
    uint64_t generation; /* of the keys */
    int64_t good_until_s;
    struct identity identity;
    enum identity_refusal refusal;
    uint16_t size;
    char bytes[JWT_MAX_BYTES];
};

struct verifier {
    int64_t (*clock)(void);
    uint64_t *notes;        /* these and the slots are made when the first is needed: most loops */
    struct slot *slots;     /* never do */
    uint64_t hashes[SLOTS]; /* of each slot's bytes and tenant; 0: free */
    unsigned turn;
    uint64_t hits;
    uint64_t misses;
};

struct verifier *verifier_new(int64_t (*clock)(void))
{
    struct verifier *verifier = memory_new(sizeof(*verifier));
    verifier->clock = clock;
    return verifier;
}

void verifier_free(struct verifier *verifier)
{
    if (verifier == NULL)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        if (verifier->hashes[i] != 0) /* a slot that was never used is no memory yet */
            explicit_bzero(&verifier->slots[i], sizeof(verifier->slots[i]));
    free(verifier->slots);
    free(verifier->notes);
    free(verifier);
}

uint64_t verifier_hits(const struct verifier *verifier)
{
    return verifier->hits;
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
    while (text.size > 0) {
        const char *comma = memchr(text.data, ',', text.size);
        size_t size = comma != NULL ? (size_t)(comma - text.data) : text.size;
        if (!identity_add_group(identity, slice_head(text, size)))
            return false;
        text = slice_skip(text, comma != NULL ? size + 1 : size);
    }
    return true;
}

static struct slice field_text(const struct crypto_client_certificate *certificate,
                               const char *field)
{
    static const char *const NAMES[] = {
#define X(NAME, TEXT) [CRYPTO_FIELD_##NAME] = TEXT,
        CRYPTO_FIELD_TABLE(X)
#undef X
    };
    for (size_t i = 0; i < COUNT_OF(NAMES); i++)
        if (strcmp(field, NAMES[i]) == 0)
            return slice_of(certificate->text[i]);
    return (struct slice){0};
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
        struct slice text = field_text(&certificate, rule->field[i]);
        if ((text.size > 0 || i == IDENTITY_EMAIL) &&
            !set_value(identity, (enum identity_value)i, text))
            return i == IDENTITY_EMAIL ? IDENTITY_REFUSAL_EMAIL : IDENTITY_REFUSAL_VALUE;
    }
    return IDENTITY_REFUSAL_NONE;
}

/* -- The cache -- */

static enum identity_refusal verify(struct slice bytes, const struct identity_rule *rule,
                                    struct jwk_table *keys, int64_t now_s,
                                    struct identity *identity)
{
    if (rule->from == IDENTITY_FROM_CLIENT_CERT)
        return read_certificate(bytes, rule, now_s, identity);
    enum identity_refusal refusal =
        jwt_verify(bytes, rule, jwk_table_find(keys, rule->keys), now_s, identity);
    if (refusal == IDENTITY_REFUSAL_UNKNOWN_KEY)
        atomic_store_explicit(&keys->key_missed, true, memory_order_relaxed);
    return refusal;
}

static void fill(struct slot *slot, struct slice bytes, const struct identity_rule *rule,
                 struct jwk_table *keys, int64_t now_s)
{
    slot->refusal = verify(bytes, rule, keys, now_s, &slot->identity);
    slot->good_until_s = slot->identity.good_until_s;
    if (slot->refusal != IDENTITY_REFUSAL_NONE)
        slot->good_until_s = now_s + REFUSED_FOR_S;
    if (slot->refusal == IDENTITY_REFUSAL_NOT_YET)
        slot->good_until_s = now_s; /* which the next second may change */
    slot->size = (uint16_t)bytes.size;
    memcpy(slot->bytes, bytes.data, bytes.size);
}

/* Of the slots of a hash, the one that it has first. */
static size_t own_slot(uint64_t hash)
{
    return (hash >> 1) % SLOTS;
}

/* The slot with the hash, or the one to be overwritten: its own if that is free, another free one,
 * or each in its turn. Nearly all that are known are in their own, and found at once. */
static size_t find_slot(struct verifier *verifier, uint64_t hash)
{
    size_t own = own_slot(hash);
    if (verifier->hashes[own] == hash)
        return own;
    size_t first = own / WAYS * WAYS;
    size_t unused = first + verifier->turn++ % WAYS;
    if (verifier->slots == NULL)
        verifier->slots = memory_new(SLOTS * sizeof(*verifier->slots));
    for (size_t i = first; i < first + WAYS; i++) {
        if (verifier->hashes[i] == hash)
            return i;
        if (verifier->hashes[i] == 0)
            unused = i;
    }
    return verifier->hashes[own] == 0 ? own : unused;
}

static const struct slot *look_up(struct verifier *verifier, struct slice bytes,
                                  const struct identity_rule *rule, uint64_t tenant,
                                  struct jwk_table *keys)
{
    uint64_t generation = keys != NULL ? keys->generation : 0;
    struct slice end = slice_skip(bytes, bytes.size - size_min(bytes.size, HASHED_BYTES));
    uint64_t hash = (hash_bytes(end) ^ tenant) | 1;
    int64_t now_s = verifier->clock();
    size_t place = find_slot(verifier, hash);
    struct slot *slot = &verifier->slots[place];
    if (verifier->hashes[place] == hash && slot->tenant == tenant &&
        slot->generation == generation && now_s < slot->good_until_s &&
        slice_equal(slice_from(slot->bytes, slot->size), bytes)) {
        verifier->hits++;
        return slot;
    }
    verifier->misses++;
    verifier->hashes[place] = hash;
    slot->tenant = tenant;
    slot->generation = generation;
    fill(slot, bytes, rule, keys, now_s);
    return slot;
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
        *text = slice_trim(token->text);
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
    const struct slot *slot = look_up(verifier, bytes, rule, tenant, keys);
    if (slot->refusal == IDENTITY_REFUSAL_NONE)
        *identity = &slot->identity;
    return slot->refusal;
}
