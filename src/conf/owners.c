/* Which file has what several claim: see conf/owners.h. */
#include "conf/owners.h"

#include "core/file_path.h"
#include "core/memory.h"
#include "core/whole_file.h"
#include "json/json.h"

#include <stdlib.h>

struct owners {
    struct json *root;
};

char *owners_path(const char *state_dir)
{
    return memory_format("%s/owners.json", state_dir);
}

struct owners *owners_parse(struct slice text)
{
    struct json *root = json_parse(text, OWNERS_MAX_BYTES, NULL, NULL);
    if (root == NULL)
        return NULL;
    struct owners *owners = memory_new(sizeof(*owners));
    owners->root = root;
    return owners;
}

struct owners *owners_load(const char *state_dir)
{
    char *path = state_dir != NULL ? owners_path(state_dir) : NULL, *text = NULL;
    struct owners *owners = NULL;
    size_t size;
    if (path != NULL && whole_file_read(path, OWNERS_MAX_BYTES, &text, &size, NULL) == ERROR_OK)
        owners = owners_parse(slice_from(text, size));
    free(text);
    free(path);
    return owners;
}

void owners_free(struct owners *owners)
{
    if (owners == NULL)
        return;
    json_free(owners->root);
    free(owners);
}

const char *owners_file_of(const struct tenant *tenant)
{
    return file_path_name(tenant->place.file);
}

/* Which file had it; false when nobody knows. */
static bool find(const struct owners *owners, const char *kind, struct slice name,
                 struct slice *file)
{
    if (owners == NULL)
        return false;
    char *key = memory_copy_text(name);
    bool is_known = json_read_text(json_get(json_get(owners->root, kind), key), file);
    free(key);
    return is_known;
}

static bool has(const struct owners *owners, const char *kind, struct slice name,
                const char *file_name)
{
    struct slice file;
    return find(owners, kind, name, &file) && slice_equal(file, slice_of(file_name));
}

static bool prefers(const struct owners *owners, const char *kind, struct slice name,
                    const struct tenant *first, const struct tenant *later)
{
    return has(owners, kind, name, owners_file_of(later)) &&
           strcmp(owners_file_of(first), owners_file_of(later)) != 0;
}

bool owners_prefer(void *context, const struct route_conflict *conflict)
{
    return prefers(context, "claims", conflict->key, conflict->kept, conflict->ignored);
}

bool owners_prefer_tenant(const struct owners *owners, const struct tenant *first,
                          const struct tenant *later)
{
    return prefers(owners, "tenants", slice_of(later->name), first, later);
}

bool owners_has_tenant(const struct owners *owners, const char *path, const char *name)
{
    return has(owners, "tenants", slice_of(name), file_path_name(path));
}

bool owners_another_has_tenant(const struct owners *owners, const char *path, const char *name)
{
    struct slice file;
    return find(owners, "tenants", slice_of(name), &file) &&
           !slice_equal(file, slice_of(file_path_name(path)));
}
