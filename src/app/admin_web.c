/* The admin interface: its page, and its description.
 *
 * The page is one file with its script and its style in it. Browsers are told by hash that these
 * two run, and nothing else does: no other script, nothing from elsewhere, and no text that ends up
 * in the page by mistake.
 */
#include "admin_web.h"

#include "core/memory.h"
#include "crypto/base64url.h"
#include "crypto/crypto.h"
#include "web_files.h"

#include <stdlib.h>

/* What stands between the first `start` and the `end` behind it. */
static struct slice part(const char *start, const char *end)
{
    const char *from = strstr(web_page(), start);
    assert(from != NULL);
    from += strlen(start);
    const char *to = strstr(from, end);
    assert(to != NULL);
    return slice_from(from, (size_t)(to - from));
}

/* CSP takes base64url as it does base64, with its padding. */
static char *hash_of(struct slice text)
{
    uint8_t digest[CRYPTO_SHA256_BYTES];
    struct bytes encoded = {0};
    char *source = NULL;
    if (crypto_sha256(text, digest) == ERROR_OK &&
        base64url_append(&encoded, slice_from(digest, sizeof(digest))))
        source = memory_format("'sha256-%.*s='", SLICE_PRINT(bytes_slice(&encoded)));
    bytes_free(&encoded);
    return source != NULL ? source : memory_copy_text(SLICE("'none'"));
}

/* Made once, in the main thread, and kept as long as the process. */
static const char *policy(void)
{
    static char *made;
    if (made != NULL)
        return made;
    char *script = hash_of(part("<script>", "</script>"));
    char *style = hash_of(part("<style>", "</style>"));
    made = memory_format("default-src 'none'; script-src %s; style-src %s; connect-src 'self'; "
                         "img-src data:; base-uri 'none'; form-action 'none'; "
                         "frame-ancestors 'none'; require-trusted-types-for 'script'; "
                         "trusted-types 'none'",
                         script, style);
    free(script);
    free(style);
    return made;
}

static void show_page(void *context, const struct admin_request *request,
                      struct admin_answer *answer)
{
    (void)context;
    (void)request;
    answer->text = memory_copy_text(slice_of(web_page()));
    answer->content_type = "text/html; charset=utf-8";
    answer->content_security_policy = policy();
}

static void show_description(void *context, const struct admin_request *request,
                             struct admin_answer *answer)
{
    (void)context;
    (void)request;
    answer->text = memory_copy_text(slice_of(web_openapi()));
    answer->content_type = "application/json";
}

const struct admin_operation OPEN_OPERATIONS[] = {
    {"GET", "/", show_page, "the page", ""},
    {"GET", "/v1/openapi.json", show_description, "OpenAPI 3.1", ""},
    {0},
};
