/* Kinds of paths: see kind.h. */
#include "kind.h"

struct slice kind_path(const struct decision *decision)
{
    const struct route_match *match = &decision->match;
    bool has_prefix = match->path != NULL && match->path_mode != PATH_ROOT_SHARE;
    return has_prefix ? path_behind(decision->path, match->path_segments) : decision->path;
}

enum owui_path kind_of(const struct decision *decision)
{
    return owui_path_kind(kind_path(decision));
}

bool kind_is_page(const struct decision *decision)
{
    enum owui_path kind = kind_of(decision);
    return kind == OWUI_PAGE || kind == OWUI_OTHER;
}
