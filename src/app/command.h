/* The subcommands and what they share: options, exit codes, help. */
#pragma once

#include "core/base.h"

#define DEFAULT_CONFIGURATION "/etc/owui-spoa/owui-spoa.json"

/* Exit codes of all commands, for scripts. */
enum exit_code {
    EXIT_GOOD = 0,
    EXIT_BAD = 1,   /* it works in part, or the answer is no */
    EXIT_WRONG = 2, /* wrong usage, or nothing works at all */
};

/* Each gets its own name as arguments[0]. */
typedef int command_fn(int count, char **arguments);

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
command_fn history_command;
command_fn rollback_command;
command_fn diff_command;
command_fn replay_command;
command_fn doctor_command;
command_fn top_command;
command_fn token_command;

/* Says on stderr what is wrong with the way the command was called; returns EXIT_WRONG. */
int command_misused(const char *command, const char *format, ...) PRINTF_LIKE(2, 3);
/* Prints the command's help to stdout; returns EXIT_GOOD. */
int command_help(const char *command);
