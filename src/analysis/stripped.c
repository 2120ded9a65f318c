/* Headers that HAProxy deletes: see analysis/stripped.h. */
#include "analysis/stripped.h"

#include "core/memory.h"
#include "core/whole_file.h"
#include "serving/haproxy_files.h"

#include <stdlib.h>

/* haproxy.cfg, as far as this is about it. */
struct stripping {
    char *path;
    bool is_ours;
    /* Members: what is deleted, in lower case, as it stands behind del-header. NULL: it cannot be
     * read. */
    struct json *deleted;
};

/* "http-request del-header NAME", on no condition. */
static struct slice deleted_name(struct slice line)
{
    static const struct slice RULE = {"http-request del-header ", 24};
    line = slice_trim(line);
    return slice_starts_with(line, RULE) ? slice_trim(slice_skip(line, RULE.size))
                                         : (struct slice){0};
}

static struct json *read_deleted(struct slice text)
{
    struct json *deleted = json_new_object();
    while (text.size > 0) {
        char *lower = memory_copy_text(deleted_name(slice_cut(&text, '\n')));
        ascii_lower_text(lower);
        if (lower[0] != '\0')
            json_put_bool(deleted, lower, true);
        free(lower);
    }
    return deleted;
}

static void stripping_read(const struct hap_config *haproxy, struct stripping *stripping)
{
    char *text;
    *stripping = (struct stripping){.path = hap_config_path(haproxy)};
    if (whole_file_read(stripping->path, HAPROXY_FILE_MAX_BYTES, &text, NULL, NULL) != ERROR_OK)
        return;
    stripping->is_ours = hap_config_is_ours(slice_of(text));
    stripping->deleted = read_deleted(slice_of(text));
    free(text);
}

static void stripping_fini(struct stripping *stripping)
{
    json_free(stripping->deleted);
    free(stripping->path);
}

/* By its name, or by how it begins. */
static bool is_deleted(const struct stripping *stripping, const char *name)
{
    static const struct slice BEGINS = {" -m beg", 7};
    char *lower = memory_copy_text(slice_of(name));
    ascii_lower_text(lower);
    bool is = json_get(stripping->deleted, lower) != NULL;
    for (struct json_member m = {0}; !is && json_next(stripping->deleted, &m);)
        is = slice_ends_with(m.key, BEGINS) &&
             slice_starts_with(slice_of(lower), slice_head(m.key, m.key.size - BEGINS.size));
    free(lower);
    return is;
}

static void warn(struct diagnostics *diagnostics, char *message)
{
    static char hint[] = "write it anew with `owui-spoa haproxy-config`, and reload HAProxy";
    const struct diagnostic diagnostic = {
        .severity = SEVERITY_WARNING,
        .message = message,
        .hint = hint,
    };
    diagnostics_add(diagnostics, &diagnostic);
    free(message);
}

/* Somebody else's file may keep a header out in ways of its own; one that is believed is refused
 * all the same, and is told of. */
static bool check_header(const struct stripping *stripping, const char *name, bool is_believed,
                         struct diagnostics *diagnostics)
{
    if (is_deleted(stripping, name))
        return true;
    if (is_believed)
        warn(diagnostics,
             memory_format("a tenant believes the header \"%s\", and %s lets clients send it: "
                           "requests to that tenant are refused with 503",
                           name, stripping->path));
    else if (stripping->is_ours && !hap_config_leaves_to_clients(slice_of(name)))
        warn(diagnostics,
             memory_format("a tenant sets the header \"%s\", and %s lets clients send it: HAProxy "
                           "before 3.4 passes on what they say, and not what the tenant says",
                           name, stripping->path));
    return false;
}

static bool is_believed(const struct hap_config *haproxy, const struct hap_header *header)
{
    for (size_t i = 0; i < haproxy->identity_header_count; i++)
        if (strcmp(haproxy->identity_headers[i], header->variable + 2) == 0)
            return true;
    return false;
}

struct json *stripped_check(const struct whole *whole, struct diagnostics *diagnostics)
{
    if (whole->configuration == NULL)
        return NULL;
    const struct hap_config *haproxy = &whole->configuration->haproxy;
    struct stripping stripping;
    struct json *names = NULL;
    stripping_read(haproxy, &stripping);
    if (stripping.deleted != NULL && haproxy->identity_header_count > 0)
        names = json_new_array();
    for (size_t i = 0; stripping.deleted != NULL && i < haproxy->header_count; i++) {
        const struct hap_header *header = &haproxy->headers[i];
        bool believed = is_believed(haproxy, header);
        if (check_header(&stripping, header->name, believed, diagnostics) && believed)
            json_append_text(names, slice_of(header->name));
    }
    stripping_fini(&stripping);
    return names;
}

void stripped_check_tenant(const struct hap_config *haproxy, const struct tenant *tenant,
                           struct diagnostics *diagnostics)
{
    struct stripping stripping;
    if (tenant->header_count == 0)
        return;
    stripping_read(haproxy, &stripping);
    for (size_t i = 0; stripping.deleted != NULL && i < tenant->header_count; i++)
        (void)check_header(&stripping, tenant->headers[i].name,
                           tenant->headers[i].value.has_identity, diagnostics);
    stripping_fini(&stripping);
}
