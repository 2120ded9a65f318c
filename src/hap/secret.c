/* Passwords in lines of HAProxy's files: see hap/secret.h.
 *
 * They stand behind their names ("stats auth", "user anna password", "set-header Authorization"),
 * and also in comments and in texts with escapes, so words are looked for without HAProxy's
 * grammar. */
#include "hap/secret.h"

static bool is_of_word(char c)
{
    return ascii_is_alphanumeric(c) || c == '-' || c == '_';
}

static bool ends_with_nocase(struct slice word, struct slice end)
{
    return word.size >= end.size && slice_equal_nocase(slice_skip(word, word.size - end.size), end);
}

/* "insecure-password", "X-Token", the "nAuthorization" of "\\r\\nAuthorization"; not "tokens",
 * which is prose. */
static bool announces(struct slice word)
{
    static const char *const ENDS[] = {"password", "passwd",  "secret", "token", "authorization",
                                       "api-key",  "api_key", "apikey", "setenv"};
    for (size_t i = 0; i < COUNT_OF(ENDS); i++)
        if (ends_with_nocase(word, slice_of(ENDS[i])))
            return true;
    return slice_equal_nocase(word, SLICE("auth"));
}

struct slice hap_secret_cut(struct slice line)
{
    struct slice before = {0};
    for (size_t at = 0; at < line.size;) {
        size_t end = at;
        while (end < line.size && is_of_word(line.data[end]))
            end++;
        struct slice word = slice_head(slice_skip(line, at), end - at);
        if (announces(word) && !slice_equal(before, SLICE("del-header")))
            return slice_trim(slice_skip(line, end)).size > 0 ? slice_head(line, end) : line;
        before = word;
        at = end + 1;
    }
    return line;
}
