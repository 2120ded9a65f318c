/* Tokens of a JSON text, for its places: see json_place.c. */
#pragma once

#include "json/json.h"

/* Moves `at` over white space. */
void json_scan_space(struct slice text, struct json_position *at);

/* Moves `at` over one whole value (nested as deep as it may be) or string. False when the text ends
 * or breaks before it does; `at` is then somewhere inside. */
MUST_CHECK bool json_scan_string(struct slice text, struct json_position *at);
MUST_CHECK bool json_scan_value(struct slice text, struct json_position *at);

/* False when the text nests deeper than JSON_MAX_DEPTH; `where` is then the bracket too many. */
MUST_CHECK bool json_scan_depth(struct slice text, struct json_position *where);

/* The string token (quotes and all) that ends at byte `end`. */
MUST_CHECK bool json_scan_string_ending_at(struct slice text, size_t end,
                                           struct json_position *where);
