/* `owui-spoa setup`: from nothing to HTTPS in one command. See setup.h. */
#include "setup.h"

#include "admin/admin_client.h"
#include "analysis/environment.h"
#include "cli/command.h"
#include "cli/terminal.h"
#include "core/memory.h"
#include "route/host.h"
#include "serving/haproxy_files.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { WAIT_S = 180, WAIT_MAX_S = 3600 };

/* Ctrl-C and the like wait until what was begun is whole: drafts and copies of keys are taken away,
 * files fit each other, and services have read them. */
static void hold_signals(sigset_t *before)
{
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGTERM);
    sigaddset(&held, SIGHUP);
    sigprocmask(SIG_BLOCK, &held, before);
}

static void release_signals(const sigset_t *before)
{
    fflush(stdout);
    sigprocmask(SIG_SETMASK, before, NULL);
}

static bool confirm(const struct setup_wish *wish)
{
    char answer[16];
    if (wish->yes)
        return true;
    if (!isatty(STDIN_FILENO)) {
        terminal_complain("nobody is there to be asked: say --yes, or --dry-run to look only");
        return false;
    }
    fputs("\ngo on? [y/N] ", stdout);
    fflush(stdout);
    return fgets(answer, sizeof(answer), stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
}

static void tell_unchanged(void)
{
    terminal_complain("nothing was changed");
}

/* The daemon knows what an identity asks for, too. NULL when it does not answer; without an
 * environment when it does not have the tenant. */
static struct json *ask_tenant(const struct setup_plan *plan, const struct setup_tenant *tenant)
{
    struct error_text why;
    unsigned status = 0;
    char *path = memory_format("/v1/tenants/%s", tenant->name);
    struct json *answer =
        admin_request(plan->whole.configuration->admin_socket, "GET", path, NULL, &status, &why);
    free(path);
    return answer;
}

/* What is to be pasted into Open WebUI's environment. */
static void tell_environment(const struct setup_plan *plan)
{
    if (plan->tenant_count == 0)
        return;
    puts("\nfor Open WebUI's environment:");
    for (size_t i = 0; i < plan->tenant_count; i++) {
        const struct setup_tenant *tenant = &plan->tenants[i];
        if (tenant->environment == NULL)
            continue;
        if (plan->tenant_count > 1)
            printf("\n  # %s\n", tenant->upstream);
        struct json *answer = ask_tenant(plan, tenant);
        const struct json *told = json_get(answer, "environment");
        environment_print(told != NULL ? told : tenant->environment);
        json_free(answer);
    }
    puts("\n  (instead of *, the address that HAProxy comes from, where others can reach\n"
         "  Open WebUI; of one that has run before, WEBUI_URL is set in its Admin Panel,\n"
         "  Settings, General)");
}

/* With the daemon's first start there is an account key, which HAProxy can answer challenges with
 * by itself. */
static void finish_haproxy(struct setup_plan *plan)
{
    struct error_text why;
    struct setup_files two = {&plan->files.items[plan->spoe_file], 2};
    if (setup_plan_haproxy(plan, &why) != ERROR_OK ||
        !setup_file_changes(&plan->files.items[plan->haproxy_file]) || !setup_haproxy_check(plan))
        return;
    puts("\nHAProxy can answer challenges by itself now:");
    if (setup_files_write(&two, false, &why) != ERROR_OK)
        terminal_complain("%s", why.text);
    else
        setup_reload_haproxy();
}

static int look(struct setup_plan *plan, bool taken, unsigned wait_s)
{
    sigset_t before;
    bool certified = setup_wait(plan, wait_s);
    hold_signals(&before);
    finish_haproxy(plan);
    release_signals(&before);
    bool good = setup_look(plan);
    tell_environment(plan);
    if (taken)
        puts("\nCertificates that were taken over are the agent's now: certbot need not renew\n"
             "them any more (certbot delete --cert-name NAME), and must not listen on the\n"
             "agent's port 8688.");
    return certified && good ? EXIT_GOOD : EXIT_BAD;
}

/* Whether it would work, before anybody is asked. */
static bool check(const struct setup_plan *plan, const struct setup_wish *wish)
{
    sigset_t before;
    hold_signals(&before);
    bool starts = !wish->no_start && setup_has_systemd();
    bool good = (!starts || (setup_service_reads(wish->configuration) & setup_ports_are_free(plan) &
                             setup_challenge_port_is_free(plan) & setup_service_may_write(plan) &
                             (wish->ca_file == NULL || setup_service_may_read(wish->ca_file)))) &
                (setup_files_changing(&plan->files) == 0 || setup_haproxy_check(plan));
    release_signals(&before);
    return good;
}

static bool write_files(struct setup_plan *plan)
{
    struct error_text why;
    enum error error = setup_folders(plan, &why);
    /* What haproxy.cfg names comes before it: HAProxy may be restarted at any time. */
    if (error == ERROR_OK)
        error = haproxy_files_ensure(plan->whole.configuration, &why);
    if (error == ERROR_OK && setup_files_changing(&plan->files) > 0) {
        putchar('\n');
        error = setup_files_write(&plan->files, true, &why);
    }
    if (error != ERROR_OK)
        terminal_complain("%s", why.text);
    return error == ERROR_OK;
}

/* False when a service does not start, which is told. */
static bool begin(const struct setup_plan *plan, const struct setup_wish *wish, bool *taken)
{
    if (!setup_services(plan, wish))
        return false;
    *taken = wish->certbot != NULL && setup_import(plan, wish->certbot);
    return true;
}

static bool is_away(const struct setup_plan *plan)
{
    return !setup_has_systemd() && !setup_agent_answers(plan);
}

/* It is the daemon that takes them over. */
static void tell_not_taken(const struct setup_wish *wish)
{
    if (wish->certbot != NULL)
        printf("\nThe same command without --no-start takes over the certificates of %s.\n",
               wish->certbot);
}

static int carry_out(struct setup_plan *plan, const struct setup_wish *wish)
{
    sigset_t before;
    bool taken = false;
    hold_signals(&before);
    bool written = write_files(plan);
    bool good = written && (wish->no_start || begin(plan, wish, &taken));
    release_signals(&before);
    if (!written)
        tell_unchanged();
    if (!good)
        return EXIT_WRONG;
    if (wish->no_start) {
        tell_not_taken(wish);
        return EXIT_GOOD;
    }
    if (is_away(plan)) {
        tell_environment(plan);
        return EXIT_GOOD;
    }
    return look(plan, taken, wish->wait_s);
}

static void tell_plan(const struct setup_plan *plan, bool all)
{
    setup_files_show(&plan->files, all);
    if (setup_files_changing(&plan->files) == 0)
        puts("\nnothing has to be written");
    setup_tell_foreign(plan);
}

static int set_up(const struct setup_wish *wish)
{
    struct setup_plan plan;
    int code = EXIT_WRONG;
    bool good = setup_plan_make(wish, &plan);
    if (good) {
        tell_plan(&plan, wish->dry_run);
        good = (wish->dry_run && geteuid() != 0) || check(&plan, wish);
    }
    if (good && wish->dry_run)
        code = wish->no_start || setup_services(&plan, wish) ? EXIT_GOOD : EXIT_WRONG;
    else if (good && (setup_files_changing(&plan.files) == 0 || confirm(wish)))
        code = carry_out(&plan, wish);
    else
        tell_unchanged();
    setup_plan_fini(&plan);
    return code;
}

/* As names are written in DNS; `name` has room for it. */
static int judge_host(const struct command_line *line, struct setup_wish *wish,
                      char name[static HOST_MAX_BYTES + 1])
{
    bool is_wildcard;
    if (wish->host == NULL)
        return EXIT_GOOD;
    if (!host_pattern_parse(slice_of(wish->host), name, &is_wildcard))
        return command_line_misused(line,
                                    "\"%s\" is no name of a host: expected one such as "
                                    "chat.example.com, without https://, port or path",
                                    wish->host);
    if (is_wildcard)
        return command_line_misused(line,
                                    "\"%s\": expected one host; a tenant with a wildcard is "
                                    "written by hand (man owui-spoa.json, Labels)",
                                    wish->host);
    if (wish->name == NULL && strlen(name) > TENANT_NAME_MAX_BYTES)
        return command_line_misused(line,
                                    "%s is too long to be the tenant's name as well, which has %d "
                                    "characters at most: choose one with --name",
                                    name, TENANT_NAME_MAX_BYTES);
    wish->host = name;
    return EXIT_GOOD;
}

/* Its folder: what the command line says, or with a tutorial's file the usual one. */
static int judge_certbot(const struct command_line *line, struct setup_wish *wish)
{
    static const char USUAL[] = "/etc/letsencrypt";
    const char *folder = wish->certbot != NULL ? wish->certbot : USUAL;
    char *live = memory_format("%s/live", folder);
    bool is_there = access(live, R_OK | X_OK) == 0;
    int code = EXIT_GOOD;
    if (wish->certbot == NULL && wish->tutorial != NULL && is_there)
        wish->certbot = USUAL;
    else if (wish->certbot != NULL && !is_there)
        code = command_line_misused(line, "--certbot %s: %s cannot be read (%s); it is usually %s",
                                    folder, live, strerror(errno), USUAL);
    free(live);
    return code;
}

/* What cannot be; EXIT_GOOD when it can. */
static int judge(const struct command_line *line, struct setup_wish *wish)
{
    if (wish->host == NULL && wish->tutorial == NULL)
        return command_line_misused(line, "which host? For example: setup "
                                          "chat.example.com --upstream 127.0.0.1:3000");
    if (wish->host != NULL && wish->upstream == NULL && wish->tutorial == NULL)
        return command_line_misused(line,
                                    "where does Open WebUI listen? --upstream 127.0.0.1:3000");
    if (wish->host == NULL && wish->upstream != NULL)
        return command_line_misused(line, "which host is --upstream for?");
    if (wish->name != NULL && wish->upstream == NULL)
        return command_line_misused(line, "--name is for a HOST with --upstream: with --tutorial, "
                                          "tenants are named as their hosts");
    if (wish->email != NULL && strchr(wish->email, '@') == NULL)
        return command_line_misused(line, "--email %s: expected an address such as you@example.com",
                                    wish->email);
    if (wish->staging && wish->directory != NULL)
        return command_line_misused(
            line, "--staging is Let's Encrypt's: it does not go with --directory");
    if (wish->ca_file != NULL && access(wish->ca_file, R_OK) != 0)
        return command_line_misused(line, "--ca-file %s cannot be read", wish->ca_file);
    return judge_certbot(line, wish);
}

static bool may_start(const struct setup_wish *wish)
{
    return geteuid() == 0 || wish->dry_run || wish->no_start || !setup_has_systemd();
}

static const struct command_usage USAGE = {
    .forms = {"HOST --upstream ADDRESS", "[HOST] --tutorial FILE"},
    .about = "Writes the configuration, the tenant's file and HAProxy's files, has HAProxy check "
             "them, enables and starts both services, waits for the certificate, and tells what "
             "works and what belongs into Open WebUI's environment. What is there is kept: "
             "settings stay, files that change are shown before and kept beside. Run again, it "
             "takes up what was broken off, and tells what works; with another host, it adds a "
             "tenant.",
    .exit_codes = {"everything works", "it is set up, but something does not work (yet)",
                   "nothing was changed, or a service does not start"},
    .examples = {"owui-spoa setup chat.example.com --upstream 127.0.0.1:3000 \\\n"
                 "      --email me@example.com",
                 "owui-spoa setup chat.example.com --upstream 127.0.0.1:3000 --dry-run",
                 "owui-spoa setup --tutorial /etc/haproxy/haproxy.cfg \\\n"
                 "      --email me@example.com"},
    .max_words = 1,
};

int setup_command(struct command_line *line)
{
    struct setup_wish wish = {.configuration = DEFAULT_CONFIGURATION, .wait_s = WAIT_S};
    const struct command_option options[] = {
        {"upstream", 0, "ADDRESS",
         "where Open WebUI listens: 127.0.0.1:3000, https://ai.internal:8443",
         .text = &wish.upstream},
        {"email", 0, "ADDRESS", "whom the CA may write to", .text = &wish.email},
        {"name", 0, "TENANT", "the tenant's name (the host)", .text = &wish.name},
        {"staging", 0, NULL, "Let's Encrypt's trial CA, whose certificates nobody trusts",
         .flag = &wish.staging},
        {"directory", 0, "URL", "another CA's ACME directory", .text = &wish.directory},
        {"ca-file", 0, "FILE", "what that CA's own HTTPS is verified with", .text = &wish.ca_file},
        {"tutorial", 0, "FILE",
         "carry over a haproxy.cfg as Open WebUI's tutorial has it: hosts, paths and servers "
         "become tenants, with what was wrong mended",
         .text = &wish.tutorial},
        {"certbot", 0, "FOLDER",
         "take over certbot's certificates (with --tutorial: /etc/letsencrypt, if there)",
         .text = &wish.certbot},
        {"wait", 0, "SECONDS", "for certificates, at most (180)", .number = &wish.wait_s,
         .max = WAIT_MAX_S},
        {"dry-run", 0, NULL, "print every file and command as they would be, change nothing",
         .flag = &wish.dry_run},
        {"yes", 'y', NULL, "do not ask", .flag = &wish.yes},
        {"no-start", 0, NULL, "write the files, start nothing", .flag = &wish.no_start},
        command_option_config(&wish.configuration),
        {0},
    };
    if (!command_line_read(line, &USAGE, options))
        return line->code;
    char host[HOST_MAX_BYTES + 1];
    wish.host = command_line_next(line);
    int code = judge_host(line, &wish, host);
    if (code == EXIT_GOOD)
        code = judge(line, &wish);
    if (code == EXIT_GOOD && !may_start(&wish)) {
        terminal_complain("setup writes below /etc and starts services: run it as root, for "
                          "example with sudo; --dry-run looks only");
        code = EXIT_WRONG;
    } else if (code == EXIT_GOOD && access(wish.configuration, R_OK) != 0 && errno == EACCES) {
        terminal_complain("%s may not be read by everybody: run this as root, for example with "
                          "sudo",
                          wish.configuration);
        code = EXIT_WRONG;
    }
    terminal_outlive_readers();
    return code == EXIT_GOOD ? set_up(&wish) : code;
}
