/* libcurl, loaded when it is needed. Thirty libraries come along with it, and five megabytes of
 * resident memory: too much for a daemon that routes and has nobody to ask.
 *
 * The package depends on it as if it were linked; that it is not there is told at start, and by
 * `check`, where the configuration needs it. */
#pragma once

#include "core/error.h"

#include <curl/curl.h>

#define LIBCURL_FUNCTIONS(X) \
    X(global_init)           \
    X(easy_init)             \
    X(easy_setopt)           \
    X(easy_getinfo)          \
    X(easy_strerror)         \
    X(easy_cleanup)          \
    X(multi_init)            \
    X(multi_setopt)          \
    X(multi_add_handle)      \
    X(multi_remove_handle)   \
    X(multi_assign)          \
    X(multi_socket_action)   \
    X(multi_info_read)       \
    X(multi_cleanup)         \
    X(slist_append)          \
    X(slist_free_all)

/* curl_NAME() is libcurl.NAME(). */
struct libcurl {
#define X(NAME) __typeof__(curl_##NAME) *NAME;
    LIBCURL_FUNCTIONS(X)
#undef X
};

/* All of it, once libcurl_load() has returned ERROR_OK. */
extern struct libcurl libcurl;

/* Loads it, and starts it, when that has not been done. Any thread. */
MUST_CHECK enum error libcurl_load(struct error_text *why);
