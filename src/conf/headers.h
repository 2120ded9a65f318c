/* "headers" of the global file, of its defaults and of tenants. */
#pragma once

#include "value.h"

struct header_list {
    struct header *items;
    size_t count;
};

/* What a "headers" object says: headers to set, and inherited ones (null) not to set. */
struct header_section {
    struct header_list set;
    struct texts removed;
};

/* Reads "headers". Names in `fixed` (NULL: none) may not be set, nor may `tenant_id_header`. */
struct header_rules {
    const struct header *fixed;
    size_t fixed_count;
    const char *tenant_id_header;
    bool may_remove; /* null is accepted: the inherited header is not wanted */
};
void headers_read(const struct node *node, const struct header_rules *rules,
                  struct header_section *section);
void header_section_fini(struct header_section *section);

void header_list_add(struct header_list *list, struct header header); /* takes it */
void header_list_add_copy(struct header_list *list, const struct header *header);
bool header_is_named(const struct header *header, struct slice name);

/* Whether the template holds this placeholder. */
bool template_uses(const struct template *template, enum header_placeholder placeholder);
