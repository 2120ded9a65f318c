/* Shares of clients: see agent/share.h. */
#include "agent/share.h"

#include "core/hash.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

unsigned share_of(struct slice cookie, const struct ip *client, bool *is_told)
{
    *is_told =
        cookie.size == SHARE_COOKIE_BYTES && is_digit(cookie.data[0]) && is_digit(cookie.data[1]);
    if (*is_told)
        return (unsigned)(cookie.data[0] - '0') * 10 + (unsigned)(cookie.data[1] - '0');
    uint64_t hash = hash_content(slice_from(client->bytes, sizeof(client->bytes)), client->family);
    return (unsigned)(hash % SHARE_FULL);
}

void share_cookie(unsigned number, char text[static SHARE_COOKIE_BYTES])
{
    text[0] = (char)('0' + number / 10 % 10);
    text[1] = (char)('0' + number % 10);
}
