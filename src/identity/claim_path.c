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
        if (json_type_of(found) != JSON_TYPE_OBJECT)
            return false;
        object = found;
        more = slice_has(rest, IDENTITY_CLAIM_SEPARATOR);
        found = member(object, slice_cut(&rest, IDENTITY_CLAIM_SEPARATOR));
        if (found == NULL && more)
            object = NULL;
    }
    *claim = found;
    if (siblings != NULL)
        *siblings = object;
    return true;
}
