/* `owui-spoa setup`: from nothing to HTTPS in one command. See setup.h. */
#include "setup.h"

#include "command.h"
#include "core/memory.h"
#include "environment.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { WAIT_S = 180, WAIT_MAX_S = 3600 };

static bool confirm(const struct setup_wish *wish)
{
    char answer[16];
    if (wish->yes)
        return true;
    if (!isatty(STDIN_FILENO)) {
        fputs("owui-spoa: nobody is there to be asked: say --yes, or --dry-run to look only\n",
              stderr);
        return false;
    }
    fputs("\ngo on? [y/N] ", stdout);
    fflush(stdout);
    return fgets(answer, sizeof(answer), stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
}

/* What is to be pasted into Open WebUI's environment. */
static void tell_environment(const struct setup_plan *plan)
{
    puts("\nfor Open WebUI's environment:");
    for (size_t i = 0; i < plan->tenant_count; i++) {
        const char *host = plan->tenants[i].host;
        if (host == NULL)
            continue;
        if (plan->tenant_count > 1)
            printf("\n  # %s\n", plan->tenants[i].upstream);
        char *url = memory_format("https://%s", host);
        environment_print(url, url);
        free(url);
    }
    puts("\n  (instead of *, the address that HAProxy comes from, where others can reach Open "
         "WebUI)");
}

/* With the daemon's first start there is an account key, which HAProxy can answer challenges with
 * by itself. */
static void finish_haproxy(struct setup_plan *plan)
{
    struct error_text why;
    const struct setup_files two = {&plan->files.items[plan->spoe_file], 2};
    if (setup_plan_haproxy(plan, &why) != ERROR_OK ||
        !setup_file_changes(&plan->files.items[plan->haproxy_file]) || !setup_haproxy_check(plan))
        return;
    puts("\nHAProxy can answer challenges by itself now:");
    if (setup_files_write(&two, false, &why) != ERROR_OK || !setup_reload_haproxy())
        fprintf(stderr, "owui-spoa: %s\n", why.text);
}

static int look(struct setup_plan *plan, const struct setup_wish *wish)
{
    bool certified, good;
    if (wish->certbot != NULL)
        setup_import(plan, wish->certbot);
    certified = setup_wait(plan, wish->wait_s);
    finish_haproxy(plan);
    good = setup_look(plan);
    tell_environment(plan);
    if (wish->certbot != NULL)
        puts("\nThe tenants' certificates are the agent's now: certbot need not renew them any "
             "more\n"
             "(certbot delete --cert-name NAME), and must not listen on the agent's port 8688.");
    return certified && good ? EXIT_GOOD : EXIT_BAD;
}

static int carry_out(struct setup_plan *plan, const struct setup_wish *wish)
{
    struct error_text why;
    bool changes = setup_files_changing(&plan->files) > 0;
    if (changes && !confirm(wish))
        return EXIT_WRONG;
    if (setup_folders(plan, &why) != ERROR_OK) {
        fprintf(stderr, "owui-spoa: %s\n", why.text);
        return EXIT_WRONG;
    }
    if (!setup_haproxy_check(plan))
        return EXIT_WRONG;
    putchar('\n');
    if (setup_files_write(&plan->files, true, &why) != ERROR_OK) {
        fprintf(stderr, "owui-spoa: %s\n", why.text);
        return EXIT_WRONG;
    }
    if (wish->no_start)
        return EXIT_GOOD;
    if (!setup_services(plan, wish))
        return EXIT_WRONG;
    if (!setup_has_systemd() && access(plan->whole.configuration->admin_socket, F_OK) != 0) {
        tell_environment(plan);
        return EXIT_GOOD;
    }
    return look(plan, wish);
}

static int set_up(const struct setup_wish *wish)
{
    struct setup_plan plan;
    int code = EXIT_WRONG;
    if (setup_plan_make(wish, &plan)) {
        setup_tell_tutorial(&plan.tutorial);
        setup_files_show(&plan.files, wish->dry_run);
        if (setup_files_changing(&plan.files) == 0)
            puts("\nnothing has to be written");
        if (wish->dry_run)
            code = (geteuid() != 0 || setup_haproxy_check(&plan)) && setup_services(&plan, wish)
                       ? EXIT_GOOD
                       : EXIT_WRONG;
        else
            code = carry_out(&plan, wish);
    }
    setup_plan_fini(&plan);
    return code;
}

static bool read_wait(const char *text, unsigned *seconds)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    *seconds = (unsigned)number;
    return end != text && *end == '\0' && number <= WAIT_MAX_S;
}

/* What cannot be; EXIT_GOOD when it can. */
static int judge(const char *name, struct setup_wish *wish)
{
    if (wish->host == NULL && wish->tutorial == NULL)
        return command_misused(name, "which host? owui-spoa setup chat.example.com --upstream "
                                     "127.0.0.1:3000 --email you@example.com");
    if (wish->host != NULL && wish->upstream == NULL && wish->tutorial == NULL)
        return command_misused(name, "where does Open WebUI listen? --upstream 127.0.0.1:3000");
    if (wish->host == NULL && wish->upstream != NULL)
        return command_misused(name, "which host is --upstream for?");
    if (wish->email != NULL && strchr(wish->email, '@') == NULL)
        return command_misused(name, "--email %s is not an address", wish->email);
    if (wish->staging && wish->directory != NULL)
        return command_misused(name,
                               "--staging is Let's Encrypt's: it does not go with --directory");
    if (wish->ca_file != NULL && access(wish->ca_file, R_OK) != 0)
        return command_misused(name, "--ca-file %s cannot be read", wish->ca_file);
    if (wish->tutorial != NULL && wish->certbot == NULL &&
        access("/etc/letsencrypt/live", F_OK) == 0)
        wish->certbot = "/etc/letsencrypt";
    return EXIT_GOOD;
}

int setup_command(int count, char **arguments)
{
    static const struct option OPTIONS[] = {{"config", required_argument, NULL, 'c'},
                                            {"upstream", required_argument, NULL, 'u'},
                                            {"email", required_argument, NULL, 'e'},
                                            {"name", required_argument, NULL, 'n'},
                                            {"staging", no_argument, NULL, 's'},
                                            {"directory", required_argument, NULL, 'd'},
                                            {"ca-file", required_argument, NULL, 'a'},
                                            {"tutorial", required_argument, NULL, 't'},
                                            {"certbot", required_argument, NULL, 'b'},
                                            {"wait", required_argument, NULL, 'w'},
                                            {"dry-run", no_argument, NULL, 'D'},
                                            {"no-start", no_argument, NULL, 'N'},
                                            {"yes", no_argument, NULL, 'y'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct setup_wish wish = {.configuration = DEFAULT_CONFIGURATION, .wait_s = WAIT_S};
    int option;

    while ((option = getopt_long(count, arguments, "c:yh", OPTIONS, NULL)) != -1) {
        switch (option) {
        case 'c': wish.configuration = optarg; break;
        case 'u': wish.upstream = optarg; break;
        case 'e': wish.email = optarg; break;
        case 'n': wish.name = optarg; break;
        case 's': wish.staging = true; break;
        case 'd': wish.directory = optarg; break;
        case 'a': wish.ca_file = optarg; break;
        case 't': wish.tutorial = optarg; break;
        case 'b': wish.certbot = optarg; break;
        case 'w':
            if (!read_wait(optarg, &wish.wait_s))
                return command_misused(arguments[0], "--wait %s: seconds, at most %d", optarg,
                                       WAIT_MAX_S);
            break;
        case 'D': wish.dry_run = true; break;
        case 'N': wish.no_start = true; break;
        case 'y': wish.yes = true; break;
        case 'h': return command_help(arguments[0]);
        default: return command_misused(arguments[0], NULL);
        }
    }
    if (optind < count)
        wish.host = arguments[optind++];
    if (optind < count)
        return command_misused(arguments[0], "unexpected argument \"%s\"", arguments[optind]);
    int code = judge(arguments[0], &wish);
    return code == EXIT_GOOD ? set_up(&wish) : code;
}
