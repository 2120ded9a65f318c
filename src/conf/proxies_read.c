/* "trusted_proxies": see global_read.h. */
#include "global_read.h"

#include "core/memory.h"
#include "core/nearest.h"
#include "file.h"

#include <stdlib.h>

enum { GROUPS_MAX = 64 };

/* A group while it is read. */
struct draft {
    struct proxy_group *group;
    struct configuration *configuration;
};

static struct proxy_group *group_of(void *target)
{
    return ((struct draft *)target)->group;
}

static void add_network(struct proxy_group *group, const struct ip_network *network)
{
    group->networks =
        memory_resize(group->networks, group->network_count + 1, sizeof(*group->networks));
    group->networks[group->network_count++] = *network;
}

static void warn_about_everybody(const struct node *node, const struct ip_network *network)
{
    if (network->prefix_bits == 0)
        node_report(node, JSON_PART_VALUE, CODE_TRUSTS_EVERYBODY,
                    memory_format("list the networks of your own proxies"),
                    "every client may then claim any address as its own");
}

static void read_name(const struct node *node, void *target)
{
    node_plain_name(node, &group_of(target)->name);
}

static void read_cidrs(const struct node *node, void *target)
{
    struct ip_network network;
    if (!node_is(node, JSON_TYPE_ARRAY))
        return;
    for (struct node_iterator i = node_children(node); node_next(&i);) {
        if (!node_network(&i.node, &network))
            continue;
        warn_about_everybody(&i.node, &network);
        add_network(group_of(target), &network);
    }
}

/* One network a line, "#" starts a comment. */
static void read_network_lines(const struct node *node, const char *file, struct slice bytes,
                               struct proxy_group *group)
{
    struct place place = {file_name_keep(file), 0, 1};
    while (bytes.size > 0) {
        struct slice line = slice_before(slice_cut(&bytes, '\n'), '#');
        place.line++;
        if (slice_ends_with(line, SLICE("\r")))
            line.size--;
        struct slice text = slice_trim(line);
        struct ip_network network;
        if (text.size == 0)
            continue;
        if (!ip_network_parse(text, &network)) {
            diagnostics_add_code(node->document->diagnostics, CODE_BAD_NETWORK, &place, NULL,
                                 "\"%.*s\" is not an IP network", SLICE_PRINT(text));
            continue;
        }
        warn_about_everybody(node, &network);
        add_network(group, &network);
    }
}

static void read_cidrs_file(const struct node *node, void *target)
{
    struct configuration *configuration = ((struct draft *)target)->configuration;
    char *name = NULL;
    char *block = NULL;
    struct slice bytes;
    struct error_text why;
    if (!node_file_name(node, &name))
        return;
    struct texts files = {configuration->network_files, configuration->network_file_count};
    texts_add(&files, name);
    configuration->network_files = files.items;
    configuration->network_file_count = files.count;
    enum error error = text_file_read(name, node->document->diagnostics, &block, &bytes, &why);
    if (error == ERROR_OK)
        read_network_lines(node, name, bytes, group_of(target));
    else
        node_report_unreadable(node, NULL, error, &why);
    free(block);
}

static void read_client_ip_header(const struct node *node, void *target)
{
    struct proxy_group *group = group_of(target);
    struct slice text;
    if (!node_text(node, &text) || client_source_parse(text, &group->source))
        return;
    const char *names[CLIENT_SOURCE__MAX];
    for (size_t i = 0; i < COUNT_OF(names); i++)
        names[i] = client_source_header((enum client_source)i);
    node_report(node, JSON_PART_VALUE, CODE_NOT_A_CHOICE,
                nearest_hint(text, names, COUNT_OF(names), sizeof(*names)),
                "\"%.*s\" is not a header that the client's address can be taken from",
                SLICE_PRINT(text));
}

static void read_group(const struct node *node, struct configuration *configuration)
{
    static const struct option OPTIONS[] = {
        {"name", read_name},
        {"cidrs", read_cidrs},
        {"cidrs_file", read_cidrs_file},
        {"client_ip_header", read_client_ip_header},
    };
    struct trusted_proxies *trusted = &configuration->settings->trusted_proxies;
    struct node member;
    if (!node_is(node, JSON_TYPE_OBJECT))
        return;
    struct proxy_group *group = &trusted->groups[trusted->group_count++];
    *group = (struct proxy_group){.source = CLIENT_X_FORWARDED_FOR};
    struct draft draft = {group, configuration};
    options_read(node, OPTIONS, COUNT_OF(OPTIONS), &draft);
    if (group->name == NULL)
        group->name = memory_format("proxies-%zu", node->index + 1);
    if (!node_member(node, "cidrs", &member) && !node_member(node, "cidrs_file", &member))
        node_report(node, JSON_PART_VALUE, CODE_MISSING_KEY,
                    memory_format("add \"cidrs\": [\"10.20.0.0/16\"]"),
                    "a group of proxies needs \"cidrs\" or a \"cidrs_file\"");
}

void trusted_proxies_read(const struct node *node, void *configuration)
{
    struct configuration *into = configuration;
    struct trusted_proxies *trusted = &into->settings->trusted_proxies;
    if (!node_is(node, JSON_TYPE_ARRAY) || !node_is_short(node, GROUPS_MAX))
        return;
    trusted->groups = memory_new(json_count(node->value) * sizeof(*trusted->groups));
    for (struct node_iterator i = node_children(node); node_next(&i);)
        read_group(&i.node, into);
}
