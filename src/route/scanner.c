/* Paths of scanners: see route/scanner.h. */
#include "route/scanner.h"

/* What Open WebUI serves files and API calls below, whose names are its users'. */
static const char *const OWN_TREES[] = {"api",    "_app",  "static",  "ws",    "ollama",
                                        "openai", "cache", "pyodide", "oauth", "assets"};

static const char *const PRODUCTS[] = {
    "wp-admin", "wp-content", "wp-includes", "wp-json",   "wordpress",     "phpmyadmin",
    "pma",      "adminer",    "cgi-bin",     "actuator",  "server-status", "boaform",
    "hnap1",    "solr",       "_ignition",   "_profiler", "owa",           "autodiscover",
};

static const char *const ENDINGS[] = {".php",  ".phtml", ".asp", ".aspx", ".jsp",
                                      ".jspx", ".cgi",   ".sql", ".bak"};

static bool is_one_of(struct slice segment, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (slice_equal_nocase(segment, slice_of(names[i])))
            return true;
    return false;
}

static bool ends_like_a_script(struct slice segment)
{
    for (size_t i = 0; i < COUNT_OF(ENDINGS); i++) {
        struct slice ending = slice_of(ENDINGS[i]);
        if (segment.size > ending.size &&
            slice_equal_nocase(slice_skip(segment, segment.size - ending.size), ending))
            return true;
    }
    return false;
}

/* A segment without a dot, as most are, is passed over quickly. */
static bool is_odd(struct slice segment)
{
    if (!slice_has(segment, '.'))
        return false;
    if (segment.data[0] == '.')
        return !slice_equal(segment, SLICE(".well-known"));
    return ends_like_a_script(segment);
}

/* Takes the next segment off `path`, which begins with a slash or is empty. */
static struct slice next_segment(struct slice *path)
{
    struct slice rest = slice_skip(*path, 1);
    struct slice segment = slice_before(rest, '/');
    *path = slice_skip(rest, segment.size);
    return segment;
}

bool path_is_scanners(struct slice path)
{
    if (path.size < 2 || path.data[0] != '/')
        return false;
    struct slice segment = next_segment(&path);
    if (is_one_of(segment, OWN_TREES, COUNT_OF(OWN_TREES)))
        return false;
    if (is_one_of(segment, PRODUCTS, COUNT_OF(PRODUCTS)))
        return true;
    while (!is_odd(segment)) {
        if (path.size == 0)
            return false;
        segment = next_segment(&path);
    }
    return true;
}
