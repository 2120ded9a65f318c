/* The admin interface: changes of tenants. Each is an edit of the tenant's file. */
#include "changes/change_operations.h"

#include "core/memory.h"
#include "sources/sources.h"
#include "tenant_edit.h"

#include <stdlib.h>

/* More than a tenant has keys. Each is a walk through the file, while nobody else is served. */
enum { STEPS_MAX = 100 };

/* One edit, with what all of them take from the request. */
static void perform(void *context, const struct admin_request *request, struct tenant_edit *edit,
                    struct admin_answer *answer)
{
    char *name = memory_copy_text(request->item);
    edit->name = name;
    edit->if_match = request->if_match;
    tenant_edit(context, edit, &request->peer, answer);
    free(name);
}

static bool has_object(const struct admin_request *request, const char *like,
                       struct admin_answer *answer)
{
    if (json_type_of(request->body) == JSON_TYPE_OBJECT)
        return true;
    admin_refuse(answer, 400, "the body must be an object: %s", like);
    return false;
}

static const char TENANT_LIKE[] =
    "{\"hosts\": [\"chat.example.com\"], \"upstream\": \"http://127.0.0.1:3000\"}";

static void add_tenant(void *context, const struct admin_request *request,
                       struct admin_answer *answer)
{
    char *file = admin_query_text(request->query, "file");
    struct tenant_edit edit = {.what = "add",
                               .kind = TENANT_ADD,
                               .value = request->body,
                               .file = file[0] != '\0' ? file : NULL};
    if (has_object(request, TENANT_LIKE, answer))
        perform(context, request, &edit, answer);
    free(file);
}

static void replace_tenant(void *context, const struct admin_request *request,
                           struct admin_answer *answer)
{
    struct tenant_edit edit = {.what = "replace", .kind = TENANT_REPLACE, .value = request->body};
    if (has_object(request, TENANT_LIKE, answer))
        perform(context, request, &edit, answer);
}

static void remove_tenant(void *context, const struct admin_request *request,
                          struct admin_answer *answer)
{
    struct tenant_edit edit = {.what = "remove", .kind = TENANT_REMOVE};
    perform(context, request, &edit, answer);
}

/* A step for each member of the body, which is an object; null removes. */
static void perform_members(void *context, const struct admin_request *request, const char *what,
                            const char *inside, struct admin_answer *answer)
{
    struct tenant_step steps[STEPS_MAX];
    struct tenant_edit edit = {.what = what, .kind = TENANT_CHANGE, .steps = steps};
    if (json_count(request->body) > STEPS_MAX) {
        admin_refuse(answer, 422, "the body has %zu keys: expected up to %d",
                     json_count(request->body), STEPS_MAX);
        return;
    }
    for (struct json_member member = {0}; json_next(request->body, &member);)
        steps[edit.step_count++] = (struct tenant_step){
            inside, member.key, json_type_of(member.value) == JSON_TYPE_NULL ? NULL : member.value};
    perform(context, request, &edit, answer);
}

static void change_tenant(void *context, const struct admin_request *request,
                          struct admin_answer *answer)
{
    if (has_object(request, "{\"upstream\": \"http://127.0.0.1:3001\", \"label\": null}", answer))
        perform_members(context, request, "change", "", answer);
}

/* -- Keys with a meaning of their own ---------------------------------------------------------- */

static void set_key(void *context, const struct admin_request *request, const char *what,
                    const char *key, const struct json *value, struct admin_answer *answer)
{
    const struct tenant_step step = {"", slice_of(key), value};
    struct tenant_edit edit = {
        .what = what, .kind = TENANT_CHANGE, .steps = &step, .step_count = 1};
    perform(context, request, &edit, answer);
}

/* What stands in the tenant's file at this moment; NULL when that cannot be read. For json_free().
 */
static struct json *definition_of(const struct live *live, struct slice name)
{
    struct sources_entry entry;
    char *text = memory_copy_text(name);
    struct json *definition = NULL;
    if (sources_find(publisher_sources(live->publisher), text, &entry))
        definition = tenant_definition(entry.file, entry.name, NULL, NULL);
    free(text);
    return definition;
}

static void suspend_tenant(void *context, const struct admin_request *request,
                           struct admin_answer *answer)
{
    struct json *empty = json_new_object();
    if (request->body == NULL || has_object(request, "{\"status\": 403}", answer))
        set_key(context, request, "suspend", "suspended",
                request->body != NULL ? request->body : empty, answer);
    json_free(empty);
}

static void resume_tenant(void *context, const struct admin_request *request,
                          struct admin_answer *answer)
{
    set_key(context, request, "resume", "suspended", NULL, answer);
}

/* A section that is not there yet: what is null is not to be there. */
static void begin_maintenance(void *context, const struct admin_request *request, const char *what,
                              struct admin_answer *answer)
{
    struct json *section = json_new_object();
    for (struct json_member member = {0}; json_next(request->body, &member);) {
        char *key = memory_copy_text(member.key);
        if (json_type_of(member.value) != JSON_TYPE_NULL)
            json_put(section, key, json_clone(member.value));
        free(key);
    }
    const struct tenant_step step = {"", SLICE("maintenance"), section};
    struct tenant_edit edit = {.what = what,
                               .kind = TENANT_CHANGE,
                               .steps = &step,
                               .step_count = json_count(section) > 0 ? 1 : 0};
    perform(context, request, &edit, answer);
    json_free(section);
}

static bool has_maintenance(const struct live *live, struct slice name)
{
    struct json *definition = definition_of(live, name);
    bool has = json_type_of(json_get(definition, "maintenance")) == JSON_TYPE_OBJECT;
    json_free(definition);
    return has;
}

/* Into what is there already, page and addresses that may pass, as far as the body says nothing
 * else. */
static void set_maintenance(void *context, const struct admin_request *request,
                            struct admin_answer *answer)
{
    bool on;
    if (!has_object(request, "{\"on\": true}", answer))
        return;
    const struct json *told = json_get(request->body, "on");
    bool plans = told == NULL && json_get(request->body, "window") != NULL;
    if (!plans && !json_read_bool(told, &on)) {
        admin_refuse(answer, 400, "the body must say \"on\": true or false, or have a \"window\"");
        return;
    }
    bool unplans = plans && json_type_of(json_get(request->body, "window")) == JSON_TYPE_NULL;
    const char *what = unplans ? "plan no maintenance of"
                       : plans ? "plan maintenance of"
                       : on    ? "maintenance of"
                               : "end of maintenance of";
    if (has_maintenance(context, request->item))
        perform_members(context, request, what, "maintenance", answer);
    else
        begin_maintenance(context, request, what, answer);
}

static void switch_version(void *context, const struct admin_request *request,
                           struct admin_answer *answer)
{
    const struct json *to = json_get(request->body, "to");
    struct slice before, after;
    if (!json_read_text(to, &after)) {
        admin_refuse(answer, 400, "the body must say which version: {\"to\": \"green\"}");
        return;
    }
    struct json *definition = definition_of(context, request->item);
    bool known = json_read_text(json_get(definition, "active"), &before);
    char *detail =
        memory_format("%s%.*s%sto %.*s", known ? "from " : "", known ? (int)before.size : 0,
                      known ? before.data : "", known ? " " : "", SLICE_PRINT(after));
    const struct tenant_step step = {"", SLICE("active"), to};
    struct tenant_edit edit = {
        .what = "switch", .detail = detail, .kind = TENANT_CHANGE, .steps = &step, .step_count = 1};
    perform(context, request, &edit, answer);
    free(detail);
    json_free(definition);
}

const struct admin_operation TENANT_CHANGE_OPERATIONS[] = {
    {"POST", "/v1/tenants/{}", add_tenant, "adds one; ?file= says where", "file"},
    {"PUT", "/v1/tenants/{}", replace_tenant, "puts another definition in its place", ""},
    {"PATCH", "/v1/tenants/{}", change_tenant, "sets some keys, removes those that are null", ""},
    {"DELETE", "/v1/tenants/{}", remove_tenant, "removes it", ""},
    {"POST", "/v1/tenants/{}/suspend", suspend_tenant, "its users get a page until it is resumed",
     ""},
    {"POST", "/v1/tenants/{}/resume", resume_tenant, "ends that", ""},
    {"POST", "/v1/tenants/{}/maintenance", set_maintenance, "begins or ends maintenance", ""},
    {"POST", "/v1/tenants/{}/switch", switch_version, "makes another version the active one", ""},
    {0},
};
