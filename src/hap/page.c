/* A text of HAProxy's while it is written: see page.h. */
#include "page.h"

#include "core/memory.h"

#include <stdarg.h>
#include <stdlib.h>

#define OWN_LINES_BEGIN "# own lines, "
#define OWN_LINES_END   "# end of own lines"

void page_open(struct page *page, const struct hap_config *config, enum hap_version version,
               struct slice previous)
{
    *page = (struct page){.config = config, .version = version, .previous = previous};
    text_stream_open(&page->stream);
}

char *page_close(struct page *page)
{
    return text_stream_close(&page->stream);
}

void put(const struct page *page, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(page->stream.out, format, arguments);
    va_end(arguments);
}

void put_text(const struct page *page, const char *text)
{
    fputs(text, page->stream.out);
}

void put_since(const struct page *page, enum hap_version least, const char *least_text,
               const char *newer, const char *older)
{
    if (page->version != HAP_ANY) {
        put(page, "%s", page->version >= least ? newer : older);
        return;
    }
    if (newer[0] == '\0') {
        put(page, ".if version_before(%s)\n%s.endif\n", least_text, older);
        return;
    }
    put(page, ".if version_atleast(%s)\n%s", least_text, newer);
    if (older[0] != '\0')
        put(page, ".else\n%s", older);
    put(page, ".endif\n");
}

/* Own lines end where others begin, too: somebody may have deleted the mark between them. */
static const char *end_of_own_lines(const char *begin, const char *end)
{
    struct slice rest = slice_from(begin, (size_t)(end - begin));
    const char *mark = memmem(rest.data, rest.size, OWN_LINES_END, sizeof(OWN_LINES_END) - 1);
    const char *next = memmem(rest.data, rest.size, OWN_LINES_BEGIN, sizeof(OWN_LINES_BEGIN) - 1);
    return mark == NULL || (next != NULL && next < mark) ? next : mark;
}

/* What is behind the mark for `place` in an older text, or nothing. */
static struct slice behind_mark(struct slice previous, const char *place)
{
    char *mark = memory_format(OWN_LINES_BEGIN "%s (", place);
    const char *end = previous.data + previous.size;
    const char *begin =
        previous.size > 0 ? memmem(previous.data, previous.size, mark, strlen(mark)) : NULL;
    free(mark);
    if (begin != NULL)
        begin = memchr(begin, '\n', (size_t)(end - begin));
    return begin == NULL ? (struct slice){0} : slice_from(begin + 1, (size_t)(end - begin - 1));
}

/* The lines between the marks for `place` in an older text, or nothing. */
static struct slice own_lines(struct slice previous, const char *place)
{
    struct slice rest = behind_mark(previous, place);
    const char *stop = rest.size == 0 ? NULL : end_of_own_lines(rest.data, rest.data + rest.size);
    while (stop != NULL && stop > rest.data && stop[-1] != '\n')
        stop--;
    return stop == NULL ? (struct slice){0} : slice_from(rest.data, (size_t)(stop - rest.data));
}

static void put_begin(const struct page *page, const char *indent, const char *place)
{
    put(page, "\n%s" OWN_LINES_BEGIN "%s (kept when this file is written again)\n", indent, place);
}

void put_own_lines(const struct page *page, const char *indent, const char *place)
{
    struct slice kept = own_lines(page->previous, place);
    put_begin(page, indent, place);
    put(page, "%.*s%s" OWN_LINES_END "\n", SLICE_PRINT(kept), indent);
}

void put_error_page(const struct page *page, const struct error_page *error)
{
    put(page,
        "    http-error status %d content-type text/html%s lf-string "
        "\"<!doctype html><html lang=en><meta name=viewport content='width=device-width'>"
        "<meta name=color-scheme content='light dark'>"
        "<meta http-equiv=refresh content=%u><title>%s</title><h1>%s</h1><p>%s\\n\"\n",
        error->status, error->headers, error->again_s, error->title, error->title, error->advice);
}

void put_last_own_lines(const struct page *page, const char *place)
{
    struct slice rest = behind_mark(page->previous, place);
    put_begin(page, "", place);
    while (rest.size > 0) {
        struct slice line = slice_cut(&rest, '\n');
        if (!slice_starts_with(slice_trim(line), SLICE(OWN_LINES_END)))
            put(page, "%.*s\n", SLICE_PRINT(line));
    }
    put_text(page, OWN_LINES_END "\n");
}

enum error hap_config_check_own_lines(struct slice previous, struct error_text *text)
{
    bool is_open = false, has_lines = false; /* since the last mark */
    if (!hap_config_is_ours(previous))
        return ERROR_OK;
    for (unsigned number = 1; previous.size > 0; number++) {
        struct slice line = slice_trim(slice_cut(&previous, '\n'));
        bool ends = slice_starts_with(line, SLICE(OWN_LINES_END));
        if (slice_starts_with(line, SLICE(OWN_LINES_BEGIN "sections (")))
            break; /* it has all that is behind it */
        if (ends && !is_open && has_lines)
            return error_set(text, ERROR_INVALID,
                             "line %u of haproxy.cfg ends own lines that begin nowhere, and they "
                             "would be lost: put the mark \"" OWN_LINES_BEGIN
                             "...\" back, as `owui-spoa haproxy-config` prints it",
                             number);
        has_lines = !ends && (has_lines || line.size > 0);
        is_open = !ends && (is_open || slice_starts_with(line, SLICE(OWN_LINES_BEGIN)));
    }
    return ERROR_OK;
}

bool has_trusted_proxies(const struct hap_config *config)
{
    for (size_t i = 0; i < HAP_SOURCE__MAX; i++)
        if (config->sources[i])
            return true;
    return false;
}
