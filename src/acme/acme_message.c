/* URLs that a CA tells: see acme/acme_message.h. */
#include "acme/acme_message.h"

#include "json/json.h"

bool acme_url_is_good(struct slice text)
{
    if (text.size >= ACME_URL_SIZE || text.size <= strlen("https://") ||
        !slice_starts_with(text, SLICE("https://")))
        return false;
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] <= ' ' || text.data[i] > '~')
            return false;
    return true;
}

bool acme_url_copy(const struct json *url, char copy[static ACME_URL_SIZE])
{
    struct slice text;
    if (!json_read_text(url, &text) || !acme_url_is_good(text))
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    return true;
}
