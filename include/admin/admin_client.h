/* The command line's side of the admin interface: one request, one answer, blocking. */
#pragma once

#include "core/error.h"
#include "core/slice.h"
#include "json/json.h"

/* Sends `body` (NULL: none) and returns the answer's JSON, for json_free(); `*status` is its HTTP
 * status. NULL with the reason, which says how to fix it, when nobody answers on `socket_path`. */
MUST_CHECK struct json *admin_request(const char *socket_path, const char *method, const char *path,
                                      const struct json *body, unsigned *status,
                                      struct error_text *text);
/* The same with If-Match; NULL: without. */
MUST_CHECK struct json *admin_request_if(const char *socket_path, const char *method,
                                         const char *path, const char *if_match,
                                         const struct json *body, unsigned *status,
                                         struct error_text *text);
