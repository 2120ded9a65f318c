/* The paths of Open WebUI 0.11: see route/owui_path.h. */
#include "route/owui_path.h"

/* By their first segment: routers of its server, then routes of its web interface. */
static const struct {
    struct slice segment;
    enum owui_path kind;
} PATHS[] = {
    {{"api", 3}, OWUI_API},
    {{"openai", 6}, OWUI_API},
    {{"ollama", 6}, OWUI_API},
    {{"health", 6}, OWUI_API},
    {{"ready", 5}, OWUI_API},
    {{"ws", 2}, OWUI_SOCKET},
    {{"_app", 4}, OWUI_ASSET},
    {{"static", 6}, OWUI_ASSET},
    {{"cache", 5}, OWUI_ASSET},
    {{"pyodide", 7}, OWUI_ASSET},
    {{"themes", 6}, OWUI_ASSET},
    {{"audio", 5}, OWUI_ASSET},
    {{"manifest.json", 13}, OWUI_ASSET},
    {{"opensearch.xml", 14}, OWUI_ASSET},
    {{"favicon.png", 11}, OWUI_ASSET},
    {{"", 0}, OWUI_PAGE},
    {{"auth", 4}, OWUI_PAGE},
    {{"oauth", 5}, OWUI_PAGE},
    {{"c", 1}, OWUI_PAGE},
    {{"s", 1}, OWUI_PAGE},
    {{"home", 4}, OWUI_PAGE},
    {{"admin", 5}, OWUI_PAGE},
    {{"notes", 5}, OWUI_PAGE},
    {{"watch", 5}, OWUI_PAGE},
    {{"error", 5}, OWUI_PAGE},
    {{"channels", 8}, OWUI_PAGE},
    {{"workspace", 9}, OWUI_PAGE},
    {{"playground", 10}, OWUI_PAGE},
};

enum owui_path owui_path_kind(struct slice path)
{
    if (path.size == 0 || path.data[0] != '/')
        return OWUI_OTHER;
    path = slice_skip(path, 1);
    const char *slash = path.size > 0 ? memchr(path.data, '/', path.size) : NULL;
    struct slice segment = slash != NULL ? slice_head(path, (size_t)(slash - path.data)) : path;
    for (size_t i = 0; i < COUNT_OF(PATHS); i++)
        if (slice_equal(segment, PATHS[i].segment))
            return PATHS[i].kind;
    return OWUI_OTHER;
}
