/* Paths of claims: see claim_read.h. */
#include "claim_read.h"

#include "core/memory.h"
#include "route/identity.h"

#include <stdlib.h>

enum { NAMES_BYTES = 500 };

static bool report(const struct node *node, const char *hint, const char *what)
{
    node_report(node, JSON_PART_VALUE, CODE_CLAIM, hint != NULL ? memory_format("%s", hint) : NULL,
                "%s", what);
    return false;
}

/* Takes the next name; the rest is one less. */
static bool add_name(const struct node *node, struct slice name, char **path)
{
    bool good = name.size > 0 && slice_equal(slice_trim(name), name);
    for (size_t i = 0; good && i < name.size; i++)
        good = (uint8_t)name.data[i] >= 0x20 && name.data[i] != 0x7f;
    if (!good)
        return report(node, NULL,
                      "the name of a claim must not be empty, nor have control bytes, or blanks at "
                      "its ends");
    char *longer = *path == NULL ? memory_copy_text(name)
                                 : memory_format("%s%c%.*s", *path, IDENTITY_CLAIM_SEPARATOR,
                                                 SLICE_PRINT(name));
    free(*path);
    *path = longer;
    return true;
}

static bool is_url(struct slice text)
{
    return slice_starts_with(text, SLICE("https://")) || slice_starts_with(text, SLICE("http://"));
}

static bool read_text(const struct node *node, struct slice text, char **path)
{
    while (!is_url(text) && slice_has(text, '.')) {
        if (!add_name(node, slice_cut(&text, '.'), path))
            return false;
        if (is_url(text))
            return report(node, "[\"user\", \"https://example.com/roles\"]",
                          "a name that is a URL must stand alone, or in a list");
    }
    return add_name(node, text, path);
}

static bool read_list(const struct node *node, char **path)
{
    struct slice name;
    if (json_count(node->value) == 0)
        return report(node, "[\"realm_access\", \"roles\"]", "this list names no claim");
    for (struct node_iterator i = node_children(node); node_next(&i);)
        if (!node_text(&i.node, &name) || !add_name(&i.node, name, path))
            return false;
    return true;
}

static size_t count_names(const char *path)
{
    size_t count = 1;
    for (; *path != '\0'; path++)
        count += *path == IDENTITY_CLAIM_SEPARATOR;
    return count;
}

bool claim_read(const struct node *node, char **path)
{
    struct slice text;
    char *found = NULL;
    bool good = json_type_of(node->value) == JSON_TYPE_ARRAY
                    ? read_list(node, &found)
                    : node_text(node, &text) && read_text(node, text, &found);
    if (good && found != NULL &&
        (count_names(found) > IDENTITY_CLAIM_DEPTH_MAX || strlen(found) > NAMES_BYTES))
        good = report(node, NULL, "a claim can be eight names deep, of 500 bytes altogether");
    if (good) {
        free(*path);
        *path = found;
    } else {
        free(found);
    }
    return good;
}
