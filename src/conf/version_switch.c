/* The text of a file with another version active: see conf/version_switch.h. */
#include "conf/version_switch.h"

#include "core/memory.h"
#include "route/tenant.h"
#include "json/json.h"

#include <stdlib.h>

/* Where the name of the active version stands. False, with the reason, when `version` cannot be
 * it. */
static bool find_place(struct slice text, const struct json *root, struct slice tenant,
                       struct slice version, struct json_position *place, struct error_text *why)
{
    char *tenant_key = memory_copy_text(tenant);
    char *version_key = memory_copy_text(version);
    char *pointer = memory_format("/tenants/%s/active", tenant_key);
    const struct json *found = json_get(json_get(root, "tenants"), tenant_key);
    bool good = false;
    if (found == NULL)
        error_set(why, ERROR_INVALID, "there is no tenant \"%s\" in the file", tenant_key);
    else if (json_get(json_get(found, "versions"), version_key) == NULL)
        error_set(why, ERROR_INVALID, "tenant \"%s\" has no version \"%s\"", tenant_key,
                  version_key);
    else if (!json_locate(text, slice_of(pointer), JSON_PART_VALUE, place))
        error_set(why, ERROR_INVALID, "tenant \"%s\" has no \"active\"", tenant_key);
    else
        good = true;
    free(tenant_key);
    free(version_key);
    free(pointer);
    return good;
}

char *version_switch_text(struct slice text, struct slice tenant, struct slice version,
                          char **before, struct error_text *why)
{
    struct json_position place;
    char *changed = NULL;
    /* Such names stand in JSON as they are. */
    if (!tenant_name_valid(tenant) || !tenant_name_valid(version)) {
        error_set(why, ERROR_INVALID, "\"%.*s\" or \"%.*s\" is not a name", SLICE_PRINT(tenant),
                  SLICE_PRINT(version));
        return NULL;
    }
    struct json *root = json_parse(text, JSON_MAX_TEXT_BYTES, NULL, why);
    if (root != NULL && find_place(text, root, tenant, version, &place, why)) {
        struct slice head = slice_head(text, place.offset);
        struct slice rest = slice_skip(text, place.offset + place.size);
        char *key = memory_copy_text(tenant);
        struct slice active = {0};
        if (json_read_text(json_get(json_get(json_get(root, "tenants"), key), "active"), &active)) {
            changed = memory_format("%.*s\"%.*s\"%.*s", SLICE_PRINT(head), SLICE_PRINT(version),
                                    SLICE_PRINT(rest));
            *before = memory_copy_text(active);
        } else {
            error_set(why, ERROR_INVALID, "\"active\" of tenant \"%s\" is not a name", key);
        }
        free(key);
    }
    json_free(root);
    return changed;
}
