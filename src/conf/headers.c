/* "headers" of the global file and of tenants: see headers.h. */
#include "headers.h"

#include "core/memory.h"

#include <stdlib.h>

/* More than an answer has room for, so that only what is dropped of others can be as many. */
enum { HEADERS_MAX = 256 };

void header_list_add(struct header_list *list, struct header header)
{
    list->items = memory_resize(list->items, list->count + 1, sizeof(*list->items));
    list->items[list->count++] = header;
}

void header_list_add_copy(struct header_list *list, const struct header *header)
{
    struct header copy;
    header_copy(header, &copy);
    header_list_add(list, copy);
}

bool header_is_named(const struct header *header, struct slice name)
{
    return slice_equal_nocase(slice_of(header->name), name);
}

bool template_uses(const struct template *template, enum header_placeholder placeholder)
{
    for (size_t i = 0; i < template->part_count; i++)
        if (template->parts[i].placeholder == (int)placeholder)
            return true;
    return false;
}

static bool name_may_be_set(const struct node *node, const struct header_rules *rules)
{
    struct error_text why;
    if (header_name_check(node->key, &why) != ERROR_OK) {
        node_report(node, JSON_PART_KEY, CODE_HEADER_NAME, NULL, "%s", why.text);
        return false;
    }
    if (slice_equal_nocase(node->key, slice_of(rules->tenant_id_header))) {
        node_report(node, JSON_PART_KEY, CODE_HEADER_NAME,
                    memory_format("\"tenant_id_header\" of the global file gives it another name"),
                    "header \"%.*s\" tells the tenant's name already", SLICE_PRINT(node->key));
        return false;
    }
    for (size_t i = 0; i < rules->fixed_count; i++) {
        if (header_is_named(&rules->fixed[i], node->key)) {
            node_report(node, JSON_PART_KEY, CODE_HEADER_FIXED,
                        memory_format("what tenants may change belongs in \"defaults\""),
                        "header \"%.*s\" is set for all tenants by the global file",
                        SLICE_PRINT(node->key));
            return false;
        }
    }
    return true;
}

static bool is_listed(const struct header_section *section, struct slice name)
{
    for (size_t i = 0; i < section->set.count; i++)
        if (header_is_named(&section->set.items[i], name))
            return true;
    for (size_t i = 0; i < section->removed.count; i++)
        if (slice_equal_nocase(slice_of(section->removed.items[i]), name))
            return true;
    return false;
}

static void read_value(const struct node *node, struct header_section *section)
{
    struct slice source;
    struct header header = {0};
    struct error_text why;
    if (!node_text(node, &source))
        return;
    if (template_parse(source, &header.value, &why) != ERROR_OK) {
        node_report(node, JSON_PART_VALUE, CODE_HEADER_VALUE, NULL, "header \"%.*s\": %s",
                    SLICE_PRINT(node->key), why.text);
        return;
    }
    if (header.value.has_identity) {
        node_report(node, JSON_PART_VALUE, CODE_HEADER_VALUE,
                    memory_format("\"identity\": {\"set\": {\"%.*s\": ...}}, where it is told who "
                                  "verifies it",
                                  SLICE_PRINT(node->key)),
                    "header \"%.*s\" tells who the user is", SLICE_PRINT(node->key));
        template_fini(&header.value);
        return;
    }
    header.name = memory_copy_text(node->key);
    header_variable_name(node->key, header.variable);
    header_list_add(&section->set, header);
}

void headers_read(const struct node *node, const struct header_rules *rules,
                  struct header_section *section)
{
    if (!node_is(node, JSON_TYPE_OBJECT) || !node_is_short(node, HEADERS_MAX))
        return;
    for (struct node_iterator i = node_children(node); node_next(&i);) {
        if (!name_may_be_set(&i.node, rules))
            continue;
        if (is_listed(section, i.node.key)) {
            node_report(&i.node, JSON_PART_KEY, CODE_LISTED_TWICE,
                        memory_format("case does not count in header names"),
                        "header \"%.*s\" is there already", SLICE_PRINT(i.node.key));
            continue;
        }
        if (rules->may_remove && json_type_of(i.node.value) == JSON_TYPE_NULL)
            texts_add(&section->removed, memory_copy_text(i.node.key));
        else
            read_value(&i.node, section);
    }
}

void header_section_fini(struct header_section *section)
{
    for (size_t i = 0; i < section->set.count; i++)
        header_fini(&section->set.items[i]);
    free(section->set.items);
    texts_fini(&section->removed);
    *section = (struct header_section){0};
}
