/* What is new in a text: tenants that stand there as they stood before need not be read again. */
#pragma once

#include "conf/configuration.h"
#include "json/json.h"

/* Of the members of "tenants", comments included, in the order of the text. */
struct news {
    struct news_member {
        uint64_t text_hash; /* of the value, byte by byte */
        bool is_known;
    } * members;
    size_t count;
    char *short_text; /* the text with `null` for each tenant that is known */
    size_t short_size;
};

/* False when the text is not plainly an object with "tenants": it has to be read as a whole. Of a
 * text that is not JSON, what is left is not JSON either. */
MUST_CHECK bool news_find(struct slice text, const struct known_tenants *known, struct news *news);
void news_fini(struct news *news);
