/* `owui-spoa run`: the daemon in the foreground. */
#include "command.h"
#include "daemon.h"

#include <getopt.h>
#include <stddef.h>

int run_command(int count, char **arguments)
{
    static const struct option OPTIONS[] = {
        {"config", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}, {0}};
    const char *path = DEFAULT_CONFIGURATION;
    int option;

    while ((option = getopt_long(count, arguments, "c:h", OPTIONS, NULL)) != -1) {
        switch (option) {
        case 'c': path = optarg; break;
        case 'h': return command_help(arguments[0]);
        default: return command_misused(arguments[0], NULL);
        }
    }
    if (optind < count)
        return command_misused(arguments[0], "unexpected argument \"%s\"", arguments[optind]);
    return daemon_run(path);
}
