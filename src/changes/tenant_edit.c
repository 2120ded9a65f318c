/* One tenant's object changed in its file: see tenant_edit.h. */
#include "tenant_edit.h"

#include "agent/answer.h"
#include "analysis/stripped.h"
#include "claims.h"
#include "conf/text_file.h"
#include "core/hash.h"
#include "core/memory.h"
#include "core/utf8.h"
#include "sources/sources.h"
#include "json/json_edit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* What is at hand while one is done. */
struct editing {
    const struct live *live;
    const struct tenant_edit *edit;
    struct admin_answer *answer;
    const struct sources *sources;
    const struct configuration *configuration;
    char *path;
    char *pointer;     /* "/tenants/NAME" */
    char *block;       /* of `text` */
    struct slice text; /* the file's; empty: it is not there */
    struct file_stamp stamp;
    char *changed; /* what is to be the file's; NULL: the file is to go */
};

void tenant_etag(struct slice object, char etag[static ADMIN_ETAG_SIZE])
{
    snprintf(etag, ADMIN_ETAG_SIZE, "\"%016llx\"", (unsigned long long)hash_content(object, 0));
}

struct json *tenant_definition(const char *file, const char *name, char *etag, size_t *line)
{
    char *block = NULL;
    struct slice text;
    struct json_position place;
    struct json *definition = NULL;
    char *pointer = memory_format("/tenants/%s", name);
    if (text_file_read(file, NULL, &block, &text, NULL) == ERROR_OK &&
        json_locate(text, slice_of(pointer), JSON_PART_VALUE, &place)) {
        struct slice object = slice_from(text.data + place.offset, place.size);
        definition = json_parse(object, JSON_MAX_TEXT_BYTES, NULL, NULL);
        if (etag != NULL)
            tenant_etag(object, etag);
        if (line != NULL)
            *line = place.line;
    }
    free(pointer);
    free(block);
    return definition;
}

static bool find_object(const struct editing *editing, struct slice text, struct slice *object)
{
    struct json_position place;
    if (!json_locate(text, slice_of(editing->pointer), JSON_PART_VALUE, &place))
        return false;
    *object = slice_from(text.data + place.offset, place.size);
    return true;
}

/* -- Which file -------------------------------------------------------------------------------- */

/* Whether a name can be printed, in the log and as JSON, as what it is. */
static bool is_one_line(struct slice name)
{
    while (name.size > 0) {
        int size = utf8_judge(name);
        if (size <= 0 || (uint8_t)name.data[0] < ' ' || name.data[0] == 0x7f)
            return false;
        name = slice_skip(name, (size_t)size);
    }
    return true;
}

static bool find_new_place(struct editing *editing)
{
    const struct tenant_edit *edit = editing->edit;
    char *name = edit->file != NULL ? memory_copy_text(slice_of(edit->file))
                                    : memory_format("%s.json", edit->name);
    bool good = tenant_file_name(name) && strchr(name, '/') == NULL && strlen(name) < 200 &&
                is_one_line(slice_of(name));
    if (!good)
        admin_refuse(editing->answer, 400,
                     "\"%s\" is not a file's name in tenants_dir: UTF-8 without \"/\", line ends "
                     "and the like, no leading dot, \".json\" at its end",
                     name);
    else if (editing->configuration->tenants_dir == NULL)
        admin_refuse(editing->answer, 409, "there is no \"tenants_dir\"");
    else
        editing->path = memory_format("%s/%s", editing->configuration->tenants_dir, name);
    free(name);
    return editing->path != NULL;
}

static bool find_place(struct editing *editing)
{
    const struct tenant_edit *edit = editing->edit;
    struct sources_entry entry;
    bool is_there = sources_find(editing->sources, edit->name, &entry);
    if (!tenant_name_valid(slice_of(edit->name))) {
        admin_refuse(editing->answer, 400,
                     "\"%s\" is not a name for a tenant: up to 63 of a-z, 0-9 and, inside, \".\", "
                     "\"_\", \"-\"",
                     edit->name);
    } else if (edit->kind == TENANT_ADD) {
        if (!is_there)
            return find_new_place(editing);
        admin_refuse(editing->answer, 409, "there is a tenant \"%s\" already, in %s", edit->name,
                     entry.file);
    } else if (!is_there) {
        admin_refuse(editing->answer, 404,
                     "there is no tenant \"%s\"; `owui-spoa tenants` lists them", edit->name);
    } else if (strcmp(entry.file, editing->configuration->path) == 0) {
        admin_refuse(editing->answer, 409,
                     "tenant \"%s\" stands in the global file %s, which the service does not "
                     "write: move it to a file of tenants_dir",
                     edit->name, entry.file);
    } else {
        editing->path = memory_copy_text(slice_of(entry.file));
    }
    return editing->path != NULL;
}

/* None of our own ETags has a comma in it (RFC 9110 13.1.1). */
static bool lists(struct slice etags, struct slice wanted)
{
    while (etags.size > 0)
        if (slice_equal(slice_trim(slice_cut(&etags, ',')), wanted))
            return true;
    return false;
}

/* A file that is to be added to need not be there yet. */
static bool read_place(struct editing *editing)
{
    const struct tenant_edit *edit = editing->edit;
    struct error_text why;
    struct slice object;
    char etag[ADMIN_ETAG_SIZE];
    editing->stamp = file_stamp_read(editing->path);
    if (edit->kind == TENANT_ADD && file_stamp_is_none(&editing->stamp) && errno == ENOENT)
        return true;
    if (text_file_read(editing->path, NULL, &editing->block, &editing->text, &why) != ERROR_OK) {
        admin_refuse(editing->answer, 409, "%s", why.text);
        return false;
    }
    struct json *root = json_parse(editing->text, JSON_MAX_TEXT_BYTES, NULL, &why);
    if (root == NULL) {
        admin_refuse(editing->answer, 409, "%s has to be mended first: %s", editing->path,
                     why.text);
        return false;
    }
    json_free(root);
    bool is_there = find_object(editing, editing->text, &object);
    if (edit->kind == TENANT_ADD && is_there) {
        admin_refuse(editing->answer, 409, "there is a tenant \"%s\" already, in %s", edit->name,
                     editing->path);
        return false;
    }
    if (edit->kind != TENANT_ADD && !is_there) {
        admin_refuse(editing->answer, 409, "%s has just been changed: try again", editing->path);
        return false;
    }
    if (edit->if_match.size == 0 || slice_equal(edit->if_match, SLICE("*")) || !is_there)
        return true;
    tenant_etag(object, etag);
    if (lists(edit->if_match, slice_of(etag)))
        return true;
    admin_refuse(editing->answer, 412,
                 "tenant \"%s\" has been changed since you looked at it: look again, and send the "
                 "ETag that it has now",
                 edit->name);
    return false;
}

/* -- What it is to say ------------------------------------------------------------------------- */

static char *new_file(const struct tenant_edit *edit)
{
    struct json *root = json_new_object();
    struct json *tenants = json_new_object();
    json_put(tenants, edit->name, json_clone(edit->value));
    json_put(root, "tenants", tenants);
    char *text = json_print(root, JSON_STYLE_INDENTED);
    json_free(root);
    return text;
}

/* Takes `text`. NULL when the step cannot be done. */
static char *apply_step(const struct editing *editing, char *text, const struct tenant_step *step)
{
    char *pointer = step->inside[0] == '\0'
                        ? memory_copy_text(slice_of(editing->pointer))
                        : json_edit_pointer(slice_of(editing->pointer), slice_of(step->inside));
    struct slice whole = slice_of(text);
    char *path = json_edit_pointer(slice_of(pointer), step->key);
    struct json_position place;
    char *changed = NULL;
    if (step->value != NULL)
        changed = json_edit_set(whole, slice_of(pointer), step->key, step->value);
    else if (json_locate(whole, slice_of(path), JSON_PART_VALUE, &place))
        changed = json_edit_remove(whole, slice_of(pointer), step->key);
    else
        changed = memory_copy_text(whole);
    free(path);
    free(pointer);
    free(text);
    return changed;
}

static char *apply_steps(const struct editing *editing)
{
    char *text = memory_copy_text(editing->text);
    for (size_t i = 0; text != NULL && i < editing->edit->step_count; i++)
        text = apply_step(editing, text, &editing->edit->steps[i]);
    return text;
}

/* A file that was this tenant's alone, and says nothing else, goes with it. */
static bool is_empty(const struct editing *editing)
{
    char *own = memory_format("/%s.json", editing->edit->name);
    struct json *root = json_parse(slice_of(editing->changed), JSON_MAX_TEXT_BYTES, NULL, NULL);
    bool empty = root != NULL && json_count(root) == 1 &&
                 json_count(json_get(root, "tenants")) == 0 &&
                 slice_ends_with(slice_of(editing->path), slice_of(own));
    json_free(root);
    free(own);
    return empty;
}

static bool make_text(struct editing *editing)
{
    const struct tenant_edit *edit = editing->edit;
    struct slice name = slice_of(edit->name);
    switch (edit->kind) {
    case TENANT_ADD:
    case TENANT_REPLACE:
        editing->changed = editing->block == NULL
                               ? new_file(edit)
                               : json_edit_set(editing->text, SLICE("/tenants"), name, edit->value);
        break;
    case TENANT_CHANGE: editing->changed = apply_steps(editing); break;
    case TENANT_REMOVE:
        editing->changed = json_edit_remove(editing->text, SLICE("/tenants"), name);
        break;
    }
    if (editing->changed != NULL)
        return true;
    admin_refuse(editing->answer, 409,
                 "%s has no \"tenants\" object, or what is to be changed in "
                 "it is not an object",
                 editing->path);
    return false;
}

/* -- Whether it is right ------------------------------------------------------------------------
 */

static bool is_another(void *context, struct slice name, uint64_t text_hash)
{
    const struct tenant_edit *edit = context;
    (void)text_hash;
    return !slice_equal(name, slice_of(edit->name));
}

static bool has_claim(const struct tenant *tenant, const struct claim *wanted)
{
    struct claim claim;
    for (size_t i = 0; tenant != NULL && claim_of(tenant, i, &claim); i++)
        if (claim.wildcard == wanted->wildcard && slice_equal(claim.host, wanted->host) &&
            slice_equal(claim.prefix, wanted->prefix))
            return true;
    return false;
}

/* Nobody else has its hosts and paths, but those that it claims in vain already. */
static bool claims_are_free(const struct editing *editing, const struct tenant *tenant)
{
    const struct snapshot *snapshot = publisher_snapshot(editing->live->publisher);
    struct slice name = slice_of(editing->edit->name);
    const struct tenant *present = route_table_tenant(snapshot->table, name);
    struct claim claim;
    for (size_t i = 0; claim_of(tenant, i, &claim); i++) {
        const struct tenant *holder = claim_holder(snapshot, &claim);
        if (holder == NULL || strcmp(holder->name, editing->edit->name) == 0 ||
            has_claim(present, &claim))
            continue;
        char *text = claim_text(&claim);
        admin_refuse(editing->answer, 409, "%s belongs to tenant \"%s\" (%s:%u) already", text,
                     holder->name, holder->place.file, holder->place.line);
        free(text);
        return false;
    }
    return true;
}

static void refuse_with(const struct editing *editing, const struct diagnostics *diagnostics)
{
    const char *first = "the tenant is wrong";
    struct json *problems = json_new_array();
    for (size_t i = diagnostics->count; i-- > 0;)
        if (diagnostics->items[i].severity == SEVERITY_ERROR)
            first = diagnostics->items[i].message;
    for (size_t i = 0; i < diagnostics->count; i++)
        json_append(problems, diagnostic_json(&diagnostics->items[i]));
    admin_refuse(editing->answer, 422, "%s", first);
    json_put(editing->answer->body, "problems", problems);
}

/* With the parser that will read the file. */
static bool check_text(const struct editing *editing)
{
    const struct known_tenants others = {is_another, (void *)(uintptr_t)editing->edit};
    struct tenant_file file = {0};
    struct diagnostics diagnostics = {0};
    struct error_text why;
    bool good = false;
    tenant_text_load_news(editing->path, slice_of(editing->changed), editing->configuration,
                          &others, &file, &diagnostics);
    struct tenant *tenant = NULL;
    for (size_t i = 0; i < file.tenant_count; i++)
        if (strcmp(file.tenants[i]->name, editing->edit->name) == 0)
            tenant = file.tenants[i];
    if (editing->edit->kind == TENANT_REMOVE && !file.unreadable)
        good = true;
    else if (tenant == NULL)
        refuse_with(editing, &diagnostics);
    else if (answer_prepare(tenant, &why) != ERROR_OK)
        admin_refuse(editing->answer, 422, "tenant \"%s\": %s", editing->edit->name, why.text);
    else
        good = claims_are_free(editing, tenant);
    tenant_file_fini(&file);
    diagnostics_fini(&diagnostics);
    return good;
}

/* -- Doing it ---------------------------------------------------------------------------------- */

static bool write_text(const struct editing *editing)
{
    struct error_text why;
    enum error error = ERROR_OK;
    if (editing->edit->kind != TENANT_REMOVE || !is_empty(editing))
        error = tenant_file_write(editing->path, slice_of(editing->changed), &editing->stamp, &why);
    else
        error = tenant_file_remove(editing->path, &editing->stamp, &why);
    if (error == ERROR_OK)
        return true;
    admin_refuse(editing->answer, tenant_file_status(error), "nothing is changed: %s", why.text);
    return false;
}

/* Where nothing is changed because somebody else has done it, that is read: what is told is in
 * force. */
static void publish_as_found(const struct editing *editing)
{
    if (!sources_have_read(editing->sources, editing->path, &editing->text))
        publisher_files_changed(editing->live->publisher, &editing->path, 1);
}

static void publish(const struct editing *editing, const struct admin_peer *peer)
{
    char *who = live_who(peer);
    const struct tenant_edit *edit = editing->edit;
    char *what =
        memory_format("%s tenant %s%s%s", edit->what, edit->name, edit->detail != NULL ? " " : "",
                      edit->detail != NULL ? edit->detail : "");
    const struct origin origin = {.by = "admin", .who = who, .what = what};
    publisher_files_written(editing->live->publisher, &editing->path, 1, &origin);
    free(what);
    free(who);
}

/* What is in force, and not yet all that HAProxy has to know of it. */
static void put_warnings(const struct editing *editing, const struct tenant *tenant,
                         struct json *body)
{
    struct diagnostics diagnostics = {0};
    stripped_check_tenant(&editing->configuration->haproxy, tenant, &diagnostics);
    struct json *warnings = diagnostics.count > 0 ? json_new_array() : NULL;
    for (size_t i = 0; i < diagnostics.count; i++)
        json_append(warnings, diagnostic_json(&diagnostics.items[i]));
    if (warnings != NULL)
        json_put(body, "warnings", warnings);
    diagnostics_fini(&diagnostics);
}

static void tell(const struct editing *editing, bool changed)
{
    struct json *body = admin_answer_body(editing->answer);
    struct sources_entry entry;
    struct slice object;
    json_put_text(body, "tenant", slice_of(editing->edit->name));
    json_put_bool(body, "changed", changed);
    json_put_text(body, "file", slice_of(editing->path));
    live_put_generation(body, editing->live);
    if (editing->edit->kind == TENANT_REMOVE)
        return;
    if (sources_find(editing->sources, editing->edit->name, &entry)) {
        json_put_text(body, "state", slice_of(sources_state_name(entry.state)));
        if (entry.tenant != NULL)
            put_warnings(editing, entry.tenant, body);
    }
    if (find_object(editing, slice_of(editing->changed), &object)) {
        tenant_etag(object, editing->answer->etag);
        json_put_text(body, "etag", slice_of(editing->answer->etag));
    }
    if (editing->edit->kind == TENANT_ADD)
        editing->answer->status = 201;
}

void tenant_edit(const struct live *live, const struct tenant_edit *edit,
                 const struct admin_peer *peer, struct admin_answer *answer)
{
    struct editing editing = {
        .live = live,
        .edit = edit,
        .answer = answer,
        .sources = publisher_sources(live->publisher),
        .configuration = publisher_configuration(live->publisher),
        .pointer = memory_format("/tenants/%s", edit->name),
    };
    if (!live->serving) {
        admin_refuse(answer, 503, "the daemon is starting or stopping");
    } else if (find_place(&editing) && read_place(&editing) && make_text(&editing) &&
               check_text(&editing)) {
        bool changed = !slice_equal(slice_of(editing.changed), editing.text);
        if (!changed || write_text(&editing)) {
            if (changed)
                publish(&editing, peer);
            else
                publish_as_found(&editing);
            tell(&editing, changed);
        }
    }
    free(editing.changed);
    free(editing.block);
    free(editing.path);
    free(editing.pointer);
}
