/* A set of tenants' names, each with what is known of its text: what a file holds or held. */
#pragma once

#include "conf/configuration.h"

struct tenant_names {
    struct tenant_text *items;
    size_t count;
};

/* All that the file tells, sorted; they are taken out of it. */
struct tenant_names tenant_names_of(struct tenant_file *file);
void tenant_names_fini(struct tenant_names *names);

/* Adds a copy at the end, where it is not looked for by name. */
void tenant_names_add(struct tenant_names *names, const char *name);
/* NULL when it is not there. */
struct tenant_text *tenant_names_find(const struct tenant_names *names, const char *name);
