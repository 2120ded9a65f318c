/* "identity": see identity_read.h. */
#include "identity_read.h"

#include "claim_read.h"
#include "core/memory.h"
#include "core/nearest.h"
#include "crypto/client_certificate.h"
#include "crypto/public_key.h"
#include "file.h"

#include <stdlib.h>

enum {
    LEEWAY_DEFAULT_S = 30,
    LEEWAY_MAX_MS = 300000,
    SET_MAX = 8,
    ISSUER_PEM_MAX_BYTES = 64 * 1024,
    URL_MAX_BYTES = 199,
};

/* A rule while it is read. */
struct draft {
    struct identity_rule *rule;
    struct header_section set;
    const struct configuration *configuration;
    unsigned leeway_ms;
};

static struct identity_rule *rule_of(void *target)
{
    return ((struct draft *)target)->rule;
}

/* -- Single keys -- */

static void read_from(const struct node *node, void *target)
{
    static const struct choice CHOICES[] = {{"client_cert", IDENTITY_FROM_CLIENT_CERT},
                                            {"jwt", IDENTITY_FROM_JWT},
                                            {"shared", IDENTITY_FROM_SHARED}};
    int value;
    if (node_choice(node, CHOICES, COUNT_OF(CHOICES), &value))
        rule_of(target)->from = (enum identity_from)value;
}

static void read_required(const struct node *node, void *target)
{
    node_bool(node, &rule_of(target)->required);
}

static bool is_url_byte(char c)
{
    return c > ' ' && c < 0x7f && !byte_is_one_of(c, "\"\\#<>{}|^`%");
}

static bool is_https_url(struct slice text)
{
    bool good =
        slice_starts_with(text, SLICE("https://")) && text.size > 8 && text.size <= URL_MAX_BYTES;
    for (size_t i = 0; good && i < text.size; i++)
        good = is_url_byte(text.data[i]);
    return good;
}

static void read_login(const struct node *node, void *target)
{
    struct slice text;
    if (!node_text(node, &text))
        return;
    if (is_https_url(text))
        node_copy_text(node, &rule_of(target)->login);
    else
        node_report(node, JSON_PART_VALUE, CODE_BAD_URL, NULL,
                    "\"%.*s\" is not an https URL of up to %d bytes without \"%%\" or \"#\"",
                    SLICE_PRINT(text), URL_MAX_BYTES);
}

static void read_issuer(const struct node *node, void *target)
{
    node_copy_plain(node, &rule_of(target)->issuer);
}

static char *check_audience(const struct node *element, struct slice text)
{
    char *kept = NULL;
    (void)text;
    return node_copy_plain(element, &kept) ? kept : NULL;
}

static void read_audience(const struct node *node, void *target)
{
    struct identity_rule *rule = rule_of(target);
    struct texts texts = {0};
    if (json_type_of(node->value) == JSON_TYPE_TEXT) {
        rule->audience_count = node_copy_plain(node, &rule->audiences[0]) ? 1 : 0;
        return;
    }
    if (node_texts(node, IDENTITY_AUDIENCES_MAX, check_audience, &texts) && texts.count == 0)
        node_report(node, JSON_PART_VALUE, CODE_OUT_OF_RANGE, NULL,
                    "\"audience\" must list one at least");
    for (size_t i = 0; i < texts.count; i++) {
        rule->audiences[rule->audience_count++] = texts.items[i];
        texts.items[i] = NULL;
    }
    texts_fini(&texts);
}

static void read_jwks(const struct node *node, void *target)
{
    struct slice text;
    if (!node_text(node, &text))
        return;
    if (is_https_url(text))
        node_copy_text(node, &rule_of(target)->keys);
    else if (slice_contains(text, SLICE("://")))
        node_report(node, JSON_PART_VALUE, CODE_BAD_URL,
                    memory_format("https://... or the name of a file"),
                    "\"%.*s\" is not an https URL", SLICE_PRINT(text));
    else
        node_file_name(node, &rule_of(target)->keys);
}

static char *check_algorithm(const struct node *element, struct slice text)
{
    enum crypto_algorithm algorithm;
    const char *names[CRYPTO_ALGORITHM__MAX];
    if (crypto_algorithm_parse(text, &algorithm))
        return memory_copy_text(text);
    for (unsigned i = 0; i < COUNT_OF(names); i++)
        names[i] = crypto_algorithm_name((enum crypto_algorithm)i);
    char *hint = text.size >= 2 && slice_equal_nocase(slice_head(text, 2), SLICE("HS"))
                     ? memory_format("who can verify with a shared secret can forge with it")
                     : nearest_hint(text, names, COUNT_OF(names), sizeof(*names));
    node_report(element, JSON_PART_VALUE, CODE_NOT_A_CHOICE, hint,
                "\"%.*s\" is not an algorithm that can be verified with a public key",
                SLICE_PRINT(text));
    return NULL;
}

static void read_algorithms(const struct node *node, void *target)
{
    struct identity_rule *rule = rule_of(target);
    struct texts texts = {0};
    enum crypto_algorithm algorithm;
    rule->algorithms = 0;
    if (node_texts(node, CRYPTO_ALGORITHM__MAX, check_algorithm, &texts) && texts.count == 0)
        node_report(node, JSON_PART_VALUE, CODE_OUT_OF_RANGE, NULL,
                    "\"algorithms\" must list one at least");
    for (size_t i = 0; i < texts.count; i++)
        if (crypto_algorithm_parse(slice_of(texts.items[i]), &algorithm))
            rule->algorithms |= 1u << algorithm;
    texts_fini(&texts);
}

static bool is_cookie_byte(char c)
{
    return value_is_header_byte(c) || c == '_' || c == '.';
}

/* Of a header or cookie, as it can stand in HAProxy's configuration. */
static void read_token_name(const struct node *node, struct identity_rule *rule, bool is_cookie)
{
    struct slice text;
    if (!node_text(node, &text))
        return;
    if (text.size == 0 || text.size > HEADER_NAME_MAX_BYTES ||
        !slice_consists_of(text, is_cookie ? is_cookie_byte : value_is_header_byte)) {
        node_report(node, JSON_PART_VALUE, CODE_IDENTITY_HEADER, NULL,
                    "\"%.*s\" is not a name that a token can be found by: up to %d letters, digits "
                    "and \"-\"%s",
                    SLICE_PRINT(text), HEADER_NAME_MAX_BYTES, is_cookie ? ", \"_\", \".\"" : "");
        return;
    }
    free(rule->token_name);
    free(rule->token_argument);
    rule->token_name = memory_copy_text(text);
    rule->token_argument = identity_token_argument(text, is_cookie);
    rule->token_is_cookie = is_cookie;
}

static void read_header(const struct node *node, void *target)
{
    read_token_name(node, rule_of(target), false);
}

static void read_cookie(const struct node *node, void *target)
{
    read_token_name(node, rule_of(target), true);
}

static void read_leeway(const struct node *node, void *target)
{
    node_duration(node, 0, LEEWAY_MAX_MS, &((struct draft *)target)->leeway_ms);
}

static void read_issuer_file(const struct node *node, void *target)
{
    struct identity_rule *rule = rule_of(target);
    char *name = NULL;
    char *block = NULL;
    struct slice bytes;
    struct error_text why;
    if (!node_file_name(node, &name))
        return;
    if (node->document->named != NULL)
        texts_add(node->document->named, memory_copy_text(slice_of(name)));
    enum error error = text_file_read(name, node->document->diagnostics, &block, &bytes, &why);
    if (error != ERROR_OK)
        node_report_unreadable(node, NULL, error, &why);
    else if (bytes.size > ISSUER_PEM_MAX_BYTES)
        node_report(node, JSON_PART_VALUE, CODE_IDENTITY_SOURCE, NULL,
                    "%s has more than %d bytes of certificates", name, ISSUER_PEM_MAX_BYTES);
    /* One that is cut would keep out the users of all authorities from there on. */
    else if (crypto_client_certificate_check_authorities(bytes, &why) != ERROR_OK)
        node_report(node, JSON_PART_VALUE, CODE_IDENTITY_SOURCE, NULL, "%s: %s", name, why.text);
    else
        rule->issuer_pem = memory_copy_text(bytes);
    free(block);
    free(name);
}

static void read_field(const struct node *node, void *target, enum identity_value value)
{
    claim_read(node, &rule_of(target)->field[value]);
}

static void read_email(const struct node *node, void *target)
{
    read_field(node, target, IDENTITY_EMAIL);
}

static void read_name(const struct node *node, void *target)
{
    read_field(node, target, IDENTITY_NAME);
}

static void read_groups(const struct node *node, void *target)
{
    read_field(node, target, IDENTITY_GROUPS);
}

static void read_role(const struct node *node, void *target)
{
    read_field(node, target, IDENTITY_ROLE);
}

static bool is_domain_byte(char c)
{
    return ascii_is_lower(c) || ascii_is_digit(c) || c == '.' || c == '-';
}

static bool is_domain(struct slice text)
{
    return slice_equal(text, SLICE("*")) ||
           (text.size > 0 && text.size <= 90 && slice_consists_of(text, is_domain_byte));
}

static void read_email_domains(const struct node *node, void *target)
{
    struct identity_rule *rule = rule_of(target);
    if (!node_is(node, JSON_TYPE_OBJECT) || !node_is_short(node, IDENTITY_DOMAINS_MAX))
        return;
    if (json_count(node->value) == 0)
        node_report(node, JSON_PART_VALUE, CODE_OUT_OF_RANGE, NULL,
                    "\"email_domains\" must have one domain at least");
    rule->domains = memory_new(json_count(node->value) * sizeof(*rule->domains));
    for (struct node_iterator i = node_children(node); node_next(&i);) {
        struct slice tenant;
        if (!is_domain(i.node.key))
            node_report(&i.node, JSON_PART_KEY, CODE_IDENTITY_DOMAIN,
                        memory_format("lower case, without \"@\"; \"*\" for all others"),
                        "\"%.*s\" is not the domain of an e-mail address", SLICE_PRINT(i.node.key));
        else if (node_text(&i.node, &tenant))
            rule->domains[rule->domain_count++] =
                (struct identity_domain){memory_copy_text(i.node.key), memory_copy_text(tenant)};
    }
}

/* -- "set" -- */

/* What proxies that sign users in call their headers. Clients' own are deleted in any case. */
static bool is_forwarded_identity(struct slice name)
{
    static const char *const NAMES[] = {"X-Forwarded-User", "X-Forwarded-Email",
                                        "X-Forwarded-Groups", "X-Forwarded-Preferred-Username"};
    for (size_t i = 0; i < COUNT_OF(NAMES); i++)
        if (slice_equal_nocase(name, slice_of(NAMES[i])))
            return true;
    return false;
}

/* A header that is trusted is taken from everybody's requests, so that it may not be one that
 * clients have other uses for. Which of these begin so, header_name_check() knows. */
static bool is_for_identities(struct slice name)
{
    static const char *const PREFIXES[] = {"X-", "Remote-", "Cf-Access-"};
    for (size_t i = 0; i < COUNT_OF(PREFIXES); i++) {
        struct slice prefix = slice_of(PREFIXES[i]);
        if (name.size > prefix.size && slice_equal_nocase(slice_head(name, prefix.size), prefix))
            return true;
    }
    return false;
}

static bool check_header_name(const struct node *node, const struct draft *draft)
{
    const struct configuration *configuration = draft->configuration;
    struct error_text why;
    if (!is_for_identities(node->key)) {
        node_report(node, JSON_PART_KEY, CODE_IDENTITY_HEADER,
                    memory_format("one that begins with \"X-\", \"Remote-\" or \"Cf-Access-\": it "
                                  "is deleted from every request that comes in"),
                    "\"%.*s\" is not a header for an identity", SLICE_PRINT(node->key));
        return false;
    }
    if (!is_forwarded_identity(node->key) && header_name_check(node->key, &why) != ERROR_OK) {
        node_report(node, JSON_PART_KEY, CODE_HEADER_NAME, NULL, "%s", why.text);
        return false;
    }
    if (slice_equal_nocase(node->key, slice_of(configuration->haproxy.tenant_header))) {
        node_report(node, JSON_PART_KEY, CODE_HEADER_NAME, NULL,
                    "header \"%.*s\" tells the tenant's name already", SLICE_PRINT(node->key));
        return false;
    }
    for (size_t i = 0; i < configuration->fixed_header_count; i++) {
        if (!header_is_named(&configuration->fixed_headers[i], node->key))
            continue;
        node_report(node, JSON_PART_KEY, CODE_HEADER_FIXED, NULL,
                    "header \"%.*s\" is set for all tenants by the global file",
                    SLICE_PRINT(node->key));
        return false;
    }
    for (size_t i = 0; i < draft->set.set.count; i++) {
        if (!header_is_named(&draft->set.set.items[i], node->key))
            continue;
        node_report(node, JSON_PART_KEY, CODE_LISTED_TWICE,
                    memory_format("case does not count in header names"),
                    "header \"%.*s\" is there already", SLICE_PRINT(node->key));
        return false;
    }
    return true;
}

static void read_set_header(const struct node *node, struct draft *draft)
{
    struct slice source;
    struct header header = {0};
    struct error_text why;
    if (!check_header_name(node, draft) || !node_text(node, &source))
        return;
    if (template_parse(source, &header.value, &why) != ERROR_OK) {
        node_report(node, JSON_PART_VALUE, CODE_HEADER_VALUE, NULL, "header \"%.*s\": %s",
                    SLICE_PRINT(node->key), why.text);
        return;
    }
    if (!header.value.has_identity) {
        node_report(
            node, JSON_PART_VALUE, CODE_HEADER_VALUE,
            memory_format("\"{email}\", \"{name}\", \"{groups}\" or \"{role}\"; what is the "
                          "same for everybody belongs in \"headers\""),
            "header \"%.*s\" tells nothing of the user", SLICE_PRINT(node->key));
        template_fini(&header.value);
        return;
    }
    header.name = memory_copy_text(node->key);
    header_variable_name(node->key, header.variable);
    header_list_add(&draft->set.set, header);
}

static void read_set(const struct node *node, void *target)
{
    if (!node_is(node, JSON_TYPE_OBJECT) || !node_is_short(node, SET_MAX))
        return;
    for (struct node_iterator i = node_children(node); node_next(&i);)
        read_set_header(&i.node, target);
}

/* -- What keys mean together -- */

enum { FOR_CERT = 1, FOR_JWT = 2, FOR_BOTH = 3, FOR_ALL = 7 };

static const struct {
    struct option option;
    unsigned use; /* 1 << enum identity_from */
} KEYS[] = {
    {{"from", read_from}, FOR_ALL},
    {{"set", read_set}, FOR_ALL},
    {{"required", read_required}, FOR_ALL},
    {{"login", read_login}, FOR_ALL},
    {{"email", read_email}, FOR_BOTH},
    {{"name", read_name}, FOR_BOTH},
    {{"groups", read_groups}, FOR_BOTH},
    {{"role", read_role}, FOR_JWT},
    {{"email_domains", read_email_domains}, FOR_BOTH},
    {{"issuer_file", read_issuer_file}, FOR_CERT},
    {{"issuer", read_issuer}, FOR_JWT},
    {{"audience", read_audience}, FOR_JWT},
    {{"jwks", read_jwks}, FOR_JWT},
    {{"algorithms", read_algorithms}, FOR_JWT},
    {{"header", read_header}, FOR_JWT},
    {{"cookie", read_cookie}, FOR_JWT},
    {{"leeway", read_leeway}, FOR_JWT},
};
static_assert(FOR_CERT == 1 << IDENTITY_FROM_CLIENT_CERT && FOR_JWT == 1 << IDENTITY_FROM_JWT,
              "a key is for something else");

static bool require(const struct node *node, const char *key, const char *example)
{
    struct node member;
    if (node_member(node, key, &member))
        return true;
    node_report(node, JSON_PART_VALUE, CODE_MISSING_KEY, memory_format("%s", example),
                "this identity needs \"%s\"", key);
    return false;
}

static void refuse_meaningless(const struct node *node, const struct identity_rule *rule)
{
    static const char *const NAMES[] = {"client_cert", "jwt", "shared"};
    struct node member, other;
    for (size_t i = 0; i < COUNT_OF(KEYS); i++)
        if ((KEYS[i].use & 1u << rule->from) == 0 &&
            node_member(node, KEYS[i].option.name, &member))
            node_report(&member, JSON_PART_KEY, CODE_MEANINGLESS_KEY, memory_format("remove it"),
                        "\"%s\" has no meaning with \"from\": \"%s\"", KEYS[i].option.name,
                        NAMES[rule->from]);
    if (rule->from == IDENTITY_FROM_JWT && node_member(node, "header", &member) &&
        node_member(node, "cookie", &other))
        node_report(&other, JSON_PART_KEY, CODE_MEANINGLESS_KEY,
                    memory_format("remove one of the two"),
                    "a token comes in a \"header\" or in a \"cookie\", not in either");
    if (!rule->required && node_member(node, "login", &member))
        node_report(&member, JSON_PART_KEY, CODE_MEANINGLESS_KEY,
                    memory_format("add \"required\": true"),
                    "\"login\" has no meaning where no identity is required");
}

static void set_default(char **text, const char *value)
{
    if (*text == NULL)
        *text = memory_copy_text(slice_of(value));
}

static bool tells(const struct header_list *set, enum header_placeholder placeholder)
{
    for (size_t i = 0; i < set->count; i++)
        if (template_uses(&set->items[i].value, placeholder))
            return true;
    return false;
}

/* What neither a header nor a key asks for. Who gets users by their domain has headers of its own.
 */
static unsigned find_unread(const struct node *node, const struct draft *draft)
{
    static_assert(HEADER_EMAIL + IDENTITY_ROLE == HEADER_ROLE, "placeholders are values in order");
    unsigned unread = 0;
    struct node member;
    for (unsigned i = 0; draft->rule->domain_count == 0 && i < IDENTITY_VALUE__MAX; i++)
        if (i != IDENTITY_EMAIL &&
            !node_member(node, identity_value_name((enum identity_value)i), &member) &&
            !tells(&draft->set.set, (enum header_placeholder)(HEADER_EMAIL + i)))
            unread |= 1u << i;
    return unread;
}

static void complete_jwt(const struct node *node, struct draft *draft)
{
    struct identity_rule *rule = draft->rule;
    require(node, "issuer", "\"issuer\": \"https://id.example.com\"");
    require(node, "audience",
            "\"audience\": \"open-webui\": without it, tokens for other services would count");
    require(node, "jwks", "\"jwks\": \"https://id.example.com/.well-known/jwks.json\"");
    for (unsigned i = 0; i < IDENTITY_VALUE__MAX; i++)
        set_default(&rule->field[i], identity_value_name((enum identity_value)i));
    rule->unread = find_unread(node, draft);
    rule->leeway_s = draft->leeway_ms / 1000;
    if (rule->token_name == NULL) {
        rule->token_name = memory_copy_text(SLICE("Authorization"));
        rule->token_argument = identity_token_argument(SLICE("Authorization"), false);
    }
}

/* The fields of a certificate that may be named, "" for none. */
static void check_field(const struct node *node, struct identity_rule *rule,
                        enum identity_value value)
{
    static const char *const FIELDS[] = {
#define X(NAME, TEXT) TEXT,
        CRYPTO_FIELD_TABLE(X)
#undef X
    };
    struct node member;
    struct slice text;
    if (!node_member(node, identity_value_name(value), &member) || rule->field[value] == NULL ||
        !node_text(&member, &text))
        return;
    for (size_t i = 0; i < COUNT_OF(FIELDS); i++)
        if (slice_equal(text, slice_of(FIELDS[i])))
            return;
    node_report(&member, JSON_PART_VALUE, CODE_NOT_A_CHOICE,
                nearest_hint(text, FIELDS, COUNT_OF(FIELDS), sizeof(*FIELDS)),
                "\"%.*s\" is not a field of a client certificate", SLICE_PRINT(text));
}

static void complete_certificate(const struct node *node, struct draft *draft)
{
    struct identity_rule *rule = draft->rule;
    for (unsigned i = 0; i < IDENTITY_VALUE__MAX; i++)
        check_field(node, rule, (enum identity_value)i);
    set_default(&rule->field[IDENTITY_EMAIL], "san_email");
    set_default(&rule->field[IDENTITY_NAME], "subject_cn");
    set_default(&rule->field[IDENTITY_GROUPS], "");
    set_default(&rule->field[IDENTITY_ROLE], "");
    if (draft->configuration->haproxy.client_ca_file == NULL)
        node_report(node, JSON_PART_VALUE, CODE_IDENTITY_SOURCE,
                    memory_format("add \"haproxy\": {\"client_ca_file\": \"/etc/haproxy/"
                                  "clients.pem\"} to the global file"),
                    "HAProxy is told no authority whose client certificates it may believe");
}

static void complete(const struct node *node, struct draft *draft)
{
    struct node member;
    if (!require(node, "from", "\"from\": \"jwt\", \"client_cert\" or \"shared\""))
        return;
    refuse_meaningless(node, draft->rule);
    if (draft->rule->from == IDENTITY_FROM_JWT)
        complete_jwt(node, draft);
    else if (draft->rule->from == IDENTITY_FROM_CLIENT_CERT)
        complete_certificate(node, draft);
    if (draft->rule->domain_count == 0 && !draft->rule->required &&
        !node_member(node, "set", &member))
        node_report(
            node, JSON_PART_VALUE, CODE_MISSING_KEY,
            memory_format("\"set\": {\"X-User-Email\": \"{email}\"}, or \"required\": true"),
            "this identity is used for nothing");
}

struct identity_rule *identity_read(const struct node *node,
                                    const struct configuration *configuration,
                                    struct header_list *set)
{
    struct option options[COUNT_OF(KEYS)];
    struct diagnostics *diagnostics = node->document->diagnostics;
    size_t errors = diagnostics->errors;
    if (!node_is(node, JSON_TYPE_OBJECT))
        return NULL;
    struct draft draft = {.rule = identity_rule_new(),
                          .configuration = configuration,
                          .leeway_ms = LEEWAY_DEFAULT_S * 1000};
    draft.rule->algorithms = (1u << CRYPTO_ALGORITHM__MAX) - 1;
    for (size_t i = 0; i < COUNT_OF(KEYS); i++)
        options[i] = KEYS[i].option;
    options_read(node, options, COUNT_OF(options), &draft);
    if (diagnostics->errors == errors)
        complete(node, &draft);
    if (diagnostics->errors == errors) {
        *set = draft.set.set;
        return draft.rule;
    }
    header_section_fini(&draft.set);
    identity_rule_free(draft.rule);
    return NULL;
}
