/* From tenants to certificates: see certificates.h. */
#include "serving/certificates.h"

#include "acme/placeholder.h"
#include "conf/secret_file.h"
#include "core/account.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "route/certified.h"
#include "sidecar/sidecar.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

enum { LOOK_AFTER_MS = 100 };
static_assert((int)CERTIFIED_HOSTS_MAX <= (int)ACME_HOSTS_MAX, "a wish can be refused");

struct certificates {
    struct sidecar *sidecar;
    struct main_timer *timer;
    bool look_is_due;
    uint64_t told_hash; /* of the tenants that the sidecar knows */
    size_t hosts_max;
    struct certificates_host host;
    struct main_waker *challenges_waker;
    _Atomic(struct challenge_news *) challenge_news; /* from the sidecar's thread, the latest */
};

/* What challenges are to be answered with. */
struct challenge_news {
    uint64_t number;
    struct challenge_table *table;
};

/* -- What is to be wanted ------------------------------------------------------------------------
 */

/* What is wanted of the sidecar, of one table. */
struct wishes {
    const struct route_table *table;
    size_t hosts_max; /* of each */
    struct sidecar_wish *items;
    size_t count;
    char **wildcards; /* names that are made for them */
    size_t wildcard_count;
};

static const char *wildcard_of(struct wishes *wishes, const char *below)
{
    char *name = memory_format("*.%s", below);
    wishes->wildcards =
        memory_resize(wishes->wildcards, wishes->wildcard_count + 1, sizeof(wishes->wildcards[0]));
    wishes->wildcards[wishes->wildcard_count++] = name;
    return name;
}

static void add_wish(void *context, const struct tenant *tenant)
{
    struct wishes *wishes = context;
    struct certified certified;
    size_t room = tenant->certificate_file != NULL ? CERTIFIED_HOSTS_MAX : wishes->hosts_max;
    certified_hosts(wishes->table, tenant, room, &certified);
    if (certified.count == 0)
        return;
    const char **hosts = memory_new(certified.count * sizeof(*hosts));
    for (size_t i = 0; i < certified.count; i++)
        hosts[i] = certified.hosts[i].wildcard ? wildcard_of(wishes, certified.hosts[i].name)
                                               : certified.hosts[i].name;
    wishes->items = memory_resize(wishes->items, wishes->count + 1, sizeof(wishes->items[0]));
    wishes->items[wishes->count++] = (struct sidecar_wish){.tenant = tenant->name,
                                                           .file = tenant->certificate_file,
                                                           .hosts = hosts,
                                                           .host_count = certified.count};
}

static void tell_sidecar(struct certificates *certificates, const struct snapshot *snapshot)
{
    struct wishes wishes = {.table = snapshot->table, .hosts_max = certificates->hosts_max};
    route_table_each_tenant(snapshot->table, add_wish, &wishes);
    sidecar_want(certificates->sidecar, wishes.items, wishes.count);
    for (size_t i = 0; i < wishes.count; i++)
        free((void *)(uintptr_t)wishes.items[i].hosts);
    free(wishes.items);
    memory_free_texts(wishes.wildcards, wishes.wildcard_count);
}

static void on_look(void *context)
{
    struct certificates *certificates = context;
    const struct snapshot *snapshot = certificates->host.snapshot(certificates->host.context);
    certificates->look_is_due = false;
    if (snapshot == NULL || snapshot->content_hash == certificates->told_hash)
        return;
    certificates->told_hash = snapshot->content_hash;
    tell_sidecar(certificates, snapshot);
}

void certificates_look(struct certificates *certificates)
{
    if (certificates == NULL || certificates->look_is_due)
        return;
    certificates->look_is_due = true;
    main_timer_once(certificates->timer, LOOK_AFTER_MS);
}

/* -- Challenges ----------------------------------------------------------------------------------
 */

/* In the sidecar's thread: a table that the main thread takes when it comes to it. */
static void on_challenges(void *context, uint64_t number, const struct acme_challenge *challenges,
                          size_t count)
{
    struct certificates *certificates = context;
    struct challenge_answer *answers = memory_new(count * sizeof(*answers));
    for (size_t i = 0; i < count; i++)
        answers[i] = (struct challenge_answer){slice_of(challenges[i].token),
                                               slice_of(challenges[i].key_authorization)};
    struct challenge_news *news = memory_new(sizeof(*news));
    *news = (struct challenge_news){number, challenge_table_new(answers, count)};
    free(answers);
    struct challenge_news *passed_over = atomic_exchange(&certificates->challenge_news, news);
    if (passed_over != NULL)
        challenge_table_free(passed_over->table);
    free(passed_over);
    main_waker_wake(certificates->challenges_waker);
}

static void on_challenge_news(void *context)
{
    struct certificates *certificates = context;
    struct challenge_news *news = atomic_exchange(&certificates->challenge_news, NULL);
    if (news == NULL)
        return;
    certificates->host.set_challenges(certificates->host.context, news->table);
    sidecar_challenges_out(certificates->sidecar, news->number);
    free(news);
}

/* -- Starting ------------------------------------------------------------------------------------
 */

/* Owner and mode of the certificates' files. */
static bool find_mode(const struct acme_settings *acme, struct file_mode *mode,
                      struct error_text *text)
{
    struct error_text why;
    uid_t owner = (uid_t)-1;
    gid_t group = (gid_t)-1;
    if (acme->owner != NULL && account_find_user(acme->owner, &owner, &why) != ERROR_OK) {
        error_set(text, ERROR_NOT_FOUND, "acme.owner: %s", why.text);
        return false;
    }
    if (acme->group != NULL && account_find_group(acme->group, &group, &why) != ERROR_OK) {
        error_set(text, ERROR_NOT_FOUND, "acme.group: %s", why.text);
        return false;
    }
    *mode = (struct file_mode){
        .mode = acme->group != NULL ? 0640 : 0600, .owner = (int)owner, .group = (int)group};
    return true;
}

static const char *text_or_null(const char *text)
{
    return text != NULL && text[0] != '\0' ? text : NULL;
}

enum error certificates_placeholder(const struct configuration *configuration,
                                    struct error_text *text)
{
    struct file_mode mode;
    if (!configuration->haproxy.placeholder)
        return ERROR_OK;
    if (!find_mode(&configuration->acme, &mode, text))
        return ERROR_NOT_FOUND;
    char *path = hap_placeholder_path(&configuration->haproxy);
    enum error error = placeholder_ensure(path, &mode, clock_wall_s(), text);
    free(path);
    return error;
}

/* The HMAC keys of external accounts; NULL where there is none. */
struct secrets {
    char *first;
    char *second;
};

static void secrets_drop(struct secrets *secrets)
{
    secret_file_drop(secrets->first);
    secret_file_drop(secrets->second);
    *secrets = (struct secrets){0};
}

/* No file: no secret. */
static bool read_secret(const char *path, char **secret, struct error_text *text)
{
    return path == NULL || secret_file_read(path, secret, text) == ERROR_OK;
}

/* What has been read is for secrets_drop() in any case. */
static bool read_secrets(const struct acme_settings *acme, struct secrets *secrets,
                         struct error_text *text)
{
    *secrets = (struct secrets){0};
    return read_secret(acme->external_secret_file, &secrets->first, text) &&
           read_secret(acme->second_external_secret_file, &secrets->second, text);
}

static struct acme_ca_settings first_ca(const struct acme_settings *acme,
                                        const struct secrets *secrets)
{
    static const int LIMITS[] = {[ACME_LIMITS_AUTO] = ACME_LIMITS_BY_CA,
                                 [ACME_LIMITS_KEPT] = ACME_LIMITS_ON,
                                 [ACME_LIMITS_NOT_KEPT] = ACME_LIMITS_OFF};
    return (struct acme_ca_settings){
        .directory_url = text_or_null(acme->directory),
        .ca_file = acme->ca_file,
        .contacts = (const char *const *)acme->contacts,
        .contact_count = acme->contact_count,
        .external_kid = acme->external_kid,
        .external_secret = secrets->first,
        .profile = acme->profile,
        .preferred_chain = acme->preferred_chain,
        .limits = LIMITS[acme->limits],
    };
}

/* The first CA's twin, with accounts of its own. */
static struct acme_ca_settings staging_ca(const struct acme_settings *acme,
                                          const struct secrets *secrets)
{
    struct acme_ca_settings ca = first_ca(acme, secrets);
    ca.directory_url = text_or_null(acme->staging);
    return ca;
}

/* Profiles and chains are the first CA's words. Its roots may be those of a house, by which no
 * public CA is verified. */
static struct acme_ca_settings second_ca(const struct acme_settings *acme,
                                         const struct secrets *secrets)
{
    struct acme_ca_settings ca = first_ca(acme, secrets);
    ca.directory_url = text_or_null(acme->second_directory);
    ca.ca_file = acme->second_ca_file;
    ca.external_kid = acme->second_external_kid;
    ca.external_secret = secrets->second;
    ca.profile = ca.preferred_chain = NULL;
    return ca;
}

static struct sidecar *start_with(struct certificates *certificates,
                                  const struct configuration *configuration,
                                  const struct secrets *secrets, struct error_text *text)
{
    const struct acme_settings *acme = &configuration->acme;
    const struct hap_config *haproxy = &configuration->haproxy;
    struct file_mode mode;
    if (!find_mode(acme, &mode, text) || certificates_placeholder(configuration, text) != ERROR_OK)
        return NULL;
    const struct sidecar_settings settings = {
        .cas = {[SCHEDULE_CA_FIRST] = first_ca(acme, secrets),
                [SCHEDULE_CA_STAGING] = staging_ca(acme, secrets),
                [SCHEDULE_CA_SECOND] = second_ca(acme, secrets)},
        .second_after = acme->second_after,
        .orders_at_once = acme->orders_at_once,
        .rsa = acme->keys != ACME_KEYS_ECDSA,
        .ecdsa = acme->keys != ACME_KEYS_RSA,
        .store = {.state = acme->state_dir,
                  .certs = haproxy->crt_dir != NULL ? haproxy->crt_dir : "/etc/haproxy/certs",
                  .owner = mode.owner,
                  .group = mode.group,
                  .certs_mode = mode.mode},
        .runtime = (const char *const *)haproxy->runtime,
        .runtime_count = haproxy->runtime_count,
        .http = (const char *const *)haproxy->http,
        .http_count = acme->no_haproxy_preflight ? 0 : haproxy->http_count,
        .https = (const char *const *)haproxy->https,
        .https_count = acme->no_haproxy_preflight ? 0 : haproxy->https_count,
        .proxy_protocol_from = (const char *const *)haproxy->proxy_protocol_from,
        .proxy_protocol_from_count = haproxy->proxy_protocol_from_count,
        .look_at_dns = !acme->no_dns_preflight,
        .nameservers = (const char *const *)configuration->nameservers,
        .nameserver_count = configuration->nameserver_count,
        .challenge_listen = haproxy->challenge_listen,
        .webroot = acme->webroot,
        .certbot_live = acme->certbot_live,
        .admin = certificates->host.admin,
        .told_max = configuration->metrics.tenants,
        .on_challenges = on_challenges,
        .context = certificates,
    };
    return sidecar_start(&settings, text);
}

static struct sidecar *start_sidecar(struct certificates *certificates,
                                     const struct configuration *configuration,
                                     struct error_text *text)
{
    struct secrets secrets;
    struct sidecar *sidecar = read_secrets(&configuration->acme, &secrets, text)
                                  ? start_with(certificates, configuration, &secrets, text)
                                  : NULL;
    secrets_drop(&secrets);
    return sidecar;
}

/* From now on there are private keys in memory, which is nobody else's to read: not in a core dump,
 * nor by another process of this user. The limit alone would not do: a core dump that goes to a
 * program (systemd-coredump) is not held by it. */
static void keep_memory_private(void)
{
    const struct rlimit none = {0};
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0)
        log_event(LOG_WARNING, "memory_not_private", LOG_TEXT("reason", strerror(errno)));
}

uint64_t certificates_turns(const struct certificates *certificates)
{
    return sidecar_turns(certificates->sidecar);
}

void certificates_pass_over(struct certificates *certificates, bool is_stuck)
{
    if (certificates != NULL)
        sidecar_pass_over(certificates->sidecar, is_stuck);
}

/* The sidecar first, because it may still have something to tell. */
void certificates_stop(struct certificates *certificates)
{
    if (certificates == NULL)
        return;
    sidecar_stop(certificates->sidecar);
    main_timer_free(certificates->timer);
    main_waker_free(certificates->challenges_waker);
    struct challenge_news *news = atomic_exchange(&certificates->challenge_news, NULL);
    if (news != NULL)
        challenge_table_free(news->table);
    free(news);
    free(certificates);
}

struct certificates *certificates_start(struct main_loop *main_loop,
                                        const struct configuration *configuration,
                                        const struct certificates_host *host, bool *failed,
                                        struct error_text *text)
{
    *failed = false;
    if (configuration->acme.directory == NULL)
        return NULL;
    struct certificates *certificates = memory_new(sizeof(*certificates));
    certificates->host = *host;
    certificates->hosts_max = acme_settings_hosts_max(&configuration->acme);
    certificates->timer = main_timer_new(main_loop, on_look, certificates);
    certificates->challenges_waker = main_waker_new(main_loop, on_challenge_news, certificates);
    keep_memory_private();
    certificates->sidecar = start_sidecar(certificates, configuration, text);
    if (certificates->sidecar == NULL) {
        *failed = true;
        certificates_stop(certificates);
        return NULL;
    }
    certificates_look(certificates);
    return certificates;
}
