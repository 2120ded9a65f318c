/* Test vectors as text: see support/vector.h. */
#include "support/vector.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static _Noreturn void give_up(const char *name, const char *why)
{
    fprintf(stderr, "%s: %s\n", name, why);
    abort();
}

static int hex_digit(char c)
{
    static const char DIGITS[] = "0123456789abcdef";
    const char *found = c != '\0' ? strchr(DIGITS, ascii_lower(c)) : NULL;
    return found != NULL ? (int)(found - DIGITS) : -1;
}

/* What may stand in one place: a byte in hex, one or several quoted ones, or nothing. Returns how
 * much of `text` it took. */
static size_t take_token(const char *name, struct slice text, uint8_t *bytes, size_t left,
                         size_t *written)
{
    char c = text.data[0];
    *written = 0;
    if (isspace((unsigned char)c))
        return 1;
    if (c == '#') {
        const char *end = memchr(text.data, '\n', text.size);
        return end != NULL ? (size_t)(end - text.data) : text.size;
    }
    if (c == '"') {
        const char *end = memchr(text.data + 1, '"', text.size - 1);
        if (end == NULL)
            give_up(name, "a quote without end");
        *written = (size_t)(end - text.data) - 1;
        if (*written > left)
            give_up(name, "too long");
        memcpy(bytes, text.data + 1, *written);
        return *written + 2;
    }
    int high = hex_digit(c);
    int low = text.size > 1 ? hex_digit(text.data[1]) : -1;
    if (high < 0 || low < 0 || left == 0)
        give_up(name, left == 0 ? "too long" : "neither hex nor a quote");
    bytes[0] = (uint8_t)(high << 4 | low);
    *written = 1;
    return 2;
}

size_t vector_decode(const char *name, struct slice text, uint8_t *bytes, size_t size)
{
    size_t used = 0;
    while (text.size > 0) {
        size_t written;
        text = slice_skip(text, take_token(name, text, bytes + used, size - used, &written));
        used += written;
    }
    return used;
}

char *file_load(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        give_up(path, strerror(errno));
    char *text = NULL;
    size_t room = 1;
    size_t used = 0;
    do {
        room += 65536;
        text = realloc(text, room);
        if (text == NULL)
            give_up(path, "out of memory");
        used += fread(text + used, 1, room - 1 - used, file);
    } while (used == room - 1);
    fclose(file);
    text[used] = '\0';
    *size = used;
    return text;
}
