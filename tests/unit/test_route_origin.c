/* route/origin: what is an origin, and when two are one. */
#include "route/origin.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>

Test(origin, canonical)
{
    static const struct {
        const char *text;
        const char *canonical; /* NULL: none */
    } ROWS[] = {
        {"https://chat.example.com", "https://chat.example.com"},
        {"HTTPS://Chat.Example.COM:443", "https://chat.example.com"},
        {"http://chat.example.com:80", "http://chat.example.com"},
        {"http://chat.example.com:443", "http://chat.example.com:443"},
        {"https://chat.example.com:8443", "https://chat.example.com:8443"},
        {"http://[0:0:0:0:0:0:0:1]:8080", "http://[::1]:8080"},
        {"http://192.0.2.7", "http://192.0.2.7"},
        {"tauri://localhost", "tauri://localhost"},
        {"chrome-extension://abcdefgh", "chrome-extension://abcdefgh"},
        {"a0+b-9.z://x", "a0+b-9.z://x"},
        {"null", NULL},
        {"", NULL},
        {"https://", NULL},
        {"https:chat.example.com", NULL},
        {"://chat.example.com", NULL},
        {"1s://chat.example.com", NULL},
        {"https://chat.example.com/", NULL},
        {"https://chat.example.com/x", NULL},
        {"https://user@chat.example.com", NULL},
        {"https://chat.example.com:99999", NULL},
        {"https://chat.example.com https://evil.test", NULL},
        {"https://evil.test#chat.example.com", NULL},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa://x", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        struct origin origin;
        char buffer[ORIGIN_MAX_BYTES];
        bool good = origin_parse(slice_of(ROWS[i].text), &origin);
        cr_expect(eq(int, good, ROWS[i].canonical != NULL), "%s", ROWS[i].text);
        if (good && ROWS[i].canonical != NULL) {
            struct slice canonical = origin_canonical(&origin, buffer);
            cr_expect(slice_equal(canonical, slice_of(ROWS[i].canonical)), "%s: %.*s", ROWS[i].text,
                      SLICE_PRINT(canonical));
        }
    }
}

Test(origin, the_longest_fits)
{
    char text[ORIGIN_MAX_BYTES];
    char label[64];
    struct origin origin;
    char buffer[ORIGIN_MAX_BYTES];
    memset(label, 'a', 63);
    label[63] = '\0';
    char scheme[ORIGIN_SCHEME_MAX_BYTES + 1];
    memset(scheme, 's', ORIGIN_SCHEME_MAX_BYTES);
    scheme[ORIGIN_SCHEME_MAX_BYTES] = '\0';
    int size = snprintf(text, sizeof(text), "%s://%s.%s.%s.%.61s:65535", scheme, label, label,
                        label, label);
    cr_assert(origin_parse(slice_from(text, (size_t)size), &origin));
    cr_expect(slice_equal(origin_canonical(&origin, buffer), slice_from(text, (size_t)size)));
}
