/* owui-spoa: the subcommands and their help. */
#include "command.h"
#include "core/slice.h"
#include "core/version.h"

#include <stdarg.h>
#include <stdio.h>

static const struct command {
    const char *name;
    command_fn *run;
    const char *summary;
    const char *help;
} COMMANDS[] = {
    {"setup", setup_command, "HTTPS for a host, in one command",
     "usage: owui-spoa setup HOST --upstream ADDRESS [--email ADDRESS] [--name TENANT]\n"
     "                       [--staging] [--directory URL] [--ca-file FILE] [--wait SECONDS]\n"
     "                       [--dry-run] [--yes] [--no-start] [-c FILE]\n"
     "       owui-spoa setup [HOST] --tutorial FILE [--certbot FOLDER] ...\n"
     "\n"
     "Writes the configuration, the tenant's file and HAProxy's files, has HAProxy check them,\n"
     "enables and starts both services, waits for the certificate, and tells what works and what\n"
     "belongs into Open WebUI's environment. What is there is kept: settings stay, files that\n"
     "change are shown before and kept beside. Run again, it changes nothing and tells what "
     "works;\n"
     "with another host, it adds a tenant.\n"
     "\n"
     "      --upstream ADDRESS  where Open WebUI listens: 127.0.0.1:3000, "
     "https://ai.internal:8443\n"
     "      --email ADDRESS     whom the CA may write to\n"
     "      --name TENANT       the tenant's name (the host)\n"
     "      --staging           Let's Encrypt's trial CA, whose certificates nobody trusts\n"
     "      --directory URL     another CA's ACME directory\n"
     "      --ca-file FILE      what that CA's own HTTPS is verified with\n"
     "      --tutorial FILE     carry over a haproxy.cfg as Open WebUI's tutorial has it: hosts,\n"
     "                          paths and servers become tenants, with what was wrong mended\n"
     "      --certbot FOLDER    take over certbot's certificates (/etc/letsencrypt, if there)\n"
     "      --wait SECONDS      for certificates, at most (180)\n"
     "      --dry-run           print every file and command, change nothing\n"
     "  -y, --yes               do not ask\n"
     "      --no-start          write the files, start nothing\n"
     "  -c, --config FILE       the global file (" DEFAULT_CONFIGURATION ")\n"
     "\n"
     "exit code: 0 everything works; 1 it is set up, but something does not work (yet); 2 nothing\n"
     "was changed, or a service does not start\n"
     "\n"
     "examples:\n"
     "  owui-spoa setup chat.example.com --upstream 127.0.0.1:3000 --email me@example.com\n"
     "  owui-spoa setup chat.example.com --upstream 127.0.0.1:3000 --dry-run | less\n"
     "  owui-spoa setup --tutorial /etc/haproxy/haproxy.cfg --email me@example.com\n"},
    {"run", run_command, "serve HAProxy, in the foreground",
     "usage: owui-spoa run [-c FILE]\n"
     "\n"
     "Answers HAProxy's questions until SIGTERM, in the foreground; what happens is logged to\n"
     "stderr. Changes of the configuration are seen by themselves.\n"
     "\n"
     "  -c, --config FILE   the global file (" DEFAULT_CONFIGURATION ")\n"
     "\n"
     "signals:\n"
     "  SIGHUP              read everything again\n"
     "  SIGUSR1             log counters, and recent decisions if \"trace\" is on\n"
     "  SIGTERM, SIGINT     answer what has arrived, then stop; twice: stop at once\n"
     "\n"
     "examples:\n"
     "  owui-spoa run -c owui-spoa.json\n"
     "  kill -HUP $(pidof owui-spoa)\n"},
    {"check", check_command, "look for mistakes in the configuration",
     "usage: owui-spoa check [-c FILE] [--json]\n"
     "\n"
     "Reads the global file and all tenants' files, and prints everything that is wrong at once.\n"
     "\n"
     "  -c, --config FILE   the global file (" DEFAULT_CONFIGURATION ")\n"
     "      --json          for programs\n"
     "\n"
     "exit code: 0 nothing is wrong (there may be warnings); 1 some tenants are wrong, the others\n"
     "would be served; 2 nothing would be served\n"
     "\n"
     "examples:\n"
     "  owui-spoa check && systemctl reload owui-spoa\n"
     "  owui-spoa check -c owui-spoa.json --json | jq '.diagnostics[] | .message'\n"},
    {"explain", explain_command, "tell where a request would go, and why",
     "usage: owui-spoa explain [-c FILE] URL [--from IP] [--header 'NAME: VALUE']...\n"
     "                         [--sni NAME] [--method METHOD] [--at TIME] [--json]\n"
     "       owui-spoa explain [-c FILE] --request-id ID [--json]\n"
     "\n"
     "Decides about a request as the daemon would, and tells how: the rules that were tried and\n"
     "the one that won, with the line it stands on, HAProxy's variables, and the headers that are\n"
     "deleted and set.\n"
     "\n"
     "  -c, --config FILE   the global file (" DEFAULT_CONFIGURATION ")\n"
     "      --from IP       who connects to HAProxy (192.0.2.1)\n"
     "      --header LINE   a header of the request, such as 'X-Forwarded-For: 203.0.113.9'\n"
     "      --sni NAME      the name asked for in the TLS handshake (the URL's host)\n"
     "      --method METHOD GET, OPTIONS, ... (GET)\n"
     "      --at TIME       when it comes, as 2026-12-01T02:00:00Z: for maintenance (now)\n"
     "      --request-id ID a request that is still in the trace's file, by its X-Request-ID: "
     "what\n"
     "                      was decided then, and what would be now\n"
     "      --json          for programs\n"
     "\n"
     "exit code: 0 forwarded or redirected; 1 refused; 2 wrong usage or configuration\n"
     "\n"
     "examples:\n"
     "  owui-spoa explain https://chat.example.com/\n"
     "  owui-spoa explain http://example.com/owui/ --from 203.0.113.9\n"
     "  owui-spoa explain https://chat.example.com/ --from 10.20.0.1 \\\n"
     "      --header 'X-Forwarded-For: 203.0.113.9' --header 'Host: Chat.Example.COM:443'\n"},
    {"haproxy-config", haproxy_config_command, "write HAProxy's side of the configuration",
     "usage: owui-spoa haproxy-config [-c FILE] [--for VERSION] [--out DIR] [--spoe]\n"
     "                                [--thumbprint T]\n"
     "\n"
     "Prints the haproxy.cfg that goes with the configuration, or writes it and the SPOE file to "
     "a\n"
     "folder. Lines of your own between the marks of an earlier haproxy.cfg in that folder are\n"
     "kept; one that somebody else wrote becomes haproxy.cfg.before. HAProxy needs a reload\n"
     "afterwards, not the agent.\n"
     "\n"
     "  -c, --config FILE   the global file (" DEFAULT_CONFIGURATION ")\n"
     "      --for VERSION   2.6, 3.0, 3.2, 3.4; without it, one text for all from 2.6 on\n"
     "      --out DIR       write DIR/haproxy.cfg and DIR/owui.spoe.cfg instead of printing\n"
     "      --spoe          print the SPOE file instead of haproxy.cfg\n"
     "      --thumbprint T  of the ACME account's key, so that HAProxy answers challenges when "
     "the\n"
     "                      agent is down; without it, from the key in acme.state_dir, if there "
     "is\n"
     "                      one that can be read; \"none\": no such answer\n"
     "\n"
     "examples:\n"
     "  owui-spoa haproxy-config --out /etc/haproxy && haproxy -c -f /etc/haproxy/haproxy.cfg\n"
     "  owui-spoa haproxy-config --for 3.4 | less\n"},
    {"status", status_command, "tell how the running daemon is",
     "usage: owui-spoa status [--json] [-c FILE] [--socket PATH]\n"
     "\n"
     "Asks the running daemon over its admin socket: version, generation, tenants by state,\n"
     "connections, decisions by outcome, HAProxys, certificates.\n"
     "\n"
     "  -c, --config FILE   where the socket is told (" DEFAULT_CONFIGURATION ")\n"
     "      --socket PATH   the admin socket itself\n"
     "      --json          for programs\n"
     "\n"
     "exit code: 0 all is well; 1 a tenant is wrong, a HAProxy is away or a certificate is not\n"
     "fine; 2 nobody answers\n"
     "\n"
     "examples:\n"
     "  owui-spoa status\n"
     "  owui-spoa status --json | jq .decisions\n"},
    {"top", top_command, "show what is going on, live",
     "usage: owui-spoa top [--once] [--json] [--interval S] [--rows N] [-c FILE] [--socket PATH]\n"
     "\n"
     "Asks the running daemon, and HAProxy where it may, every second: requests, refusals, how "
     "long\n"
     "decisions take (99 of 100 less than P99), by tenant, and what is open. SOCKETS are a "
     "tenant's\n"
     "open WebSockets, which HAProxy counts where the tenant's limits say so. Tenants beyond\n"
     "\"metrics\": {\"tenants\"} are together in _other.\n"
     "\n"
     "  q, Ctrl-C           end\n"
     "  s                   sort by the next column\n"
     "      --once          print one interval and end, as when the output is no terminal\n"
     "      --json          the same for programs\n"
     "      --interval S    seconds, 1 to 60 (1)\n"
     "      --rows N        tenants, at most (as many as fit; 20)\n"
     "  -c, --config FILE   where the socket is told (" DEFAULT_CONFIGURATION ")\n"
     "      --socket PATH   the admin socket itself\n"
     "\n"
     "exit code: 0 shown; 2 nobody answers\n"
     "\n"
     "examples:\n"
     "  owui-spoa top\n"
     "  owui-spoa top --json --interval 10 | jq '.tenants[0]'\n"},
    {"doctor", doctor_command, "look for what breaks, and tell which line to change",
     "usage: owui-spoa doctor [TENANT] [--seconds N] [--json] [-c FILE]\n"
     "\n"
     "Looks from this machine at what the CA and browsers meet: the configuration, the daemon,\n"
     "HAProxy (version, its way to the agent, its files), and of each tenant its names in DNS, "
     "the\n"
     "way of challenges, the certificate that is shown, /health and WebSocket through HAProxy, "
     "what\n"
     "Open WebUI is set to (origins, redirect_uri, cookies), and its servers. Changes nothing. "
     "Some\n"
     "of it only root can see.\n"
     "\n"
     "      --seconds N     how long, at most (20)\n"
     "  -c, --config FILE   the global file (" DEFAULT_CONFIGURATION ")\n"
     "      --json          for programs\n"
     "\n"
     "exit code: 0 nothing was found, or notes alone; 1 warnings or errors; 2 wrong usage or\n"
     "configuration\n"
     "\n"
     "examples:\n"
     "  sudo owui-spoa doctor\n"
     "  sudo owui-spoa doctor chat\n"
     "  owui-spoa doctor --json | jq -r '.findings[] | .message'\n"},
    {"tenants", tenants_command, "show tenants, add, change and remove them",
     "usage: owui-spoa tenants [NAME] [--state STATE] [--json] [-c FILE] [--socket PATH]\n"
     "       owui-spoa tenants add NAME JSONFILE|KEY=VALUE... [--file FILE.json]\n"
     "       owui-spoa tenants set NAME JSONFILE|KEY=VALUE... [--if-match ETAG]\n"
     "       owui-spoa tenants remove NAME [--if-match ETAG]\n"
     "\n"
     "Asks the running daemon. A change is written to the tenant's file, of which all else stays "
     "as\n"
     "it is, and in force when the command ends; what would be wrong is refused. A VALUE is JSON,\n"
     "or a text; none removes the key. The states:\n"
     "\n"
     "  live         as its file says\n"
     "  unresolved   the same, but the upstream's name has no address yet\n"
     "  parked       as it was before, until the new upstream's name has an address\n"
     "  kept         as it last was right: what its file says now is wrong\n"
     "  broken       not served: what its file says is wrong, and was never right\n"
     "  shadowed     not served: another file has a tenant of this name\n"
     "\n"
     "      --state STATE   only those\n"
     "  -c, --config FILE   where the socket is told (" DEFAULT_CONFIGURATION ")\n"
     "      --socket PATH   the admin socket itself\n"
     "      --json          for programs\n"
     "\n"
     "exit code: 0 all is well; 1 a tenant is kept, broken or shadowed, or there is no such "
     "tenant;\n"
     "2 nobody answers\n"
     "\n"
     "examples:\n"
     "  owui-spoa tenants --state broken\n"
     "  owui-spoa tenants chat --json\n"
     "  owui-spoa tenants add chat hosts='[\"chat.example.com\"]' upstream=http://10.0.0.1:3000\n"
     "  owui-spoa tenants set chat upstream=http://10.0.0.2:3000\n"},
    {"suspend", suspend_command, "turn a tenant's users away",
     "usage: owui-spoa suspend NAME [KEY=VALUE...] [--off] [--json] [-c FILE] [--socket PATH]\n"
     "\n"
     "Writes \"suspended\" to the tenant's file: its users get a page until it is resumed.\n"
     "\n"
     "      --off           resume\n"
     "  -c, --config FILE   where the socket is told (" DEFAULT_CONFIGURATION ")\n"
     "      --socket PATH   the admin socket itself\n"
     "      --json          for programs\n"
     "\n"
     "exit code: 0 done; 1 refused; 2 wrong usage, or nobody answers\n"
     "\n"
     "examples:\n"
     "  owui-spoa suspend chat\n"
     "  owui-spoa suspend chat status=403\n"
     "  owui-spoa suspend chat --off\n"},
    {"maintenance", maintenance_command, "begin or end a tenant's maintenance",
     "usage: owui-spoa maintenance NAME [KEY=VALUE...] [--off] [--json] [-c FILE]\n"
     "                             [--socket PATH]\n"
     "\n"
     "Sets \"maintenance\" in the tenant's file on or off; what else stands there stays.\n"
     "\n"
     "      --off           end it\n"
     "  -c, --config FILE   where the socket is told (" DEFAULT_CONFIGURATION ")\n"
     "      --socket PATH   the admin socket itself\n"
     "      --json          for programs\n"
     "\n"
     "exit code: 0 done; 1 refused; 2 wrong usage, or nobody answers\n"
     "\n"
     "examples:\n"
     "  owui-spoa maintenance chat retry_after=30m allow_ips='[\"192.0.2.0/24\"]'\n"
     "  owui-spoa maintenance chat --off\n"},
    {"switch", switch_command, "make another version of a tenant the active one",
     "usage: owui-spoa switch NAME VERSION [--json] [-c FILE] [--socket PATH]\n"
     "\n"
     "Writes \"active\" to the tenant's file. The way back is the same with the other version.\n"
     "\n"
     "  -c, --config FILE   where the socket is told (" DEFAULT_CONFIGURATION ")\n"
     "      --socket PATH   the admin socket itself\n"
     "      --json          for programs\n"
     "\n"
     "exit code: 0 done; 1 refused; 2 wrong usage, or nobody answers\n"
     "\n"
     "examples:\n"
     "  owui-spoa switch chat green\n"},
    {"reload", reload_command, "read the configuration again",
     "usage: owui-spoa reload [--json] [-c FILE] [--socket PATH]\n"
     "\n"
     "Has the running daemon read every file again, as SIGHUP does, and tells what came of it.\n"
     "Changed files are seen without it.\n"
     "\n"
     "  -c, --config FILE   where the socket is told (" DEFAULT_CONFIGURATION ")\n"
     "      --socket PATH   the admin socket itself\n"
     "      --json          for programs\n"
     "\n"
     "exit code: 0 all tenants are right; 1 some are wrong; 2 nobody answers\n"
     "\n"
     "examples:\n"
     "  owui-spoa reload\n"},
    {"history", history_command, "tell who changed what, and when",
     "usage: owui-spoa history [ID] [--json] [-c FILE] [--socket PATH]\n"
     "\n"
     "Lists the last changes of the configuration's files, by command or by hand, the latest "
     "first;\n"
     "with an ID, the tenants that one changed, as they were (-) and became (+).\n"
     "\n"
     "  -c, --config FILE   where the socket is told (" DEFAULT_CONFIGURATION ")\n"
     "      --socket PATH   the admin socket itself\n"
     "      --json          for programs\n"
     "\n"
     "exit code: 0 told; 1 there is no such change, or no history; 2 nobody answers\n"
     "\n"
     "examples:\n"
     "  owui-spoa history\n"
     "  owui-spoa history 12\n"},
    {"rollback", rollback_command, "make the tenants' files what they were",
     "usage: owui-spoa rollback ID [--force] [--json] [-c FILE] [--socket PATH]\n"
     "\n"
     "Writes the tenants' files as they were after the change ID, which undoes all later ones; "
     "the\n"
     "rollback is a change too, and can be rolled back. The global file is left alone. A file "
     "that\n"
     "somebody has changed in the meantime, unseen, is not overwritten. Nothing is written that "
     "would\n"
     "not be right today.\n"
     "\n"
     "      --force         overwrite it\n"
     "  -c, --config FILE   where the socket is told (" DEFAULT_CONFIGURATION ")\n"
     "      --socket PATH   the admin socket itself\n"
     "      --json          for programs\n"
     "\n"
     "exit code: 0 done; 1 refused; 2 wrong usage, or nobody answers\n"
     "\n"
     "examples:\n"
     "  owui-spoa history && owui-spoa rollback 11\n"},
    {"diff", diff_command, "tell what a change does before it is made",
     "usage: owui-spoa diff FILE|FOLDER [-c FILE] [--json]\n"
     "       owui-spoa diff --to-config FILE [-c FILE] [--json]\n"
     "\n"
     "Compares behaviour, not text: asks the configuration as it is, and as it would be, about\n"
     "all hosts, paths, routes, networks and origins that the tenants which are not the same "
     "name,\n"
     "and tells which decisions, upstreams and headers differ. FILE takes the place of the file "
     "of\n"
     "its name in tenants.d, or is added; FOLDER takes the place of tenants.d. Names of upstreams\n"
     "are not looked up.\n"
     "\n"
     "  -c, --config FILE      the configuration as it is (" DEFAULT_CONFIGURATION ")\n"
     "      --to-config FILE   as it would be: another global file\n"
     "      --json             for programs\n"
     "\n"
     "exit code: 0 nothing differs; 1 something does, or a tenant is not the same in what no\n"
     "decision shows; 2 wrong usage or configuration\n"
     "\n"
     "examples:\n"
     "  owui-spoa diff /tmp/sales.json\n"
     "  owui-spoa diff --to-config owui-spoa.json.new\n"},
    {"replay", replay_command, "decide recorded requests by another configuration",
     "usage: owui-spoa replay TRACE [-c FILE] [--json]\n"
     "\n"
     "Reads what \"trace\": {\"file\": ...} has recorded, decides each request as the "
     "configuration\n"
     "would, and lists what differs from what was decided: decision, tenant, upstream, redirect.\n"
     "The daemon may be running. What depended on a token or a certificate is left out.\n"
     "\n"
     "  -c, --config FILE   the configuration (" DEFAULT_CONFIGURATION ")\n"
     "      --json          for programs\n"
     "\n"
     "exit code: 0 nothing differs; 1 something does; 2 wrong usage, configuration or file\n"
     "\n"
     "examples:\n"
     "  owui-spoa replay /var/lib/owui-spoa/trace -c owui-spoa.json.new\n"},
    {"certs", certs_command, "show certificates, renew, revoke, roll back",
     "usage: owui-spoa certs [NAME] [--check] [--json] [-c FILE] [--socket PATH]\n"
     "       owui-spoa certs renew|revoke|deploy|rollback NAME\n"
     "       owui-spoa certs import FOLDER\n"
     "       owui-spoa certs rollover\n"
     "\n"
     "Asks the running daemon over its admin socket. NAME is a tenant, or a certificate's file.\n"
     "\n"
     "  renew               order a new certificate now\n"
     "  revoke              tell the CA that it is not to be trusted any more, order another\n"
     "  deploy              bring what is on disk to every HAProxy again\n"
     "  rollback            put the certificate before this one back in service\n"
     "  import              take over certbot's certificates (/etc/letsencrypt): each goes to the\n"
     "                      tenant that has its names; the daemon reads the folder\n"
     "  rollover            give the account at the CA a new key\n"
     "      --check         print only what is not fine; for monitoring\n"
     "  -c, --config FILE   where the socket is told (" DEFAULT_CONFIGURATION ")\n"
     "      --socket PATH   the admin socket itself\n"
     "      --json          for programs\n"
     "\n"
     "exit code: 0 fine; 1 with --check: a certificate is missing, near its end or not served;\n"
     "2 nobody answers\n"
     "\n"
     "examples:\n"
     "  owui-spoa certs\n"
     "  owui-spoa certs renew chat\n"
     "  owui-spoa certs --check || mail -s certificates root\n"},
    {"token", token_command, "let a person or a program ask over TCP",
     "usage: owui-spoa token [list] [--json] [-c FILE] [--file PATH]\n"
     "       owui-spoa token add|remove NAME [--role ROLE] [--json] [-c FILE] [--file PATH]\n"
     "\n"
     "Tokens for the page and the admin interface over loopback TCP (\"admin_http\"). A token is "
     "random\n"
     "and printed once, when it is made; the file, of mode 0600, keeps its SHA-256. What is added "
     "or\n"
     "removed counts at once.\n"
     "\n"
     "      --role ROLE     read (unless told) or admin, which may change everything\n"
     "      --file PATH     the file of tokens (\"tokens_file\")\n"
     "  -c, --config FILE   where that is told (" DEFAULT_CONFIGURATION ")\n"
     "      --json          for programs\n"
     "\n"
     "exit code: 0 done; 1 refused; 2 wrong usage or configuration\n"
     "\n"
     "examples:\n"
     "  owui-spoa token add alice --role admin\n"
     "  owui-spoa token remove alice\n"},
};

static int help(void)
{
    printf("owui-spoa: routes Open WebUI tenants behind HAProxy\n"
           "\n"
           "usage: owui-spoa COMMAND [OPTION...]\n"
           "\n");
    for (size_t i = 0; i < COUNT_OF(COMMANDS); i++)
        printf("  %-16s %s\n", COMMANDS[i].name, COMMANDS[i].summary);
    printf("\n"
           "  owui-spoa COMMAND --help tells more; owui-spoa --version which version this is.\n"
           "\n"
           "the shortest way from nothing to HTTPS:\n"
           "\n"
           "  owui-spoa setup chat.example.com --upstream 127.0.0.1:3000 --email me@example.com\n"
           "\n"
           "the same, step by step:\n"
           "\n"
           "  echo '{\"tenants\": {\"chat\": {\"hosts\": [\"chat.example.com\"],\n"
           "         \"upstream\": \"http://127.0.0.1:3000\"}}}' >owui-spoa.json\n"
           "  owui-spoa check -c owui-spoa.json\n"
           "  owui-spoa explain -c owui-spoa.json https://chat.example.com/\n"
           "  owui-spoa haproxy-config -c owui-spoa.json --out /etc/haproxy\n"
           "  owui-spoa run -c owui-spoa.json\n");
    return EXIT_GOOD;
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(COMMANDS); i++)
        if (strcmp(COMMANDS[i].name, name) == 0)
            return &COMMANDS[i];
    return NULL;
}

int command_help(const char *name)
{
    const struct command *command = find_command(name);
    assert(command != NULL);
    fputs(command->help, stdout);
    return EXIT_GOOD;
}

int command_misused(const char *name, const char *format, ...)
{
    if (format != NULL) { /* else getopt has said it */
        va_list arguments;
        va_start(arguments, format);
        fputs("owui-spoa: ", stderr);
        vfprintf(stderr, format, arguments);
        fputc('\n', stderr);
        va_end(arguments);
    }
    fprintf(stderr, "owui-spoa %s --help tells how it is used\n", name);
    return EXIT_WRONG;
}

static bool is_one_of(const char *text, const char *a, const char *b)
{
    return strcmp(text, a) == 0 || strcmp(text, b) == 0;
}

int main(int count, char **arguments)
{
    if (count < 2) {
        fputs("usage: owui-spoa COMMAND [OPTION...]; owui-spoa --help tells which there are\n",
              stderr);
        return EXIT_WRONG;
    }
    if (is_one_of(arguments[1], "--help", "-h") || strcmp(arguments[1], "help") == 0) {
        const struct command *command = count > 2 ? find_command(arguments[2]) : NULL;
        return command != NULL ? command_help(command->name) : help();
    }
    if (is_one_of(arguments[1], "--version", "-V")) {
        puts("owui-spoa " OWUI_SPOA_VERSION);
        return EXIT_GOOD;
    }
    const struct command *command = find_command(arguments[1]);
    if (command == NULL) {
        fprintf(stderr, "owui-spoa: no command \"%s\"; owui-spoa --help tells which there are\n",
                arguments[1]);
        return EXIT_WRONG;
    }
    return command->run(count - 1, arguments + 1);
}
