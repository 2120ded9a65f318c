/* Shares of clients: see agent/share.h. */
#include "agent/share.h"

#include "core/decimal.h"
#include "core/hash.h"

unsigned share_of(struct slice cookie, const struct ip *client, bool *is_told)
{
    uint64_t number;
    *is_told =
        cookie.size == SHARE_COOKIE_BYTES && decimal_parse(cookie, SHARE_COOKIE_BYTES, &number);
    if (*is_told)
        return (unsigned)number;
    uint64_t hash = hash_content(slice_from(client->bytes, sizeof(client->bytes)), client->family);
    return (unsigned)(hash % SHARE_FULL);
}

void share_cookie(unsigned number, char text[static SHARE_COOKIE_BYTES])
{
    text[0] = (char)('0' + number / 10 % 10);
    text[1] = (char)('0' + number % 10);
}
