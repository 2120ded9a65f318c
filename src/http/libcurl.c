/* Loading libcurl: see libcurl.h. */
#include "libcurl.h"

#include "crypto/crypto.h"

#include <dlfcn.h>
#include <pthread.h>

struct libcurl libcurl;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool is_loaded;

/* POSIX has function pointers and pointers of one size, and ISO C no cast between them. */
static bool find_function(void *library, const char *name, void *place)
{
    void *found = dlsym(library, name);
    *(void **)place = found;
    return found != NULL;
}

/* The name that a linked program would ask for, looked for where those find theirs; libcurl has
 * kept this one since 2006. The library stays till the end. What fails may be for want of memory,
 * and is tried again by who asks next. */
static enum error load(struct error_text *why)
{
    crypto_set_up(); /* it asks OpenSSL for less, and goes on with what fails */
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    bool whole = library != NULL;
#define X(NAME) whole = whole && find_function(library, "curl_" #NAME, &libcurl.NAME);
    LIBCURL_FUNCTIONS(X)
#undef X
    if (!whole)
        return error_set(why, ERROR_NOT_FOUND,
                         "libcurl cannot be loaded: %s (install libcurl4, or libcurl)", dlerror());
    if (libcurl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return error_set(why, ERROR_NO_MEMORY, "libcurl does not start: out of memory");
    return ERROR_OK;
}

enum error libcurl_load(struct error_text *why)
{
    pthread_mutex_lock(&lock);
    enum error error = is_loaded ? ERROR_OK : load(why);
    is_loaded = error == ERROR_OK;
    pthread_mutex_unlock(&lock);
    return error;
}
