/* Headers that HAProxy deletes: see stripped.h. */
#include "stripped.h"

#include "core/memory.h"
#include "serving/haproxy_files.h"

#include <stdio.h>
#include <stdlib.h>

/* Members: the names that tenants believe. */
static void add_names(void *context, const struct tenant *tenant)
{
    struct json *believed = context;
    for (size_t i = 0; i < tenant->header_count; i++)
        if (tenant->headers[i].value.has_identity)
            json_put_bool(believed, tenant->headers[i].name, true);
}

/* "http-request del-header NAME", on no condition. */
static struct slice deleted_name(const char *line)
{
    static const char RULE[] = "http-request del-header ";
    line += strspn(line, " \t");
    if (strncmp(line, RULE, sizeof(RULE) - 1) != 0)
        return (struct slice){0};
    struct slice rest = slice_trim(slice_of(line + sizeof(RULE) - 1));
    rest.size -= rest.size > 0 && rest.data[rest.size - 1] == '\n';
    return slice_trim(rest);
}

/* Members: what the file deletes, in lower case; NULL when it cannot be read. */
static struct json *read_deleted(const char *path)
{
    FILE *file = fopen(path, "re");
    struct json *deleted = file != NULL ? json_new_object() : NULL;
    char *line = NULL;
    size_t size = 0;
    while (file != NULL && getline(&line, &size, file) >= 0) {
        struct slice name = deleted_name(line);
        char *lower = memory_copy_text(name);
        ascii_lower_text(lower);
        if (name.size > 0)
            json_put_bool(deleted, lower, true);
        free(lower);
    }
    free(line);
    if (file != NULL)
        fclose(file);
    return deleted;
}

static void warn(struct diagnostics *diagnostics, const char *path, const char *name)
{
    static char hint[] = "write it anew with `owui-spoa haproxy-config`, and reload HAProxy";
    char *message =
        memory_format("a tenant believes the header \"%s\", and %s lets clients send it: "
                      "requests to that tenant are refused with 503",
                      name, path);
    const struct diagnostic diagnostic = {
        .severity = SEVERITY_WARNING,
        .message = message,
        .hint = hint,
    };
    diagnostics_add(diagnostics, &diagnostic);
    free(message);
}

struct json *stripped_check(const struct whole *whole, struct diagnostics *diagnostics)
{
    if (whole->configuration == NULL)
        return NULL;
    char *path = haproxy_files_path(&whole->configuration->haproxy);
    struct json *believed = json_new_object();
    struct json *names = NULL;
    route_table_each_tenant(whole->table, add_names, believed);
    struct json *deleted = json_count(believed) > 0 ? read_deleted(path) : NULL;
    if (deleted != NULL)
        names = json_new_array();
    for (struct json_member m = {0}; deleted != NULL && json_next(believed, &m);) {
        char *name = memory_copy_text(m.key);
        char *lower = memory_copy_text(m.key);
        ascii_lower_text(lower);
        if (json_get(deleted, lower) != NULL)
            json_append_text(names, m.key);
        else
            warn(diagnostics, path, name);
        free(lower);
        free(name);
    }
    json_free(deleted);
    json_free(believed);
    free(path);
    return names;
}
