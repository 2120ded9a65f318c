/* `owui-spoa check`: everything that is wrong with the configuration, at once. */
#include "check.h"

#include "agent/answer.h"
#include "analysis/stripped.h"
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/view.h"
#include "conf/surroundings.h"
#include "conf/whole.h"
#include "core/memory.h"
#include "http/http_client.h"

#include <stdio.h>
#include <stdlib.h>

/* What was found, and whether a daemon would start with it. */
struct finding {
    struct whole whole;
    struct diagnostics diagnostics;
    struct json *stripped;
    bool starts;
};

static void finding_fini(struct finding *finding)
{
    json_free(finding->stripped);
    whole_fini(&finding->whole);
    diagnostics_fini(&finding->diagnostics);
}

/* The headers that tell tenants who a user is. */
static void print_stripped(const struct json *stripped)
{
    struct slice name;
    for (size_t i = 0; i < json_count(stripped); i++)
        if (json_read_text(json_at(stripped, i), &name))
            printf("%s%.*s", i == 0 ? "no client can send: " : ", ", SLICE_PRINT(name));
    if (json_count(stripped) > 0)
        putchar('\n');
}

static void print_text(const struct finding *finding)
{
    const struct whole *whole = &finding->whole;
    const struct diagnostics *diagnostics = &finding->diagnostics;
    for (size_t i = 0; i < diagnostics->count; i++) {
        char *text = diagnostic_print(&diagnostics->items[i]);
        fputs(text, stdout);
        free(text);
    }
    if (whole->configuration == NULL) {
        printf("result: nothing can be served; %zu error%s\n", diagnostics->errors,
               plural_s(diagnostics->errors));
        return;
    }
    print_stripped(finding->stripped);
    if (whole->has_broken)
        puts("a daemon may serve these as they last were: " VIEW_KEPT_COMMAND);
    size_t files = whole->file_count + 1;
    printf("result: %zu tenant%s good, %zu refused, in %zu file%s; %zu error%s, %zu warning%s\n",
           whole->tenant_count, plural_s(whole->tenant_count), whole->broken_count, files,
           plural_s(files), diagnostics->errors, plural_s(diagnostics->errors),
           diagnostics->warnings, plural_s(diagnostics->warnings));
}

static struct json *to_json(const struct finding *finding)
{
    const struct whole *whole = &finding->whole;
    const struct diagnostics *diagnostics = &finding->diagnostics;
    struct json *root = json_new_object();
    struct json *list = json_new_array();
    json_put_bool(root, "usable", whole->configuration != NULL);
    json_put_integer(root, "tenants", (int64_t)whole->tenant_count);
    json_put_integer(root, "refused", (int64_t)whole->broken_count);
    json_put_integer(root, "files", (int64_t)whole->file_count + 1);
    json_put_integer(root, "errors", (int64_t)diagnostics->errors);
    json_put_integer(root, "warnings", (int64_t)diagnostics->warnings);
    json_put(root, "diagnostics", list);
    if (finding->stripped != NULL)
        json_put(root, "stripped", json_clone(finding->stripped));
    for (size_t i = 0; i < diagnostics->count; i++)
        json_append(list, diagnostic_json(&diagnostics->items[i]));
    return root;
}

/* What the daemon has to ask over HTTP for a tenant; the first such thing is told. */
static void find_question(void *context, const struct tenant *tenant)
{
    const char **question = context;
    const struct identity_rule *identity = tenant->identity;
    if (tenant->check != NULL)
        *question = "\"check\"";
    else if (identity != NULL && identity->from == IDENTITY_FROM_JWT &&
             strncmp(identity->keys, "https://", 8) == 0)
        *question = "\"jwks\"";
}

/* A library that is loaded when it is needed is missed now, not when a certificate has expired. */
static void check_library(const char *path, const struct whole *whole,
                          struct diagnostics *diagnostics)
{
    struct error_text why;
    const char *question = NULL;
    route_table_each_tenant(whole->table, find_question, &question);
    if (whole->configuration->acme.directory != NULL)
        question = "\"acme\"";
    if (question == NULL || http_client_possible(&why) == ERROR_OK)
        return;
    char *message = memory_format("%s cannot work: %s", question, why.text);
    const struct diagnostic diagnostic = {
        .severity = SEVERITY_ERROR, .place = {path, 1, 1}, .message = message};
    diagnostics_add(diagnostics, &diagnostic);
    free(message);
}

/* With what there is on this machine, where `is_here`. */
static struct finding look(const char *path, const atomic_bool *give_up, bool is_here)
{
    const struct whole_changes none = {.give_up = give_up};
    struct finding finding = {0};
    struct diagnostics *diagnostics = &finding.diagnostics;
    (void)whole_load_changed(path, &none, answer_prepare, &finding.whole, diagnostics);
    const struct configuration *configuration = finding.whole.configuration;
    finding.stripped = stripped_check(&finding.whole, diagnostics);
    finding.starts = configuration != NULL;
    if (configuration != NULL && is_here) {
        finding.starts = surroundings_check(configuration, diagnostics);
        check_library(path, &finding.whole, diagnostics);
    }
    return finding;
}

struct json *check_json(const char *path, const atomic_bool *give_up)
{
    struct finding finding = look(path, give_up, true);
    struct json *root = to_json(&finding);
    finding_fini(&finding);
    return root;
}

static void print_json(const struct finding *finding)
{
    struct json *root = to_json(finding);
    ask_print_json(root);
    json_free(root);
}

static int check(const char *path, bool as_json, bool is_here)
{
    struct finding finding = look(path, NULL, is_here);
    if (as_json)
        print_json(&finding);
    else
        print_text(&finding);
    int code = !finding.starts ? EXIT_WRONG : finding.diagnostics.errors > 0 ? EXIT_BAD : EXIT_GOOD;
    finding_fini(&finding);
    return code;
}

static const struct command_usage USAGE = {
    .about = "Reads the global file and all tenants' files, and prints everything that is wrong at "
             "once. What they name besides (groups, files, folders) is looked for on this machine, "
             "as the user who asks.",
    .exit_codes =
        {"nothing is wrong (there may be warnings)",
         "tenants are wrong, or files of theirs, or HAProxy would refuse its file; the "
         "daemon would serve the others",
         "the global file is wrong, or lacks what a start needs: nothing would be served"},
    .examples = {"owui-spoa check && systemctl reload owui-spoa",
                 "owui-spoa check -c owui-spoa.json --json | jq '.diagnostics[] | .message'",
                 "owui-spoa check --elsewhere -c build/owui-spoa.json"},
};

int check_command(struct command_line *line)
{
    const char *path = DEFAULT_CONFIGURATION;
    bool as_json = false;
    bool elsewhere = false;
    const struct command_option options[] = {
        {"elsewhere", 0, NULL,
         "it is for another machine: users, groups, libraries and files of the global file are not "
         "looked for on this one",
         .flag = &elsewhere},
        command_option_config(&path),
        command_option_json(&as_json),
        {0},
    };
    return command_line_read(line, &USAGE, options) ? check(path, as_json, !elsewhere) : line->code;
}
