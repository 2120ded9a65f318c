/* The certificates that are wanted, sorted by file name, and what each HAProxy holds of them. */
#pragma once

#include "acme/acme_worker.h"
#include "certificate_validity.h"
#include "sidecar/sidecar.h"

/* What one HAProxy is known to have. */
struct deployment {
    bool deployed;     /* the certificate on disk was read back from it */
    bool pending;      /* a job is on its way */
    char *problem;     /* the last one's; NULL: none */
    int64_t changed_s; /* wall clock: of the last success or problem */
    int64_t took_us;
};

/* What browsers see of it: see handshake.h. */
struct service {
    bool swapped;          /* into some HAProxy, and not looked at since */
    bool doubted;          /* to be looked at for another reason, and not done so since */
    int64_t looked_ms;     /* monotonic: the last look; 0: none since some HAProxy started */
    int64_t shown_until_s; /* wall clock: when what was shown then comes to its end; 0: it has */
    char *alarm;           /* what is served instead; NULL: none is known of */
    char *behind;          /* another file of ours, which is shown in its place: see overlap.h */
    bool put_first; /* that one was put behind it since it was first seen to be worse, or a HAProxy
                     * has started */
};

/* What the log has been told of its end: see expiry.h. */
struct expiry {
    enum schedule_alarm told;
    int64_t told_mono_ms;
};

struct certificate {
    char *name;    /* of the file: "acme.pem", "acme.pem.rsa" */
    char *tenant;  /* of several, the first */
    bool is_given; /* somebody else's: never ordered, imported, rolled back */
    char **hosts;
    size_t host_count;
    enum crypto_key_type key_type;
    struct deployment *deployments; /* one for each HAProxy */
    struct service service;
    struct file_stamp looked_at;          /* the file, when it was last read for HAProxys */
    struct certificate_validity validity; /* see certificate_validity_look() */
    struct expiry expiry;
    unsigned wanted_at; /* the worker is told with this one of the sidecar's `import_passes` */
    bool is_due;        /* it is to be brought to HAProxys */
    uint8_t sha256[CRYPTO_SHA256_BYTES]; /* of what its file was at the last look */
    bool is_unread;                      /* at that look, for a reason that may pass */
    char *unreadable; /* the log was told why its file is of no use; NULL: it is, or is not there */
};

struct certificate_list {
    struct certificate **items; /* sorted by name */
    size_t count;
    size_t deployment_count;
};

struct certificate *certificate_list_find(const struct certificate_list *list, const char *name);
/* The first one behind `name`, which need not be there (NULL: the first of all); NULL at the end.
 */
struct certificate *certificate_list_behind(const struct certificate_list *list, const char *name);

/* The first one behind `name` that is due, beginning anew at the end; NULL: none is. */
struct certificate *certificate_list_due(const struct certificate_list *list, const char *name);

/* What differs between the list and the wishes is told, and the list becomes what is wished. */
struct certificate_changes {
    void (*wanted)(void *context, struct certificate *certificate); /* new, or other hosts */
    void (*unwanted)(void *context, const struct certificate *certificate);
    void *context;
};

/* A copy of all wishes, one certificate for each key type, and one for all wishes that name the
 * same file. A file that is named is left to the tenant, if any, whose own certificate it is. */
struct certificate_list *certificate_list_new(const struct sidecar_wish *wishes, size_t count,
                                              bool rsa, bool ecdsa, size_t deployment_count);
/* Takes over `wished`, which is freed. */
void certificate_list_become(struct certificate_list *list, struct certificate_list *wished,
                             const struct certificate_changes *changes);
void certificate_list_free(struct certificate_list *list); /* NULL is fine */
