/* Sealed names of tenants: see agent/seal.h. */
#include "agent/seal.h"

#include "route/host.h"

#define PURPOSE "owui_tenant"

static void write_hex(struct writer *text, const uint8_t *bytes, size_t count)
{
    static const char DIGITS[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        writer_u8(text, (uint8_t)DIGITS[bytes[i] >> 4]);
        writer_u8(text, (uint8_t)DIGITS[bytes[i] & 15]);
    }
}

/* Zeros stand between the parts, because no part can hold one. */
static bool write_mac(const uint8_t key[static CRYPTO_SEAL_KEY_BYTES], struct slice host,
                      struct slice end, struct slice tenant, struct writer *text)
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
    write_hex(text, mac, sizeof(mac));
    return !text->failed;
}

bool seal_write(const struct seal_keys *keys, struct slice host, struct slice tenant, int64_t end_s,
                struct writer *value)
{
    const uint8_t end[] = {(uint8_t)(end_s >> 24), (uint8_t)(end_s >> 16), (uint8_t)(end_s >> 8),
                           (uint8_t)end_s};
    char end_buffer[SEAL_END_BYTES];
    struct writer end_text = writer_of(end_buffer, sizeof(end_buffer));
    if (keys->count == 0 || end_s < 0 || end_s > UINT32_MAX)
        return false;
    write_hex(&end_text, end, sizeof(end));
    writer_bytes(value, writer_written(&end_text));
    writer_u8(value, '.');
    if (!write_mac(keys->keys[0], host, writer_written(&end_text), tenant, value))
        return false;
    writer_u8(value, '.');
    writer_bytes(value, tenant);
    return !value->failed;
}

/* Strict: the one spelling that seal_write() has. */
static bool read_end(struct slice text, int64_t *end_s)
{
    *end_s = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c >= '0' && c <= '9')
            *end_s = *end_s * 16 + (c - '0');
        else if (c >= 'a' && c <= 'f')
            *end_s = *end_s * 16 + (c - 'a' + 10);
        else
            return false;
    }
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
        char buffer[SEAL_MAC_BYTES];
        struct writer mac = writer_of(buffer, sizeof(buffer));
        if (write_mac(keys->keys[i], host, end, tenant, &mac) &&
            crypto_equal(buffer, value.data + MAC_AT, SEAL_MAC_BYTES))
            return tenant;
    }
    return (struct slice){0};
}
