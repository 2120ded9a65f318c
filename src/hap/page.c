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

/* The lines between the marks for `place` in an older text, or nothing. */
static struct slice own_lines(struct slice previous, const char *place)
{
    struct slice found = {0};
    char *mark = memory_format(OWN_LINES_BEGIN "%s (", place);
    const char *end = previous.data + previous.size;
    const char *begin =
        previous.size > 0 ? memmem(previous.data, previous.size, mark, strlen(mark)) : NULL;
    if (begin != NULL)
        begin = memchr(begin, '\n', (size_t)(end - begin));
    if (begin != NULL) {
        begin++;
        const char *stop = end_of_own_lines(begin, end);
        while (stop != NULL && stop > begin && stop[-1] != '\n')
            stop--;
        if (stop != NULL)
            found = slice_from(begin, (size_t)(stop - begin));
    }
    free(mark);
    return found;
}

void put_own_lines(const struct page *page, const char *indent, const char *place)
{
    struct slice kept = own_lines(page->previous, place);
    put(page,
        "\n%s" OWN_LINES_BEGIN "%s (kept when this file is written again)\n%.*s%s" OWN_LINES_END
        "\n",
        indent, place, SLICE_PRINT(kept), indent);
}

bool has_trusted_proxies(const struct hap_config *config)
{
    for (size_t i = 0; i < HAP_SOURCE__MAX; i++)
        if (config->sources[i])
            return true;
    return false;
}
