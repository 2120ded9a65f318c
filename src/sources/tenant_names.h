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

/* Adds a copy at the end: who has added all sorts them before anything is looked for. */
void tenant_names_add(struct tenant_names *names, const char *name);
void tenant_names_sort(struct tenant_names *names);
/* NULL when it is not there. */
struct tenant_text *tenant_names_find(const struct tenant_names *names, const char *name);
