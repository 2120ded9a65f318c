/* A text of HAProxy's while it is written, and what all the parts of haproxy.cfg and of the SPOE
 * file write it with. */
#pragma once

#include "core/text_stream.h"
#include "hap/config.h"

struct page {
    const struct hap_config *config;
    enum hap_version version;
    struct slice previous; /* an older text, whose own lines are kept */
    struct text_stream stream;
};

/* The page stays where it is until it is closed. These end the program when memory runs out, as
 * core/memory.h does. */
void page_open(struct page *page, const struct hap_config *config, enum hap_version version,
               struct slice previous);
/* The text, for free(). */
char *page_close(struct page *page) __attribute__((returns_nonnull));

/* Nearly every line of a writer calls one of these, so they go without the file's prefix. */
void put(const struct page *page, const char *format, ...) PRINTF_LIKE(2, 3);
/* The text as it stands: its percent signs are HAProxy's. */
void put_text(const struct page *page, const char *text);
/* `newer` from version `least` on, else `older`; one of them may be "". */
void put_since(const struct page *page, enum hap_version least, const char *least_text,
               const char *newer, const char *older);
/* A place where an admin's own lines survive the next writing of the file. */
void put_own_lines(const struct page *page, const char *indent, const char *place);
/* HAProxy's own error becomes a page, which looks again after some time: what a server says is left
 * as it is. */
struct error_page {
    int status;
    const char *headers; /* " hdr NAME VALUE" and so on, or "" */
    unsigned again_s;
    const char *title, *advice; /* log formats of HAProxy's */
};
void put_error_page(const struct page *page, const struct error_page *error);
/* The last one, which has all that is behind it, too: somebody may have appended lines to the file,
 * or deleted the mark. */
void put_last_own_lines(const struct page *page, const char *place);

/* Whether some networks are believed when they tell who a client is. */
bool has_trusted_proxies(const struct hap_config *config);

/* What the configuration says, or the default where it says nothing. */
static inline const char *or_else(const char *value, const char *otherwise)
{
    return value != NULL ? value : otherwise;
}
