/* The admin interface: what reads all files. See admin_files.h.
 *
 * No path comes in by a request: what is read is what the daemon reads anyway, and a definition
 * that is to be tried is in the body. */
#include "analysis/admin_files.h"

#include "analysis/replay.h"
#include "check.h"
#include "core/memory.h"
#include "diff.h"
#include "haproxy_config.h"

#include <stdlib.h>

struct admin_files {
    struct admin_desk *desk;
    char *path;  /* of the global file */
    char *trace; /* the file where decisions are recorded; NULL: they are not */
    atomic_bool give_up;
};

/* -- What is common ---------------------------------------------------------------------------- */

/* Errors only: what is worth a warning stood in the way of nobody. */
static struct json *errors_of(const struct diagnostics *diagnostics)
{
    struct json *list = json_new_array();
    for (size_t i = 0; i < diagnostics->count; i++)
        if (diagnostics->items[i].severity == SEVERITY_ERROR)
            json_append(list, diagnostic_json(&diagnostics->items[i]));
    return list;
}

static void refuse_with(struct admin_answer *answer, const char *reason,
                        const struct diagnostics *diagnostics)
{
    admin_refuse(answer, 422, "%s", reason);
    json_put(answer->body, "problems", errors_of(diagnostics));
}

/* Whatever came of it: not all has been read. */
static bool was_given_up(const struct admin_files *files, struct admin_answer *answer)
{
    if (!atomic_load(&files->give_up))
        return false;
    admin_refuse(answer, 503, "the daemon is stopping");
    return true;
}

/* A file of tenants that is to be tried, from the body and "?file=". False with the refusal. */
struct attempt {
    char *file;
    char *text;
};

static bool attempt_read(struct attempt *attempt, const struct admin_request *request,
                         struct admin_answer *answer)
{
    *attempt = (struct attempt){.file = admin_query_text(request->query, "file"),
                                .text = json_print(request->body, JSON_STYLE_INDENTED)};
    if (tenant_file_name(attempt->file) && strchr(attempt->file, '/') == NULL)
        return true;
    admin_refuse(
        answer, 400,
        "the body is what a file of tenants.d is to say, and ?file=sales.json tells which: "
        "a name that ends in .json, without a folder");
    return false;
}

static void attempt_fini(struct attempt *attempt)
{
    free(attempt->file);
    free(attempt->text);
}

static struct whole_changes changes_of(struct admin_files *files, const struct attempt *attempt)
{
    return (struct whole_changes){
        .file = attempt->file,
        .text = attempt->text != NULL ? slice_of(attempt->text) : (struct slice){0},
        .give_up = &files->give_up,
    };
}

/* -- The questions ----------------------------------------------------------------------------- */

static void check_files(void *context, const struct admin_request *request,
                        struct admin_answer *answer)
{
    const struct admin_files *files = context;
    (void)request;
    answer->body = check_json(files->path, &files->give_up);
    (void)was_given_up(files, answer);
}

static void diff_files(void *context, const struct admin_request *request,
                       struct admin_answer *answer)
{
    struct admin_files *files = context;
    struct diagnostics before = {0}, after = {0};
    struct attempt attempt = {0};
    if (request->body == NULL) {
        admin_refuse(answer, 400,
                     "the body is what a file of tenants is to say: "
                     "{\"tenants\": {\"sales\": {...}}}");
        return;
    }
    if (attempt_read(&attempt, request, answer)) {
        const struct diff_wish wish = {
            .before = files->path, .after = files->path, .changes = changes_of(files, &attempt)};
        answer->body = diff_json(&wish, &before, &after);
        if (answer->body != NULL)
            json_put(answer->body, "problems", errors_of(&after));
        else
            refuse_with(answer, "the configuration cannot serve", &after);
        (void)was_given_up(files, answer);
    }
    attempt_fini(&attempt);
    diagnostics_fini(&before);
    diagnostics_fini(&after);
}

static void replay_trace(void *context, const struct admin_request *request,
                         struct admin_answer *answer)
{
    struct admin_files *files = context;
    struct diagnostics diagnostics = {0};
    struct attempt attempt = {0};
    struct error_text why;
    if (files->trace == NULL) {
        admin_refuse(answer, 409,
                     "no decisions are recorded: \"trace\" in the global file has no "
                     "\"file\"");
        return;
    }
    bool tries = request->body != NULL || admin_query_value(request->query, "file").size > 0;
    if (tries && request->body == NULL) {
        admin_refuse(answer, 400, "there is no body, which would be what ?file= is to say");
        return;
    }
    if (!tries || attempt_read(&attempt, request, answer)) {
        const struct whole_changes changes = changes_of(files, &attempt);
        answer->body = replay_json(files->trace, files->path, &changes, &diagnostics, &why);
        if (answer->body != NULL)
            json_put(answer->body, "problems", errors_of(&diagnostics));
        else
            refuse_with(answer, why.text[0] != '\0' ? why.text : "the configuration cannot serve",
                        &diagnostics);
        (void)was_given_up(files, answer);
    }
    attempt_fini(&attempt);
    diagnostics_fini(&diagnostics);
}

static void show_haproxy_config(void *context, const struct admin_request *request,
                                struct admin_answer *answer)
{
    struct admin_files *files = context;
    struct slice version = admin_query_value(request->query, "for");
    struct haproxy_config_wish wish = {
        .path = files->path,
        .version = HAP_ANY,
        .spoe = slice_equal(admin_query_value(request->query, "spoe"), SLICE("1")),
        .force = slice_equal(admin_query_value(request->query, "force"), SLICE("1")),
        .give_up = &files->give_up,
    };
    struct diagnostics diagnostics = {0};
    struct error_text why;
    if (version.size > 0 && !hap_version_parse(version, &wish.version)) {
        admin_refuse(answer, 400, "?for=%.*s: known are 2.6, 3.0, 3.2 and 3.4",
                     SLICE_PRINT(version));
        return;
    }
    answer->text = haproxy_config_text(&wish, &diagnostics, &why);
    answer->content_type = "text/plain; charset=utf-8";
    if (answer->text == NULL)
        refuse_with(answer,
                    why.text[0] != '\0' ? why.text
                                        : "tenants are wrong, and HAProxy has to know the headers "
                                          "of all: ?force=1 leaves theirs out",
                    &diagnostics);
    (void)was_given_up(files, answer);
    diagnostics_fini(&diagnostics);
}

/* Who may read may ask these: they tell what is wrong, or what is no secret. */
static const struct admin_operation READ_OPERATIONS[] = {
    {"POST", "/v1/check", check_files, "reads all files anew and tells what is wrong", ""},
    {"GET", "/v1/haproxy-config", show_haproxy_config, "HAProxy's side of the configuration",
     "for spoe=0|1 force=0|1"},
    {0},
};

/* A definition in the body may name files, and what is wrong with it tells of what is in them; so
 * these take who may add such a tenant. */
static const struct admin_operation TRY_OPERATIONS[] = {
    {"POST", "/v1/diff", diff_files, "what another file of tenants would change", "file"},
    {"POST", "/v1/replay", replay_trace, "recorded decisions, decided again", "file"},
    {0},
};

/* -- Life -------------------------------------------------------------------------------------- */

struct admin_files *admin_files_new(struct admin_server *server,
                                    const struct configuration *configuration)
{
    if (server == NULL)
        return NULL;
    struct admin_files *files = memory_new(sizeof(*files));
    files->path = memory_copy_text(slice_of(configuration->path));
    if (configuration->trace_entries > 0 && configuration->trace_file != NULL)
        files->trace = memory_copy_text(slice_of(configuration->trace_file));
    files->desk = admin_desk_new_threaded(server);
    admin_desk_add(files->desk, ADMIN_ACCESS_READ, READ_OPERATIONS, files);
    admin_desk_add(files->desk, ADMIN_ACCESS_METHOD, TRY_OPERATIONS, files);
    return files;
}

void admin_files_give_up(struct admin_files *files)
{
    if (files != NULL)
        atomic_store(&files->give_up, true);
}

void admin_files_free(struct admin_files *files)
{
    if (files == NULL)
        return;
    admin_files_give_up(files);
    admin_desk_free(files->desk);
    free(files->path);
    free(files->trace);
    free(files);
}
