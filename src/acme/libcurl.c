/* Loading libcurl: see libcurl.h. */
#include "libcurl.h"

#include <dlfcn.h>
#include <pthread.h>

struct libcurl libcurl;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static enum error outcome;
static struct error_text reason;

/* POSIX has function pointers and pointers of one size, and ISO C no cast between them. */
static bool find_function(void *library, const char *name, void *place)
{
    void *found = dlsym(library, name);
    *(void **)place = found;
    return found != NULL;
}

/* The name that a linked program would ask for, looked for where those find theirs; libcurl has
 * kept this one since 2006. The library stays till the end. */
static void load(void)
{
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    bool whole = library != NULL;
#define X(NAME) whole = whole && find_function(library, "curl_" #NAME, &libcurl.NAME);
    LIBCURL_FUNCTIONS(X)
#undef X
    if (!whole)
        outcome =
            error_set(&reason, ERROR_NOT_FOUND,
                      "libcurl cannot be loaded: %s (install libcurl4, or libcurl)", dlerror());
    else if (libcurl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        outcome = error_set(&reason, ERROR_NO_MEMORY, "libcurl does not start");
}

enum error libcurl_load(struct error_text *why)
{
    pthread_once(&once, load);
    return outcome == ERROR_OK ? ERROR_OK : error_set(why, outcome, "%s", reason.text);
}
