/* Files as they were, read before they are written: see rollback_check.h. */
#include "rollback_check.h"

#include "agent/answer.h"
#include "claims.h"
#include "history_shared.h"

#include <stdlib.h>

/* A tenant of the global file, which is not the service's to write: it keeps what it has. */
static bool is_global(const struct live *live, const struct tenant *tenant)
{
    const struct configuration *configuration = publisher_configuration(live->publisher);
    return tenant->place.file != NULL && strcmp(tenant->place.file, configuration->path) == 0;
}

/* What of the tenant the global file has given to another one since. */
static void find_taken(const struct live *live, const struct tenant *tenant,
                       struct diagnostics *diagnostics)
{
    const struct snapshot *snapshot = publisher_snapshot(live->publisher);
    const struct tenant *namesake = route_table_tenant(snapshot->table, slice_of(tenant->name));
    struct claim claim;
    if (namesake != NULL && is_global(live, namesake)) {
        diagnostics_add_name_taken(diagnostics, namesake, tenant);
        return;
    }
    for (size_t i = 0; claim_of(tenant, i, &claim); i++) {
        const struct tenant *holder = claim_holder(snapshot, &claim);
        if (holder == NULL || !is_global(live, holder))
            continue;
        char *text = claim_text(&claim);
        diagnostics_add_conflict(diagnostics, &(struct route_conflict){.kept = holder,
                                                                       .ignored = tenant,
                                                                       .kept_place = holder->place,
                                                                       .ignored_place = claim.place,
                                                                       .key = slice_of(text)});
        free(text);
    }
}

/* All that is wrong with a file of this text. */
static void find_wrong(const struct live *live, const char *path, struct slice text,
                       struct diagnostics *diagnostics)
{
    struct tenant_file file;
    struct error_text why;
    tenant_text_load_news(path, text, publisher_configuration(live->publisher), NULL, &file,
                          diagnostics);
    for (size_t i = 0; i < file.tenant_count; i++) {
        if (answer_prepare(file.tenants[i], &why) != ERROR_OK)
            diagnostics_add_code(diagnostics, CODE_ANSWER_TOO_BIG, &file.tenants[i]->place, NULL,
                                 "tenant \"%s\": %s", file.tenants[i]->name, why.text);
        find_taken(live, file.tenants[i], diagnostics);
    }
    tenant_file_fini(&file);
}

static bool has_message(const struct diagnostics *diagnostics, const char *message)
{
    for (size_t i = 0; i < diagnostics->count; i++)
        if (strcmp(diagnostics->items[i].message, message) == 0)
            return true;
    return false;
}

/* The first error that the file does not have already; NULL: none. A tenant that has been wrong all
 * the time does not stand in the way of the others. */
static const struct diagnostic *first_new(const struct live *live, const char *path,
                                          const struct diagnostics *found)
{
    const struct diagnostic *first = NULL;
    struct diagnostics known = {0};
    struct bytes present;
    if (found->errors > 0 && history_read_present(path, &present)) {
        find_wrong(live, path, bytes_slice(&present), &known);
        bytes_free(&present);
    }
    for (size_t i = 0; first == NULL && i < found->count; i++)
        if (found->items[i].severity == SEVERITY_ERROR &&
            !has_message(&known, found->items[i].message))
            first = &found->items[i];
    diagnostics_fini(&known);
    return first;
}

static void refuse(const struct diagnostic *first, const struct diagnostics *found,
                   struct admin_answer *answer)
{
    struct json *problems = json_new_array();
    char *text = diagnostic_print(first);
    text[strcspn(text, "\n")] = '\0'; /* place, code and message */
    admin_refuse(answer, 422,
                 "nothing is changed, because the file as it was would not be right today: %s%s%s",
                 text, first->hint != NULL ? ", " : "", first->hint != NULL ? first->hint : "");
    free(text);
    for (size_t i = 0; i < found->count; i++)
        json_append(problems, diagnostic_json(&found->items[i]));
    json_put(answer->body, "problems", problems);
}

bool rollback_check(const struct live *live, const char *path, struct slice text,
                    struct admin_answer *answer)
{
    struct diagnostics found = {0};
    find_wrong(live, path, text, &found);
    const struct diagnostic *first = first_new(live, path, &found);
    if (first != NULL)
        refuse(first, &found, answer);
    diagnostics_fini(&found);
    return first == NULL;
}
