/* `owui-spoa run`: the daemon in the foreground. */
#include "cli/command.h"
#include "daemon.h"

static const struct command_usage USAGE = {
    .about = "Answers HAProxy's questions until SIGTERM, in the foreground; what happens is logged "
             "to stderr. Changes of the configuration are seen by themselves.",
    .terms_heading = "signals",
    .terms = {{"SIGHUP", "read everything again"},
              {"SIGUSR1",
               "log counters, and each loop's last hundred decisions if \"trace\" is on"},
              {"SIGTERM, SIGINT", "answer what has arrived, then stop; twice: stop at once"}},
    .exit_codes = {"told to stop", NULL, "it could not start; the last line of the log tells why"},
    .examples = {"owui-spoa run -c owui-spoa.json", "kill -HUP $(pidof owui-spoa)"},
};

int run_command(struct command_line *line)
{
    const char *path = DEFAULT_CONFIGURATION;
    const struct command_option options[] = {command_option_config(&path), {0}};
    return command_line_read(line, &USAGE, options) ? daemon_run(path) : line->code;
}
