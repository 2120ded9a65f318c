/* The two spellings of time in protocols and files, into seconds since the epoch. */
#pragma once

#include "core/slice.h"

/* RFC 9110's IMF-fixdate, as in Date and Retry-After: "Sun, 06 Nov 1994 08:49:37 GMT". */
MUST_CHECK bool time_text_parse_http(struct slice text, int64_t *seconds);
/* RFC 3339, with a fraction and any offset: "2025-01-02T04:00:00.5Z". */
MUST_CHECK bool time_text_parse_rfc3339(struct slice text, int64_t *seconds);
/* The same, but the seconds may be left out: "2026-12-01T02:00Z". */
MUST_CHECK bool time_text_parse_point(struct slice text, int64_t *seconds);
enum { TIME_TEXT_SIZE = 24 };
/* "2025-01-02T04:00:00Z". What lies before 1970 or after 9999 becomes the nearest that does not. */
const char *time_text_print(int64_t seconds, char text[static TIME_TEXT_SIZE]);
