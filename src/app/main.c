/* owui-spoa: the subcommands. */
#include "cli/command.h"
#include "cli/terminal.h"
#include "cli/terminal_guard.h"
#include "core/nearest.h"
#include "core/slice.h"
#include "core/version.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct command {
    const char *name;
    command_fn *run;
    const char *summary;
} COMMANDS[] = {
    {"setup", setup_command, "HTTPS for a host, in one command"},
    {"run", run_command, "serve HAProxy, in the foreground"},
    {"check", check_command, "look for mistakes in the configuration"},
    {"explain", explain_command, "tell where a request would go, and why"},
    {"haproxy-config", haproxy_config_command, "write HAProxy's side of the configuration"},
    {"status", status_command, "tell how the running daemon is"},
    {"top", top_command, "show what is going on, live"},
    {"doctor", doctor_command, "look for what breaks, and tell which line to change"},
    {"tenants", tenants_command, "show tenants, add, change and remove them"},
    {"suspend", suspend_command, "turn a tenant's users away"},
    {"maintenance", maintenance_command, "begin or end a tenant's maintenance"},
    {"switch", switch_command, "make another version of a tenant the active one"},
    {"upgrade", upgrade_command, "put another version of a tenant's Open WebUI in place"},
    {"reload", reload_command, "read the configuration again"},
    {"history", history_command, "tell who changed what, and when"},
    {"rollback", rollback_command, "make the tenants' files what they were"},
    {"diff", diff_command, "tell what a change does before it is made"},
    {"replay", replay_command, "decide recorded requests by another configuration"},
    {"certs", certs_command, "show certificates, renew, revoke, roll back"},
    {"token", token_command, "let a person or a program ask over TCP"},
};

/* -- Help -------------------------------------------------------------------------------------- */

static int help(void)
{
    printf("owui-spoa: routes Open WebUI tenants behind HAProxy\n"
           "\n"
           "usage: owui-spoa COMMAND [OPTION...]\n"
           "\n");
    for (size_t i = 0; i < COUNT_OF(COMMANDS); i++)
        printf("  %-16s %s\n", COMMANDS[i].name, COMMANDS[i].summary);
    printf("\n"
           "  owui-spoa COMMAND --help tells more; owui-spoa --version tells which it is.\n"
           "\n"
           "the shortest way from nothing to HTTPS:\n"
           "\n"
           "  owui-spoa setup chat.example.com --upstream 127.0.0.1:3000 \\\n"
           "      --email me@example.com\n"
           "\n"
           "the same, step by step:\n"
           "\n"
           "  echo '{\"acme\": {\"directory\": \"letsencrypt\"},\n"
           "         \"tenants\": {\"chat\": {\"hosts\": [\"chat.example.com\"],\n"
           "         \"upstream\": \"http://127.0.0.1:3000\"}}}' >owui-spoa.json\n"
           "  owui-spoa check -c owui-spoa.json\n"
           "  owui-spoa explain -c owui-spoa.json https://chat.example.com/\n"
           "  owui-spoa haproxy-config -c owui-spoa.json --out /etc/haproxy\n"
           "  systemctl restart haproxy\n"
           "  owui-spoa run -c owui-spoa.json\n");
    return EXIT_GOOD;
}

/* Of all commands, as an array: for what writes the man page and the shells' completions. */
static int help_programs(void)
{
    struct json *root = json_new_object();
    struct json *all = json_new_array();
    json_put(root, "commands", all);
    for (size_t i = 0; i < COUNT_OF(COMMANDS); i++) {
        struct json *one = json_new_object();
        json_put_text(one, "name", slice_of(COMMANDS[i].name));
        json_put_text(one, "summary", slice_of(COMMANDS[i].summary));
        json_append(all, one);
        struct command_line line = {.name = COMMANDS[i].name, .description = one};
        (void)COMMANDS[i].run(&line);
    }
    char *text = json_print(root, JSON_STYLE_INDENTED);
    fputs(text, stdout);
    free(text);
    json_free(root);
    return EXIT_GOOD;
}

/* -- Commands ---------------------------------------------------------------------------------- */

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(COMMANDS); i++)
        if (strcmp(COMMANDS[i].name, name) == 0)
            return &COMMANDS[i];
    return NULL;
}

static int run_named(const char *name, char **words, size_t count)
{
    const struct command *command = find_command(name);
    if (command != NULL) {
        struct command_line line = {.name = command->name, .words = words, .count = count};
        return command->run(&line);
    }
    const char *nearest =
        nearest_name(slice_of(name), COMMANDS, COUNT_OF(COMMANDS), sizeof(*COMMANDS));
    if (nearest != NULL)
        terminal_complain("no command \"%s\"; did you mean %s?", name, nearest);
    else
        terminal_complain("no command \"%s\"", name);
    terminal_complain_more("", "owui-spoa --help tells which there are");
    return EXIT_WRONG;
}

/* "help", "help COMMAND", "help --json" */
static int run_help(char **words, size_t count)
{
    char option[] = "--help";
    char *asked[] = {option};
    if (count == 0)
        return help();
    return strcmp(words[0], "--json") == 0 ? help_programs()
                                           : run_named(words[0], asked, COUNT_OF(asked));
}

static bool is_one_of(const char *text, const char *a, const char *b)
{
    return strcmp(text, a) == 0 || strcmp(text, b) == 0;
}

static int run_words(int count, char **arguments)
{
    if (count < 2) {
        fputs("usage: owui-spoa COMMAND [OPTION...]; owui-spoa --help tells which there are\n",
              stderr);
        return EXIT_WRONG;
    }
    char **words = arguments + 2;
    size_t word_count = (size_t)count - 2;
    if (is_one_of(arguments[1], "--help", "-h") || strcmp(arguments[1], "help") == 0)
        return run_help(words, word_count);
    if (is_one_of(arguments[1], "--version", "-V")) {
        puts("owui-spoa " OWUI_SPOA_VERSION);
        return EXIT_GOOD;
    }
    return run_named(arguments[1], words, word_count);
}

/* Whoever starts us may have closed them, and then the next file or socket that is opened would get
 * what is printed and logged. */
static void open_standard_files(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
            return;
}

/* Half a file must not pass for a whole one: `haproxy-config >FILE && systemctl reload haproxy`. */
int main(int count, char **arguments)
{
    open_standard_files();
    signal(SIGCHLD, SIG_DFL); /* where it is inherited as ignored, no program's end can be told */
    terminal_guard();
    int code = run_words(count, arguments);
    errno = 0;
    if ((fflush(stdout) == 0 && !ferror(stdout)) || terminal_has_lost_readers())
        return code;
    terminal_complain("the output could not be written: %s",
                      errno != 0 ? strerror(errno) : "is the disk full?");
    return EXIT_WRONG;
}
