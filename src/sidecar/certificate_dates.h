/* From when until when the certificate on disk is valid, read again only when its file is another
 * one. Without a CA nobody else keeps that in memory, and monitoring asks for it of all
 * certificates at every scrape. */
#pragma once

#include "acme/schedule.h"
#include "core/file_stamp.h"

struct certificate;
struct sidecar;

struct certificate_dates {
    struct file_stamp file; /* that they are of */
    bool is_there;          /* one that can be read */
    int64_t not_before_s;
    int64_t not_after_s;
};

/* Whoever put the file there, it is looked at each time: one stat(), and no more while it is the
 * same. Sidecar's thread; until the certificate is gone. */
const struct certificate_dates *certificate_dates_look(const struct sidecar *sidecar,
                                                       struct certificate *certificate);
/* How near its end it is; `dates` are those of one that is there. */
enum schedule_alarm certificate_dates_alarm(const struct certificate_dates *dates, int64_t now_s);
