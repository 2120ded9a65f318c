/* Texts that are written to as streams: see core/text_stream.h.
 *
 * Not open_memstream(): where it finds no memory for what is written, it drops that, and neither
 * ferror() nor fclose() tells (glibc 2.36). Half a haproxy.cfg would pass for a whole one.
 */
#include "core/text_stream.h"

#include "core/memory.h"

#include <string.h>

/* As fopencookie(3) wants it. */
static ssize_t append(void *cookie, const char *data, size_t size)
{
    struct text_stream *stream = cookie;
    if (size >= stream->room - stream->size) {
        stream->room = 2 * (stream->size + size + 1);
        stream->text = memory_resize(stream->text, stream->room, 1);
    }
    memcpy(stream->text + stream->size, data, size);
    stream->size += size;
    return (ssize_t)size;
}

void text_stream_open(struct text_stream *stream)
{
    *stream = (struct text_stream){.out = NULL};
    stream->out = fopencookie(stream, "w", (cookie_io_functions_t){.write = append});
    if (stream->out == NULL)
        memory_give_up(sizeof(FILE));
}

char *text_stream_close(struct text_stream *stream)
{
    if (fclose(stream->out) != 0)
        memory_give_up(stream->size);
    if (stream->text == NULL)
        return memory_copy_text(SLICE(""));
    stream->text[stream->size] = '\0';
    return stream->text;
}
