/* The subcommands, and their exit codes. */
#pragma once

#include "cli/command_line.h"

/* Exit codes of all commands, for scripts. */
enum exit_code {
    EXIT_GOOD = 0,
    EXIT_BAD = 1,   /* it works in part, or the answer is no */
    EXIT_WRONG = 2, /* wrong usage, or nothing works at all */
};

/* Each reads its line and returns what to exit with. They lie in the layers that do what they
 * say. */
typedef int command_fn(struct command_line *line);

command_fn setup_command;
command_fn run_command;
command_fn check_command;
command_fn explain_command;
command_fn haproxy_config_command;
command_fn certs_command;
command_fn status_command;
command_fn tenants_command;
command_fn reload_command;
command_fn suspend_command;
command_fn maintenance_command;
command_fn switch_command;
command_fn upgrade_command;
command_fn history_command;
command_fn rollback_command;
command_fn diff_command;
command_fn replay_command;
command_fn doctor_command;
command_fn top_command;
command_fn token_command;
