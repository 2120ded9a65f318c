/* What is to be there beside the configuration: see conf/surroundings.h.
 *
 * It is looked at as who asks, on the machine where that is, as files that tenants name are. Rights
 * are not reckoned for the service's user: what root may read and the service may not is found by
 * asking as the service. */
#include "conf/surroundings.h"

#include "conf/secret_file.h"
#include "core/account.h"
#include "core/memory.h"
#include "core/whole_file.h"
#include "crypto/client_certificate.h"
#include "node.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* All authorities that there are fit many times. */
enum { AUTHORITIES_MAX_BYTES = 16 * 1024 * 1024, KEYS_MAX = 4 };

#define CHALLENGE_FOLDER "/.well-known/acme-challenge"

struct looking {
    struct document document;
    const struct configuration *configuration;
    bool starts; /* the daemon does, as far as was seen */
};

/* Whom it keeps from what. */
enum need { NEED_TO_START, NEED_OF_HAPROXY, NEED_LATER };

/* -- Telling -- */

/* The value, or what is nearest to it in the file, when it is a default. */
static void tell(struct looking *looking, const char *keys, enum code code, char *hint,
                 const char *message)
{
    struct node way[KEYS_MAX + 1] = {document_root(&looking->document)};
    struct slice rest = slice_of(keys);
    size_t depth = 0;
    for (bool found = true; found && rest.size > 0;) {
        assert(depth < KEYS_MAX);
        char *key = memory_copy_text(slice_cut(&rest, '.'));
        found = node_member(&way[depth], key, &way[depth + 1]);
        depth += found;
        free(key);
    }
    node_report(&way[depth], JSON_PART_VALUE, code, hint, "%s: %s", keys, message);
}

/* What follows from it ends the message. */
static void tell_need(struct looking *looking, const char *keys, enum need need, enum code code,
                      char *hint, const char *problem)
{
    static const char *const ENDS[] = {
        [NEED_TO_START] = ": the daemon does not start",
        [NEED_OF_HAPROXY] = ": HAProxy refuses its file",
        [NEED_LATER] = "",
    };
    char *message = memory_format("%s%s", problem, ENDS[need]);
    tell(looking, keys, code, hint, message);
    free(message);
    looking->starts &= need != NEED_TO_START;
}

/* Who may not look does not know: the service may be allowed to. */
static void tell_unusable(struct looking *looking, const char *keys, enum need need, char *hint,
                          enum error error, const struct error_text *why)
{
    bool is_hidden = error == ERROR_SYSTEM && errno == EACCES;
    if (is_hidden) {
        free(hint);
        tell_need(looking, keys, NEED_LATER, CODE_FILE_MISSED,
                  memory_format("ask as the service: sudo runuser -u owui-spoa -- owui-spoa check "
                                "-c %s",
                                looking->configuration->path),
                  why->text);
    } else {
        if (error == ERROR_NO_MEMORY) /* which says nothing of the file */
            need = NEED_LATER;
        tell_need(looking, keys, need, need == NEED_LATER ? CODE_FILE_MISSED : CODE_FILE_NEEDED,
                  hint, why->text);
    }
}

/* -- Looking -- */

static void look_at_group(struct looking *looking, const char *keys, const char *name)
{
    struct error_text why;
    gid_t gid;
    if (name != NULL && account_find_group(name, &gid, &why) != ERROR_OK)
        tell_need(looking, keys, NEED_TO_START, CODE_ACCOUNT_UNKNOWN,
                  memory_format("`sudo groupadd --system %s` makes it", name), why.text);
}

static void look_at_user(struct looking *looking, const char *keys, const char *name)
{
    struct error_text why;
    uid_t uid;
    if (name != NULL && account_find_user(name, &uid, &why) != ERROR_OK)
        tell_need(looking, keys, NEED_TO_START, CODE_ACCOUNT_UNKNOWN,
                  memory_format("name a user of this machine, or leave it out"), why.text);
}

static void look_at_secret(struct looking *looking, const char *keys, const char *path)
{
    struct error_text why;
    char *secret = NULL;
    if (path == NULL)
        return;
    enum error error = secret_file_read(path, &secret, &why);
    if (error != ERROR_OK)
        tell_unusable(looking, keys, NEED_TO_START,
                      memory_format("put the HMAC key that the CA gave into that file"), error,
                      &why);
    secret_file_drop(secret);
}

static bool is_folder(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

static void look_at_folder(struct looking *looking, const char *keys, enum need need,
                           const char *path, char *hint)
{
    struct error_text why;
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        tell_unusable(looking, keys, need, hint, error_set_errno(&why, "cannot open %s", path),
                      &why);
    else
        free(hint);
    if (fd >= 0)
        close(fd);
}

static enum error check_authorities(const char *path, struct error_text *why)
{
    struct error_text reason;
    char *text;
    size_t size;
    enum error error = whole_file_read(path, AUTHORITIES_MAX_BYTES, &text, &size, why);
    if (error != ERROR_OK)
        return error;
    error = crypto_client_certificate_check_authorities(slice_from(text, size), &reason);
    free(text);
    return error == ERROR_OK ? error : error_set(why, error, "%s: %s", path, reason.text);
}

static bool is_missing(const char *path)
{
    return access(path, F_OK) != 0 && errno == ENOENT;
}

/* In a container of its own, say, of whose folder this one has the certificates alone. */
static bool haproxy_is_elsewhere(const struct hap_config *haproxy)
{
    char *config_path = hap_config_path(haproxy);
    bool is_elsewhere = is_missing(hap_spoe_path(haproxy)) && is_missing(config_path);
    free(config_path);
    return is_elsewhere;
}

/* HAProxy takes a folder of them as well. */
static void look_at_authorities(struct looking *looking, const char *keys, enum need need,
                                const char *path)
{
    struct error_text why;
    if (path == NULL || (need == NEED_OF_HAPROXY && is_folder(path)))
        return;
    const struct hap_config *haproxy = &looking->configuration->haproxy;
    bool may_be_elsewhere = need == NEED_OF_HAPROXY && haproxy_is_elsewhere(haproxy);
    enum error error = check_authorities(path, &why);
    if (error == ERROR_NOT_FOUND && may_be_elsewhere)
        tell_need(looking, keys, NEED_LATER, CODE_FILE_MISSED,
                  memory_format("it is to be where HAProxy runs, which seems to be elsewhere: "
                                "neither %s is here nor haproxy.cfg beside it",
                                hap_spoe_path(haproxy)),
                  why.text);
    else if (error != ERROR_OK)
        tell_unusable(looking, keys, need,
                      memory_format("a file of certificates in PEM, such as "
                                    "/etc/ssl/certs/ca-certificates.crt"),
                      error, &why);
}

/* -- By sections -- */

/* Of an abstract or a TCP socket nobody is the owner, and of systemd's the socket unit tells. */
static bool makes_socket_files(const struct configuration *configuration)
{
    for (size_t i = 0; i < configuration->listen_count; i++) {
        struct slice listen = slice_of(configuration->listen[i]);
        if (slice_starts_with(listen, SLICE("unix:")) &&
            !slice_starts_with(listen, SLICE("unix:@")))
            return true;
    }
    return false;
}

/* Without a directory there is no sidecar, and nothing of this is asked for. */
static void look_at_acme(struct looking *looking)
{
    const struct acme_settings *acme = &looking->configuration->acme;
    if (acme->directory == NULL)
        return;
    look_at_user(looking, "acme.owner", acme->owner);
    look_at_group(looking, "acme.group", acme->group);
    look_at_secret(looking, "acme.external_account.secret_file", acme->external_secret_file);
    look_at_secret(looking, "acme.second.external_account.secret_file",
                   acme->second_external_secret_file);
    if (acme->webroot != NULL) {
        char *folder = memory_format("%s" CHALLENGE_FOLDER, acme->webroot);
        look_at_folder(looking, "acme.webroot", NEED_TO_START, folder,
                       memory_format("mkdir -p %s", folder));
        free(folder);
    }
    if (acme->certbot_live != NULL)
        look_at_folder(looking, "acme.certbot_live", NEED_LATER, acme->certbot_live,
                       memory_format("certbot's is /etc/letsencrypt/live; where there is none, "
                                     "leave it out"));
    if (acme->directory[0] == '\0')
        return;
    look_at_authorities(looking, "acme.ca_file", NEED_LATER, acme->ca_file);
    look_at_authorities(looking, "acme.second.ca_file", NEED_LATER, acme->second_ca_file);
}

bool surroundings_check(const struct configuration *configuration, struct diagnostics *diagnostics)
{
    const struct hap_config *haproxy = &configuration->haproxy;
    struct looking looking = {.configuration = configuration, .starts = true};
    if (document_open(&looking.document, configuration->path, diagnostics)) {
        if (makes_socket_files(configuration))
            look_at_group(&looking, "listen_group", configuration->listen_group);
        look_at_acme(&looking);
        look_at_authorities(&looking, "jwks.ca_file", NEED_LATER, configuration->jwks.ca_file);
        look_at_authorities(&looking, "haproxy.upstream_ca_file", NEED_OF_HAPROXY,
                            haproxy->upstream_ca_file);
        if (haproxy->https_count > 0)
            look_at_authorities(&looking, "haproxy.client_ca_file", NEED_OF_HAPROXY,
                                haproxy->client_ca_file);
    }
    document_close(&looking.document);
    return looking.starts;
}
