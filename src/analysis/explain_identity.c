/* What `explain` knows of a user: see explain_identity.h. */
#include "explain_identity.h"

#include "cli/terminal.h"
#include "core/clock.h"
#include "core/memory.h"
#include "serving/key_keeper.h"

#include <stdio.h>
#include <stdlib.h>

/* -- Tokens ----------------------------------------------------------------------------------- */

static bool split_line(const char *line, struct slice *name, struct slice *value)
{
    const char *colon = strchr(line, ':');
    if (colon == NULL)
        return false;
    *name = slice_from(line, (size_t)(colon - line));
    *value = slice_trim(slice_of(colon + 1));
    return true;
}

static void add_text(struct identity_token *token, struct slice text)
{
    token->is_repeated = token->text.size > 0;
    token->text = text;
}

/* "a=b; c=d" */
static void add_cookies(struct identity_token *token, const char *name, struct slice cookies)
{
    while (cookies.size > 0) {
        struct slice value = slice_trim(slice_cut(&cookies, ';'));
        bool is_pair = slice_has(value, '=');
        if (slice_equal(slice_cut(&value, '='), slice_of(name)) && is_pair)
            add_text(token, value);
    }
}

static void find_token(const struct hap_token *wanted, const char *const *headers,
                       size_t header_count, struct identity_token *token)
{
    struct slice name, value;
    for (size_t i = 0; i < header_count; i++) {
        if (!split_line(headers[i], &name, &value))
            continue;
        if (wanted->is_cookie && slice_equal_nocase(name, SLICE("Cookie")))
            add_cookies(token, wanted->name, value);
        else if (!wanted->is_cookie && slice_equal_nocase(name, slice_of(wanted->name)))
            add_text(token, value);
    }
}

/* -- Keys ------------------------------------------------------------------------------------- */

struct sources {
    const struct jwks_settings *settings;
    struct jwk_source *items;
    size_t count;
};

static void add_source(void *context, const struct tenant *tenant)
{
    struct sources *sources = context;
    struct error_text why;
    if (tenant->identity == NULL || tenant->identity->from != IDENTITY_FROM_JWT)
        return;
    for (size_t i = 0; i < sources->count; i++)
        if (strcmp(sources->items[i].name, tenant->identity->keys) == 0)
            return;
    struct jwk_set *set = key_keeper_read(sources->settings, tenant->identity->keys, &why);
    if (set == NULL)
        terminal_complain("no keys of %s: %s", tenant->identity->keys, why.text);
    sources->items = memory_resize(sources->items, sources->count + 1, sizeof(*sources->items));
    sources->items[sources->count++] =
        (struct jwk_source){.name = tenant->identity->keys, .set = set};
}

static struct jwk_table *read_keys(const struct whole *whole)
{
    struct sources sources = {.settings = &whole->configuration->jwks};
    route_table_each_tenant(whole->table, add_source, &sources);
    struct jwk_table *table = jwk_table_new(sources.items, sources.count, 1);
    for (size_t i = 0; i < sources.count; i++)
        jwk_set_unref(sources.items[i].set);
    free(sources.items);
    return table;
}

/* -- Both ------------------------------------------------------------------------------------- */

static char *stripped_names(const struct hap_config *haproxy)
{
    char *text = memory_copy_text(SLICE("/"));
    for (size_t i = 0; i < haproxy->identity_header_count; i++) {
        char *longer = memory_format("%s%s/", text, haproxy->identity_headers[i]);
        free(text);
        text = longer;
    }
    return text;
}

void explain_identity_ask(struct explain_identity *known, const struct hap_config *haproxy,
                          const char *const *headers, size_t header_count, struct request *request)
{
    struct identity_question *question = &request->identity;
    *known = (struct explain_identity){
        .verifier = verifier_new(clock_wall_s, clock_mono_ns),
        .stripped = stripped_names(haproxy),
    };
    request->verifier = known->verifier;
    question->stripped = slice_of(known->stripped);
    for (size_t i = 0; i < haproxy->token_count && i < IDENTITY_TOKENS_MAX; i++) {
        struct identity_token *token = &question->tokens[question->token_count++];
        token->argument = slice_of(haproxy->tokens[i].argument);
        find_token(&haproxy->tokens[i], headers, header_count, token);
    }
}

void explain_identity_init(struct explain_identity *known, const struct whole *whole,
                           const char *const *headers, size_t header_count, struct request *request)
{
    explain_identity_ask(known, &whole->configuration->haproxy, headers, header_count, request);
    known->keys = read_keys(whole);
}

void explain_identity_fini(struct explain_identity *known)
{
    verifier_free(known->verifier);
    jwk_table_free(known->keys);
    free(known->stripped);
}
