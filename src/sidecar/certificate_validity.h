/* From when until when the certificate on disk is valid, and whether for all of its hosts, read
 * again only when its file is another one, or its hosts are others. Without a CA nobody else keeps
 * that in memory, and monitoring asks for it of all certificates at every scrape. */
#pragma once

#include "acme/schedule.h"
#include "core/file_stamp.h"

struct certificate;
struct crypto_certificate;
struct sidecar;

struct certificate_validity {
    struct file_stamp file; /* that it is of */
    bool is_there;          /* one that can be read */
    bool is_for_all_hosts;
    int64_t not_before_s;
    int64_t not_after_s;
};

/* How many of the hosts that `certificate` is wanted for `by`, a certificate, is for. */
MUST_CHECK size_t certificate_covered_hosts(const struct certificate *certificate,
                                            const struct crypto_certificate *by);
/* Whether it is wanted for this host. */
MUST_CHECK bool certificate_has_host(const struct certificate *certificate, const char *host);
/* Whether `about`, a certificate, has the kind of key that `certificate` is wanted with, where a
 * tenant has one of each kind. */
MUST_CHECK bool certificate_fits_key(const struct sidecar *sidecar,
                                     const struct certificate *certificate,
                                     const struct crypto_certificate *about);
/* Whether `about`, a certificate, is for all that `certificate` is wanted for. */
MUST_CHECK bool certificate_has_all_hosts(const struct certificate *certificate,
                                          const struct crypto_certificate *about);

/* Whoever put the file there, it is looked at each time: one stat(), and no more while it is the
 * same. Sidecar's thread; until the certificate is gone. */
const struct certificate_validity *certificate_validity_look(const struct sidecar *sidecar,
                                                             struct certificate *certificate);
/* How near its end it is; `validity` is that of one that is there. */
enum schedule_alarm certificate_validity_alarm(const struct certificate_validity *validity,
                                               int64_t now_s);
/* The same of a certificate that has just been read. */
MUST_CHECK enum schedule_alarm certificate_alarm(const struct crypto_certificate *about,
                                                 int64_t now_s);
