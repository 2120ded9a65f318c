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

/* The value is built aside, because its length comes before it. */
static struct writer expand(const struct template *template, const struct template_values *values,
                            uint8_t buffer[static SPOP_ACTIONS_MAX_BYTES])
{
    struct writer value = writer_of(buffer, SPOP_ACTIONS_MAX_BYTES);
    template_write(template, values, &value);
    return value;
}

void action_set_header_slots(struct writer *actions, const struct tenant *tenant, bool dynamic,
                             const struct template_values *values)
{
    uint8_t buffer[SPOP_ACTIONS_MAX_BYTES];
    for (size_t i = 0; i < tenant->header_count; i++) {
        const struct header *header = &tenant->headers[i];
        if (header->value.dynamic != dynamic || !template_is_known(&header->value, values))
            continue;
        struct writer value = expand(&header->value, values, buffer);
        actions->failed |= value.failed;
        spop_write_set_string(actions, SPOP_SCOPE_TRANSACTION, slice_of(header->variable),
                              writer_written(&value));
    }
}

void action_set_headers(struct writer *actions, const struct tenant *tenant,
                        const struct template_values *values)
{
    uint8_t list_buffer[SPOP_ACTIONS_MAX_BYTES];
    uint8_t buffer[SPOP_ACTIONS_MAX_BYTES];
    struct writer list = writer_of(list_buffer, sizeof(list_buffer));
    for (size_t i = 0; i < tenant->header_count; i++) {
        if (!template_is_known(&tenant->headers[i].value, values))
            continue;
        struct writer value = expand(&tenant->headers[i].value, values, buffer);
        list.failed |= value.failed;
        spop_write_string(&list, slice_of(tenant->headers[i].name));
        spop_write_string(&list, writer_written(&value));
    }
    if (writer_used(&list) == 0 && !list.failed)
        return;
    spop_write_string(&list, (struct slice){0});
    spop_write_string(&list, (struct slice){0});
    actions->failed |= list.failed;
    spop_write_set_binary(actions, SPOP_SCOPE_TRANSACTION, SLICE("headers"), writer_written(&list));
}
