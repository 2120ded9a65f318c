/* Paths of claims: see claim_path.h. */
#include "claim_path.h"

#include "route/identity.h"

static const struct json *member(const struct json *object, struct slice name)
{
    for (struct json_member m = {0}; json_next(object, &m);)
        if (slice_equal(m.key, name))
            return json_type_of(m.value) == JSON_TYPE_NULL ? NULL : m.value;
    return NULL;
}

bool claim_path_find(const struct json *claims, const char *path, const struct json **claim,
                     const struct json **siblings)
{
    struct slice rest = slice_of(path);
    const struct json *object = NULL, *found = claims;
    for (bool more = true; more && found != NULL;) {
        const char *end =
            rest.size > 0 ? memchr(rest.data, IDENTITY_CLAIM_SEPARATOR, rest.size) : NULL;
        size_t size = end != NULL ? (size_t)(end - rest.data) : rest.size;
        if (json_type_of(found) != JSON_TYPE_OBJECT)
            return false;
        object = found;
        found = member(object, slice_head(rest, size));
        more = end != NULL;
        rest = slice_skip(rest, more ? size + 1 : size);
        if (found == NULL && more)
            object = NULL;
    }
    *claim = found;
    if (siblings != NULL)
        *siblings = object;
    return true;
}
