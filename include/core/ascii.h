/* Bytes as ASCII characters: of host names, header names, schemes, numbers. Unlike <ctype.h>, no
 * locale has a say, and any byte may be asked about. */
#pragma once

#include "core/base.h"

#include <string.h>

static inline bool ascii_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool ascii_is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static inline bool ascii_is_letter(char c)
{
    return ascii_is_lower(ascii_lower(c));
}

static inline bool ascii_is_alphanumeric(char c)
{
    return ascii_is_letter(c) || ascii_is_digit(c);
}

/* All of it, in its place; NULL is fine. */
static inline void ascii_lower_text(char *text)
{
    for (; text != NULL && *text != '\0'; text++)
        *text = ascii_lower(*text);
}

/* Whether the byte is in the set. A NUL is in none; strchr() finds it at every text's end. */
static inline bool byte_is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}
