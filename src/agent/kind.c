/* Kinds of paths: see kind.h. */
#include "kind.h"

enum owui_path kind_of(const struct decision *decision)
{
    const struct path_rule *rule = decision->match.path;
    bool has_prefix = rule != NULL && rule->mode != PATH_ROOT_SHARE;
    return owui_path_kind(has_prefix ? path_behind(decision->path, rule->segments)
                                     : decision->path);
}

bool kind_is_page(const struct decision *decision)
{
    enum owui_path kind = kind_of(decision);
    return kind == OWUI_PAGE || kind == OWUI_OTHER;
}
