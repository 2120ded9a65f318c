/* `owui-spoa token`: who may ask over TCP. It works on the file; the daemon looks at that itself.
 */
#include "admin/admin_tokens.h"
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/terminal.h"
#include "core/clock.h"
#include "core/file.h"
#include "core/file_path.h"
#include "core/memory.h"
#include "core/time_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>

struct wish {
    const char *configuration;
    const char *file; /* NULL: the configuration tells */
    const char *role;
    bool json;
    struct admin_tokens tokens;
};

static char *file_of(const struct wish *wish)
{
    if (wish->file != NULL)
        return memory_copy_text(slice_of(wish->file));
    struct configuration *configuration = ask_configuration(wish->configuration);
    if (configuration == NULL)
        return NULL;
    char *path = memory_copy_text(slice_of(configuration->admin_http.tokens_file));
    if (configuration->admin_http.listen == NULL)
        terminal_complain("nobody listens yet: \"admin_http\": {} in %s opens "
                          "127.0.0.1:8690, after a restart of the service",
                          wish->configuration);
    configuration_free(configuration);
    return path;
}

static int fail(const struct error_text *why)
{
    terminal_complain("%s", why->text);
    return EXIT_BAD;
}

static int add(struct wish *wish, const char *path, const char *name)
{
    char text[ADMIN_TOKEN_SIZE];
    enum admin_role role = ADMIN_ROLE_READ;
    struct error_text why;
    bool known = admin_role_parse(slice_of(wish->role), &role);
    assert(known);
    (void)known;
    enum error error =
        admin_tokens_add(&wish->tokens, slice_of(name), role, clock_wall_s(), text, &why);
    if (error == ERROR_OK)
        error = admin_tokens_write(path, &wish->tokens, &why);
    if (error == ERROR_OK && wish->json)
        printf("{\n  \"name\": \"%s\",\n  \"role\": \"%s\",\n  \"token\": \"%s\"\n}\n", name,
               wish->role, text);
    else if (error == ERROR_OK)
        printf("%s\n", text);
    memory_wipe(text, sizeof(text));
    if (error != ERROR_OK)
        return fail(&why);
    terminal_complain("this is told once; %s keeps its hash", path);
    return EXIT_GOOD;
}

static int remove_token(struct wish *wish, const char *path, const char *name)
{
    struct error_text why;
    if (!admin_tokens_remove(&wish->tokens, slice_of(name))) {
        terminal_complain("there is no token \"%s\" in %s", name, path);
        return EXIT_BAD;
    }
    if (admin_tokens_write(path, &wish->tokens, &why) != ERROR_OK)
        return fail(&why);
    if (!wish->json)
        printf("%s: removed\n", name);
    return EXIT_GOOD;
}

static int list(const struct wish *wish)
{
    struct json *root = json_new_object();
    struct json *array = json_new_array();
    char time[TIME_TEXT_SIZE];
    json_put(root, "tokens", array);
    if (!wish->json)
        printf("%-32s %-6s %s\n", "TOKEN", "ROLE", "MADE");
    for (size_t i = 0; i < wish->tokens.count; i++) {
        const struct admin_token *token = &wish->tokens.items[i];
        const char *role = admin_role_name(token->role);
        const char *made = time_text_print(token->made_wall_s, time);
        struct json *one = json_new_object();
        json_put_text(one, "name", slice_of(token->name));
        json_put_text(one, "role", slice_of(role));
        json_put_text(one, "made", slice_of(made));
        json_append(array, one);
        if (!wish->json)
            printf("%-32s %-6s %s\n", token->name, role, made);
    }
    if (wish->json)
        ask_print_json(root);
    json_free(root);
    return EXIT_GOOD;
}

/* Of two changes at once the later would undo the other: a token that was removed would be back.
 * The lock is the folder's, since the file is another one after each change. */
static MUST_CHECK enum error lock(struct folder *folder, const char *path, struct error_text *why)
{
    char *folder_path = memory_copy_text(file_path_folder(path));
    enum error error = folder_open(folder, folder_path, 0750, why);
    while (error == ERROR_OK && flock(folder->fd, LOCK_EX) != 0)
        if (errno != EINTR)
            error = error_set_errno(why, "cannot lock %s", folder_path);
    free(folder_path);
    return error;
}

static int perform_on(struct wish *wish, const char *path, const char *verb, const char *name)
{
    struct error_text why;
    struct folder folder = {.fd = -1};
    bool adds = strcmp(verb, "add") == 0;
    bool removes = strcmp(verb, "remove") == 0;
    enum error error = adds || removes ? lock(&folder, path, &why) : ERROR_OK;
    if (error == ERROR_OK)
        error = admin_tokens_read(path, &wish->tokens, &why);
    int code = error != ERROR_OK && error != ERROR_NOT_FOUND ? fail(&why)
               : adds                                        ? add(wish, path, name)
               : removes                                     ? remove_token(wish, path, name)
                                                             : list(wish);
    folder_close(&folder);
    return code;
}

static int perform(struct wish *wish, const char *verb, const char *name)
{
    char *path = file_of(wish);
    int code = path != NULL ? perform_on(wish, path, verb, name) : EXIT_WRONG;
    free(path);
    return code;
}

static const struct command_usage USAGE = {
    .forms = {"[list]", "add|remove NAME"},
    .about = "Tokens for the page and the admin interface over loopback TCP (\"admin_http\"). A "
             "token is random and printed once, when it is made; the file, of mode 0600, keeps its "
             "SHA-256. What is added or removed counts at once.",
    .verbs = {{"list", "show whose tokens there are, which is done without a verb too"},
              {"add", "make one and print it"},
              {"remove", "whoever has it is let in no more"}},
    .exit_codes = {"done", "refused", "wrong usage or configuration"},
    .examples = {"owui-spoa token add alice --role admin", "owui-spoa token remove alice"},
    .max_words = 2,
};

int token_command(struct command_line *line)
{
    static const char *const ROLES[] = {"read", "admin", NULL};
    struct wish wish = {.configuration = DEFAULT_CONFIGURATION, .role = ROLES[0]};
    const struct command_option options[] = {
        {"role", 0, "ROLE", "read (unless told) or admin, which may change everything", ROLES,
         .text = &wish.role},
        {"file", 0, "PATH", "the file of tokens (\"tokens_file\")", .text = &wish.file},
        command_option_config(&wish.configuration),
        command_option_json(&wish.json),
        {0},
    };
    if (!command_line_read(line, &USAGE, options))
        return line->code;
    const char *verb = command_line_next_verb(line, &USAGE);
    const char *name = command_line_next(line);
    bool lists = verb == NULL || strcmp(verb, "list") == 0;
    if (verb == NULL && name != NULL)
        return command_line_misused(line, "\"%s\" is none of list, add, remove", name);
    if (lists && name != NULL)
        return command_line_misused(line, "list: unexpected argument \"%s\"", name);
    if (!lists && name == NULL)
        return command_line_misused(line, "%s: whose?", verb);
    return perform(&wish, lists ? "list" : verb, name);
}
