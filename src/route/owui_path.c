/* The paths of Open WebUI 0.11: see route/owui_path.h. */
#include "route/owui_path.h"

#include "route/path.h"

/* Each with all that is below: routers of its server, then routes of its web interface. What a host
 * with a website of its own keeps comes last; the rest of /assets, fonts and pictures of the first
 * steps, is so common a name among websites that it is theirs as well. */
static const struct {
    struct slice path;
    enum owui_path kind;
} PATHS[] = {
    {{"/api", 4}, OWUI_API},
    {{"/openai", 7}, OWUI_API},
    {{"/ollama", 7}, OWUI_API},
    {{"/ws", 3}, OWUI_SOCKET},
    {{"/_app", 5}, OWUI_ASSET},
    {{"/static", 7}, OWUI_ASSET},
    {{"/cache", 6}, OWUI_ASSET},
    {{"/pyodide", 8}, OWUI_ASSET},
    {{"/themes", 7}, OWUI_ASSET},
    {{"/audio", 6}, OWUI_ASSET},
    {{"/assets/emojis", 14}, OWUI_ASSET},
    {{"/manifest.json", 14}, OWUI_ASSET},
    {{"/opensearch.xml", 15}, OWUI_ASSET},
    {{"/favicon.png", 12}, OWUI_ASSET},
    {{"/auth", 5}, OWUI_PAGE},
    {{"/oauth", 6}, OWUI_PAGE},
    {{"/c", 2}, OWUI_PAGE},
    {{"/s", 2}, OWUI_PAGE},
    {{"/home", 5}, OWUI_PAGE},
    {{"/admin", 6}, OWUI_PAGE},
    {{"/notes", 6}, OWUI_PAGE},
    {{"/watch", 6}, OWUI_PAGE},
    {{"/error", 6}, OWUI_PAGE},
    {{"/calendar", 9}, OWUI_PAGE},
    {{"/channels", 9}, OWUI_PAGE},
    {{"/workspace", 10}, OWUI_PAGE},
    {{"/playground", 11}, OWUI_PAGE},
    {{"/automations", 12}, OWUI_PAGE},
    {{"/health", 7}, OWUI_API},
    {{"/ready", 6}, OWUI_API},
    {{"/", 1}, OWUI_PAGE},
};

enum { KEPT_BY_THE_HOST = 3 };

struct slice owui_path_shared(size_t index)
{
    return index < COUNT_OF(PATHS) - KEPT_BY_THE_HOST ? PATHS[index].path : (struct slice){0};
}

enum owui_path owui_path_kind(struct slice path)
{
    for (size_t i = 0; i < COUNT_OF(PATHS); i++)
        if (path_covers(PATHS[i].path, path))
            return PATHS[i].kind;
    return OWUI_OTHER;
}

bool owui_path_is_health(struct slice path)
{
    return slice_equal(path, SLICE("/health")) || slice_equal(path, SLICE("/ready")) ||
           slice_equal(path, SLICE("/health/db"));
}
