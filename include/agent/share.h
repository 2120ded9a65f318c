/* Shares of a tenant's clients, for routes that are for some of them: each client has a number from
 * 0 to 99, its cookie's, or one that its address gives it, which the cookie then keeps. A share of
 * 10 are those below 10, so that a larger share has all of a smaller one. Whoever writes another
 * number into the cookie gets what that has: it chooses, and protects nothing. */
#pragma once

#include "core/ip.h"

enum { SHARE_FULL = 100, SHARE_NOT_ASKED = 255 /* nobody's number */, SHARE_COOKIE_BYTES = 2 };

/* `*is_told`: the cookie says it. */
unsigned share_of(struct slice cookie, const struct ip *client, bool *is_told);
/* Two digits. */
void share_cookie(unsigned number, char text[static SHARE_COOKIE_BYTES]);
