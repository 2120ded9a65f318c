/* `owui-spoa tenants add|set|remove`, and the commands that change one key. */
#pragma once

#include "cli/command_line.h"

/* What a command line says of a change. */
struct tenants_change {
    const char *configuration;
    const char *socket; /* NULL: the configuration's */
    const char *file;   /* add: where to */
    const char *if_match;
    bool json;
};

/* The words of `line` are those behind "add", "set" or "remove": the tenant's name and what is to
 * be. Returns the exit code. */
int tenants_change(const struct tenants_change *change, const char *verb,
                   struct command_line *line);
