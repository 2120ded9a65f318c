/* Origins: see route/origin.h. */
#include "route/origin.h"

#include "core/cursor.h"

enum { HTTP_PORT = 80, HTTPS_PORT = 443 };

static bool is_scheme_byte(char c)
{
    return ascii_is_alphanumeric(c) || c == '+' || c == '-' || c == '.';
}

static bool is_scheme(struct slice text)
{
    return text.size > 0 && text.size <= ORIGIN_SCHEME_MAX_BYTES && ascii_is_letter(text.data[0]) &&
           slice_consists_of(text, is_scheme_byte);
}

bool origin_is_web(const struct origin *origin, bool plain_too)
{
    return slice_equal_nocase(origin->scheme, SLICE("https")) ||
           (plain_too && slice_equal_nocase(origin->scheme, SLICE("http")));
}

bool origin_parse(struct slice text, struct origin *origin)
{
    origin->scheme = slice_before(text, ':');
    struct slice rest = slice_skip(text, origin->scheme.size);
    if (!is_scheme(origin->scheme) || !slice_starts_with(rest, SLICE("://")) ||
        host_parse(slice_skip(rest, 3), &origin->host) != REFUSAL_NONE)
        return false;
    uint16_t usual = origin_is_web(origin, false)  ? HTTPS_PORT
                     : origin_is_web(origin, true) ? HTTP_PORT
                                                   : 0;
    if (origin->host.port == usual)
        origin->host.port = 0;
    return true;
}

struct slice origin_canonical(const struct origin *origin, char buffer[static ORIGIN_MAX_BYTES])
{
    struct writer writer = writer_of(buffer, ORIGIN_MAX_BYTES);
    for (size_t i = 0; i < origin->scheme.size; i++)
        writer_u8(&writer, (uint8_t)ascii_lower(origin->scheme.data[i]));
    writer_bytes(&writer, SLICE("://"));
    host_write(&origin->host, &writer);
    assert(!writer.failed);
    return writer_written(&writer);
}
