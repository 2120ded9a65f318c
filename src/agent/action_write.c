/* Actions that set variables of the transaction: see action_write.h. */
#include "action_write.h"

void action_set_text(struct writer *actions, struct slice name, struct slice value)
{
    if (value.size > 0)
        spop_write_set_string(actions, SPOP_SCOPE_TRANSACTION, name, value);
}

void action_set_number(struct writer *actions, struct slice name, int64_t value)
{
    spop_write_set_integer(actions, SPOP_SCOPE_TRANSACTION, name, value);
}

void action_set_ip(struct writer *actions, struct slice name, const struct ip *ip)
{
    if (ip->family != IP_NONE)
        spop_write_set_ip(actions, SPOP_SCOPE_TRANSACTION, name,
                          slice_from(ip->bytes, ip->family == IP_V4 ? 4 : 16));
}

void action_set_header_slots(struct writer *actions, const struct tenant *tenant, bool dynamic,
                             const struct template_values *values)
{
    for (size_t i = 0; i < tenant->header_count; i++) {
        const struct header *header = &tenant->headers[i];
        if (header->value.dynamic != dynamic || !template_is_known(&header->value, values))
            continue;
        size_t size = template_size(&header->value, values);
        spop_write_set_string_head(actions, SPOP_SCOPE_TRANSACTION,
                                   slice_from(header->variable, header->variable_size), size);
        if (actions->failed || size > writer_left(actions))
            actions->failed = true;
        else
            actions->position = template_put(&header->value, values, actions->position);
    }
}

/* Of the (name, value) pairs, without the two empty strings that close them. */
static size_t pairs_size(const struct tenant *tenant, const struct template_values *values)
{
    size_t size = 0;
    for (size_t i = 0; i < tenant->header_count; i++) {
        const struct header *header = &tenant->headers[i];
        if (template_is_known(&header->value, values))
            size += spop_string_size(strlen(header->name)) +
                    spop_string_size(template_size(&header->value, values));
    }
    return size;
}

void action_set_headers(struct writer *actions, const struct tenant *tenant,
                        const struct template_values *values)
{
    size_t size = pairs_size(tenant, values);
    if (size == 0)
        return;
    spop_write_set_binary_head(actions, SPOP_SCOPE_TRANSACTION, SLICE("headers"), size + 2);
    for (size_t i = 0; i < tenant->header_count; i++) {
        const struct header *header = &tenant->headers[i];
        if (!template_is_known(&header->value, values))
            continue;
        spop_write_string(actions, slice_of(header->name));
        spop_write_varint(actions, template_size(&header->value, values));
        template_write(&header->value, values, actions);
    }
    spop_write_string(actions, (struct slice){0});
    spop_write_string(actions, (struct slice){0});
}
