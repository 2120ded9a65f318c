/* Sealed names of tenants: see agent/seal.h. */
#include "agent/seal.h"

#include "core/hex.h"
#include "route/host.h"

#define PURPOSE "owui_tenant"

/* Zeros stand between the parts, because no part can hold one. */
static bool make_mac(const uint8_t key[static CRYPTO_SEAL_KEY_BYTES], struct slice host,
                     struct slice end, struct slice tenant, char text[static SEAL_MAC_BYTES + 1])
{
    char buffer[sizeof(PURPOSE) + HOST_MAX_BYTES + 1 + SEAL_MAX_BYTES];
    uint8_t mac[CRYPTO_SEAL_BYTES];
    struct writer message = writer_of(buffer, sizeof(buffer));
    writer_bytes(&message, slice_from(PURPOSE, sizeof(PURPOSE)));
    writer_bytes(&message, host);
    writer_u8(&message, 0);
    writer_bytes(&message, end);
    writer_bytes(&message, tenant);
    if (message.failed || !crypto_seal(key, writer_written(&message), mac))
        return false;
    hex_print(mac, sizeof(mac), text);
    return true;
}

bool seal_write(const struct seal_keys *keys, struct slice host, struct slice tenant, int64_t end_s,
                struct writer *value)
{
    const uint8_t end_bytes[] = {(uint8_t)(end_s >> 24), (uint8_t)(end_s >> 16),
                                 (uint8_t)(end_s >> 8), (uint8_t)end_s};
    char end[SEAL_END_BYTES + 1], mac[SEAL_MAC_BYTES + 1];
    if (keys->count == 0 || end_s < 0 || end_s > UINT32_MAX)
        return false;
    hex_print(end_bytes, sizeof(end_bytes), end);
    if (!make_mac(keys->keys[0], host, slice_of(end), tenant, mac))
        return false;
    writer_bytes(value, slice_of(end));
    writer_u8(value, '.');
    writer_bytes(value, slice_of(mac));
    writer_u8(value, '.');
    writer_bytes(value, tenant);
    return !value->failed;
}

/* Strict: the one spelling that seal_write() has. */
static bool read_end(struct slice text, int64_t *end_s)
{
    uint8_t bytes[SEAL_END_BYTES / 2];
    if (!hex_read(text, bytes, sizeof(bytes)))
        return false;
    struct reader reader = reader_of(slice_from(bytes, sizeof(bytes)));
    *end_s = reader_u32(&reader);
    return true;
}

struct slice seal_read(const struct seal_keys *keys, struct slice host, struct slice value,
                       int64_t now_s)
{
    enum { MAC_AT = SEAL_END_BYTES + 1, TENANT_AT = MAC_AT + SEAL_MAC_BYTES + 1 };
    int64_t end_s;
    if (value.size <= TENANT_AT || value.size > SEAL_MAX_BYTES || value.data[MAC_AT - 1] != '.' ||
        value.data[TENANT_AT - 1] != '.' || !read_end(slice_head(value, SEAL_END_BYTES), &end_s) ||
        end_s <= now_s)
        return (struct slice){0};
    struct slice end = slice_head(value, SEAL_END_BYTES);
    struct slice tenant = slice_skip(value, TENANT_AT);
    for (unsigned i = 0; i < keys->count; i++) {
        char mac[SEAL_MAC_BYTES + 1];
        if (make_mac(keys->keys[i], host, end, tenant, mac) &&
            crypto_equal(mac, value.data + MAC_AT, SEAL_MAC_BYTES))
            return tenant;
    }
    return (struct slice){0};
}
