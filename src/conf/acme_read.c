/* The section "acme": see global_read.h. */
#include "address.h"
#include "global_read.h"

#include "core/memory.h"

#include <stdlib.h>

/* A few CAs by name, so that nobody has to look their URLs up. */
static const struct {
    const char *name;
    const char *url;
} KNOWN_CAS[] = {
    {"letsencrypt", "https://acme-v02.api.letsencrypt.org/directory"},
    {"letsencrypt-staging", "https://acme-staging-v02.api.letsencrypt.org/directory"},
    {"none", ""},
};

static struct acme_settings *acme_of(void *configuration)
{
    return &((struct configuration *)configuration)->acme;
}

static bool is_https_url(struct slice text)
{
    bool good = slice_starts_with(text, SLICE("https://")) && text.size > 8 && text.size < 500;
    for (size_t i = 0; good && i < text.size; i++)
        good = text.data[i] > ' ' && text.data[i] < 0x7f && !byte_is_one_of(text.data[i], "\"\\#");
    return good;
}

static void read_url(const struct node *node, char **url)
{
    struct slice text;
    if (!node_text(node, &text))
        return;
    for (size_t i = 0; i < COUNT_OF(KNOWN_CAS); i++) {
        if (!slice_equal(text, slice_of(KNOWN_CAS[i].name)))
            continue;
        free(*url);
        *url = memory_copy_text(slice_of(KNOWN_CAS[i].url));
        return;
    }
    if (is_https_url(text))
        node_copy_text(node, url);
    else
        node_report(
            node, JSON_PART_VALUE, CODE_BAD_URL,
            memory_format("\"letsencrypt\", \"letsencrypt-staging\", \"none\", or the https "
                          "URL of a CA's directory"),
            "\"%.*s\" is not a CA's directory", SLICE_PRINT(text));
}

static void read_directory(const struct node *node, void *target)
{
    read_url(node, &acme_of(target)->directory);
}

static void read_staging(const struct node *node, void *target)
{
    read_url(node, &acme_of(target)->staging);
}

static void read_ca_file(const struct node *node, void *target)
{
    node_file_name(node, &acme_of(target)->ca_file);
}

static char *check_contact(const struct node *element, struct slice text)
{
    const char *at = text.size > 0 ? memchr(text.data, '@', text.size) : NULL;
    bool good = slice_starts_with(text, SLICE("mailto:")) && at != NULL && text.size < 320 &&
                at > text.data + 7 && at + 1 < text.data + text.size;
    for (size_t i = 0; good && i < text.size; i++)
        good = text.data[i] > ' ' && text.data[i] < 0x7f && !byte_is_one_of(text.data[i], "\"\\,?");
    if (good)
        return memory_copy_text(text);
    char *hint = NULL;
    if (at != NULL && !slice_starts_with(text, SLICE("mailto:")))
        hint = memory_format("did you mean \"mailto:%.*s\"?", SLICE_PRINT(text));
    node_report(element, JSON_PART_VALUE, CODE_BAD_URL, hint, "\"%.*s\" is not a mailto: address",
                SLICE_PRINT(text));
    return NULL;
}

static void read_contact(const struct node *node, void *target)
{
    struct acme_settings *acme = acme_of(target);
    struct texts contacts = {0};
    node_texts(node, TEXTS_MAX, check_contact, &contacts);
    acme->contacts = contacts.items;
    acme->contact_count = contacts.count;
}

static void read_challenge_listen(const struct node *node, void *target)
{
    struct slice text;
    char **address = &((struct configuration *)target)->haproxy.challenge_listen;
    char *checked = node_text(node, &text) ? check_local_address(node, text) : NULL;
    if (checked == NULL)
        return;
    free(*address);
    *address = checked;
}

static void read_state_dir(const struct node *node, void *target)
{
    node_file_name(node, &acme_of(target)->state_dir);
}

static void read_webroot(const struct node *node, void *target)
{
    node_file_name(node, &acme_of(target)->webroot);
}

static void read_certbot_live(const struct node *node, void *target)
{
    node_file_name(node, &acme_of(target)->certbot_live);
}

static void read_haproxy_preflight(const struct node *node, void *target)
{
    bool wanted;
    if (node_bool(node, &wanted))
        acme_of(target)->no_haproxy_preflight = !wanted;
}

static void read_dns_preflight(const struct node *node, void *target)
{
    bool wanted;
    if (node_bool(node, &wanted))
        acme_of(target)->no_dns_preflight = !wanted;
}

/* One answer to both, or one to each. */
static void read_preflight(const struct node *node, void *target)
{
    static const struct option OPTIONS[] = {
        {"haproxy", read_haproxy_preflight},
        {"dns", read_dns_preflight},
    };
    if (json_type_of(node->value) == JSON_TYPE_OBJECT) {
        options_read(node, OPTIONS, COUNT_OF(OPTIONS), target);
        return;
    }
    read_haproxy_preflight(node, target);
    acme_of(target)->no_dns_preflight = acme_of(target)->no_haproxy_preflight;
}

static void read_placeholder(const struct node *node, void *target)
{
    node_bool(node, &((struct configuration *)target)->haproxy.placeholder);
}

static void read_owner(const struct node *node, void *target)
{
    node_plain_name(node, &acme_of(target)->owner);
}

static void read_group(const struct node *node, void *target)
{
    node_plain_name(node, &acme_of(target)->group);
}

static void read_key(const struct node *node, void *target)
{
    static const struct choice CHOICES[] = {
        {"ecdsa", ACME_KEYS_ECDSA}, {"rsa", ACME_KEYS_RSA}, {"both", ACME_KEYS_BOTH}};
    int keys;
    if (node_choice(node, CHOICES, COUNT_OF(CHOICES), &keys))
        acme_of(target)->keys = (enum acme_keys)keys;
}

static void read_limits(const struct node *node, void *target)
{
    static const struct choice CHOICES[] = {
        {"auto", ACME_LIMITS_AUTO}, {"on", ACME_LIMITS_KEPT}, {"off", ACME_LIMITS_NOT_KEPT}};
    int limits;
    if (node_choice(node, CHOICES, COUNT_OF(CHOICES), &limits))
        acme_of(target)->limits = (enum acme_limits)limits;
}

static void read_profile(const struct node *node, void *target)
{
    node_plain_name(node, &acme_of(target)->profile);
}

static void read_preferred_chain(const struct node *node, void *target)
{
    node_copy_plain(node, &acme_of(target)->preferred_chain);
}

static void read_kid(const struct node *node, void *target)
{
    node_copy_plain(node, &acme_of(target)->external_kid);
}

static void read_secret_file(const struct node *node, void *target)
{
    node_file_name(node, &acme_of(target)->external_secret_file);
}

static void read_second_kid(const struct node *node, void *target)
{
    node_copy_plain(node, &acme_of(target)->second_external_kid);
}

static void read_second_secret_file(const struct node *node, void *target)
{
    node_file_name(node, &acme_of(target)->second_external_secret_file);
}

static void need_both(const struct node *node, const char *kid, const char *secret_file)
{
    if (kid == NULL || secret_file == NULL)
        node_report(node, JSON_PART_KEY, CODE_MISSING_KEY,
                    memory_format("the CA gives both: an id, and a secret to be put in a file"),
                    "\"external_account\" needs \"kid\" and \"secret_file\"");
}

static void read_external_account(const struct node *node, void *target)
{
    static const struct option OPTIONS[] = {
        {"kid", read_kid},
        {"secret_file", read_secret_file},
    };
    const struct acme_settings *acme = acme_of(target);
    if (!node_is(node, JSON_TYPE_OBJECT))
        return;
    options_read(node, OPTIONS, COUNT_OF(OPTIONS), target);
    need_both(node, acme->external_kid, acme->external_secret_file);
}

static void read_second_external_account(const struct node *node, void *target)
{
    static const struct option OPTIONS[] = {
        {"kid", read_second_kid},
        {"secret_file", read_second_secret_file},
    };
    const struct acme_settings *acme = acme_of(target);
    if (!node_is(node, JSON_TYPE_OBJECT))
        return;
    options_read(node, OPTIONS, COUNT_OF(OPTIONS), target);
    need_both(node, acme->second_external_kid, acme->second_external_secret_file);
}

static void read_second_directory(const struct node *node, void *target)
{
    struct slice text;
    if (json_read_text(node->value, &text) && slice_equal(text, SLICE("none")))
        node_report(node, JSON_PART_VALUE, CODE_BAD_URL,
                    memory_format("leave \"second\" out where no other CA is to be asked"),
                    "the second CA cannot be \"none\"");
    else
        read_url(node, &acme_of(target)->second_directory);
}

static void read_second_ca_file(const struct node *node, void *target)
{
    node_file_name(node, &acme_of(target)->second_ca_file);
}

static void read_second_after(const struct node *node, void *target)
{
    node_unsigned(node, 1, 100, &acme_of(target)->second_after);
}

static void read_second(const struct node *node, void *target)
{
    static const struct option OPTIONS[] = {
        {"directory", read_second_directory},
        {"ca_file", read_second_ca_file},
        {"after", read_second_after},
        {"external_account", read_second_external_account},
    };
    struct node directory;
    if (!node_is(node, JSON_TYPE_OBJECT))
        return;
    options_read(node, OPTIONS, COUNT_OF(OPTIONS), target);
    if (!node_member(node, "directory", &directory))
        node_report(node, JSON_PART_KEY, CODE_MISSING_KEY,
                    memory_format("name the CA that is asked when the first one fails"),
                    "\"second\" needs a \"directory\"");
}

static void read_orders_at_once(const struct node *node, void *target)
{
    node_unsigned(node, 1, 500, &acme_of(target)->orders_at_once);
}

void acme_read(const struct node *node, void *configuration)
{
    static const struct option OPTIONS[] = {
        {"directory", read_directory},
        {"ca_file", read_ca_file},
        {"contact", read_contact},
        {"challenge_listen", read_challenge_listen},
        {"staging", read_staging},
        {"second", read_second},
        {"state_dir", read_state_dir},
        {"webroot", read_webroot},
        {"certbot_live", read_certbot_live},
        {"preflight", read_preflight},
        {"placeholder", read_placeholder},
        {"owner", read_owner},
        {"group", read_group},
        {"key", read_key},
        {"limits", read_limits},
        {"profile", read_profile},
        {"preferred_chain", read_preferred_chain},
        {"external_account", read_external_account},
        {"orders_at_once", read_orders_at_once},
    };
    if (node_is(node, JSON_TYPE_OBJECT))
        options_read(node, OPTIONS, COUNT_OF(OPTIONS), configuration);
}
