/* What a command says of itself. */
#pragma once

#include "cli/command_line.h"

/* On standard output, for people. `options` are all, --help too. */
void command_help_print(const char *name, const struct command_usage *usage,
                        const struct command_option *options);
/* The same as members of `object`. */
void command_help_describe(struct json *object, const struct command_usage *usage,
                           const struct command_option *options);
