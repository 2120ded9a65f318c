/* `show sess all`: see hap/runtime_streams.h.
 *
 * A stream's first line begins with its address in HAProxy's memory, the others are indented. What
 * is looked for are words with a value behind them, each in the line that begins with another word,
 * because lines have grown more of them from version to version.
 */
#include "hap/runtime_streams.h"

#include "hap/runtime.h"

/* What stands behind `word` in the line, up to a blank; empty if it is not there. */
static struct slice value_of(struct slice line, struct slice word)
{
    const char *found = line.size > 0 ? memmem(line.data, line.size, word.data, word.size) : NULL;
    if (found == NULL)
        return (struct slice){0};
    struct slice rest = slice_skip(line, (size_t)(found - line.data) + word.size);
    size_t size = 0;
    while (size < rest.size && rest.data[size] != ' ')
        size++;
    return slice_head(rest, size);
}

/* "10.0.0.1:3000", "fd00::7:3000" */
static void read_server(struct slice text, struct runtime_stream *stream)
{
    size_t colon = text.size;
    while (colon > 0 && text.data[colon - 1] != ':')
        colon--;
    uint64_t port = runtime_number(slice_skip(text, colon));
    if (colon == 0 || port > UINT16_MAX || !ip_parse(slice_head(text, colon - 1), &stream->server))
        stream->server = (struct ip){0}, port = 0;
    stream->port = (uint16_t)port;
}

static void read_line(struct slice line, struct runtime_stream *stream)
{
    line = slice_trim(line);
    if (slice_starts_with(line, SLICE("server=")))
        read_server(value_of(line, SLICE(" addr=")), stream);
    else if (slice_starts_with(line, SLICE("txn=")))
        stream->is_tunnel = slice_equal(value_of(line, SLICE(" rsp.st=")), SLICE("MSG_TUNNEL"));
    else if (slice_starts_with(line, SLICE("res=")) && stream->received_bytes == 0)
        stream->received_bytes = runtime_number(value_of(line, SLICE(" total=")));
    else if (slice_starts_with(line, SLICE("scb="))) /* 3.4, which has no "total=" */
        stream->received_bytes = runtime_number(value_of(line, SLICE(" in=")));
}

bool runtime_stream_next(struct slice *answer, struct runtime_stream *stream)
{
    struct slice line;
    *stream = (struct runtime_stream){0};
    while (stream->id.size == 0) {
        if (!runtime_next_line(answer, &line))
            return false;
        if (slice_starts_with(line, SLICE("0x")) && slice_has(line, ':'))
            stream->id = slice_before(line, ':');
    }
    for (struct slice rest = *answer; runtime_next_line(&rest, &line); *answer = rest) {
        if (slice_starts_with(line, SLICE("0x")))
            break;
        read_line(line, stream);
    }
    return true;
}

bool runtime_streams_are_whole(struct slice answer)
{
    struct runtime_stream stream;
    return slice_ends_with(answer, SLICE("\n\n")) && runtime_stream_next(&answer, &stream);
}
