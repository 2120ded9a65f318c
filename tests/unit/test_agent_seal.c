/* agent/seal: a cookie's value is good as it was written, on its host, until its end. */
#include "agent/seal.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>

static struct seal_keys keys_of(uint8_t first, uint8_t second, unsigned count)
{
    struct seal_keys keys = {.count = count};
    memset(keys.keys[0], first, CRYPTO_SEAL_KEY_BYTES);
    memset(keys.keys[1], second, CRYPTO_SEAL_KEY_BYTES);
    return keys;
}

static struct slice written(const struct seal_keys *keys, const char *host, const char *tenant,
                            int64_t end_s, char buffer[static SEAL_MAX_BYTES])
{
    struct writer writer = writer_of(buffer, SEAL_MAX_BYTES);
    cr_assert(seal_write(keys, slice_of(host), slice_of(tenant), end_s, &writer));
    return writer_written(&writer);
}

Test(seal, is_good_until_its_end)
{
    const struct seal_keys keys = keys_of(1, 0, 1);
    char buffer[SEAL_MAX_BYTES];
    struct slice value = written(&keys, "a.test", "acme", 1000, buffer);
    cr_expect(slice_equal(seal_read(&keys, SLICE("a.test"), value, 999), SLICE("acme")));
    cr_expect(eq(sz, seal_read(&keys, SLICE("a.test"), value, 1000).size, 0));
    cr_expect(eq(sz, seal_read(&keys, SLICE("b.test"), value, 999).size, 0));
}

Test(seal, any_changed_byte_breaks_it)
{
    const struct seal_keys keys = keys_of(1, 0, 1);
    char buffer[SEAL_MAX_BYTES];
    struct slice value = written(&keys, "a.test", "acme", 0x6a1f00c0, buffer);
    for (size_t i = 0; i < value.size; i++) {
        for (int bit = 0; bit < 8; bit++) {
            buffer[i] = (char)(buffer[i] ^ (1 << bit));
            cr_expect(eq(sz, seal_read(&keys, SLICE("a.test"), value, 0).size, 0), "%zu", i);
            buffer[i] = (char)(buffer[i] ^ (1 << bit));
        }
        cr_expect(eq(sz, seal_read(&keys, SLICE("a.test"), slice_head(value, i), 0).size, 0));
    }
}

Test(seal, the_key_before_is_good_and_no_other)
{
    const struct seal_keys old = keys_of(1, 0, 1), renewed = keys_of(2, 1, 2),
                           gone = keys_of(3, 2, 2), none = keys_of(1, 1, 0);
    char buffer[SEAL_MAX_BYTES];
    struct slice value = written(&old, "a.test", "acme", 1000, buffer);
    cr_expect(slice_equal(seal_read(&renewed, SLICE("a.test"), value, 1), SLICE("acme")));
    cr_expect(eq(sz, seal_read(&gone, SLICE("a.test"), value, 1).size, 0));
    cr_expect(eq(sz, seal_read(&none, SLICE("a.test"), value, 1).size, 0));
    struct writer writer = writer_of(buffer, sizeof(buffer));
    cr_expect_not(seal_write(&none, SLICE("a.test"), SLICE("acme"), 1000, &writer));
}

/* The examples of NIST SP 800-38B, D.3. */
Test(seal, is_a_cmac)
{
    static const uint8_t KEY[CRYPTO_SEAL_KEY_BYTES] = {
        0x60, 0x3d, 0xeb, 0x10, 0x15, 0xca, 0x71, 0xbe, 0x2b, 0x73, 0xae,
        0xf0, 0x85, 0x7d, 0x77, 0x81, 0x1f, 0x35, 0x2c, 0x07, 0x3b, 0x61,
        0x08, 0xd7, 0x2d, 0x98, 0x10, 0xa3, 0x09, 0x14, 0xdf, 0xf4};
    static const uint8_t MESSAGE[] = {0x6b, 0xc1, 0xbe, 0xe2, 0x2e, 0x40, 0x9f, 0x96,
                                      0xe9, 0x3d, 0x7e, 0x11, 0x73, 0x93, 0x17, 0x2a};
    static const uint8_t OF_NOTHING[CRYPTO_SEAL_BYTES] = {0x02, 0x89, 0x62, 0xf6, 0x1b, 0x7b,
                                                          0xf8, 0x9e, 0xfc, 0x6b, 0x55, 0x1f,
                                                          0x46, 0x67, 0xd9, 0x83};
    static const uint8_t OF_MESSAGE[CRYPTO_SEAL_BYTES] = {0x28, 0xa7, 0x02, 0x3f, 0x45, 0x2e,
                                                          0x8f, 0x82, 0xbd, 0x4b, 0xf2, 0x8d,
                                                          0x8c, 0x37, 0xc3, 0x5c};
    uint8_t mac[CRYPTO_SEAL_BYTES];
    for (int round = 0; round < 2; round++) {
        cr_assert(crypto_seal(KEY, SLICE(""), mac));
        cr_expect(crypto_equal(mac, OF_NOTHING, sizeof(mac)));
        cr_assert(crypto_seal(KEY, slice_from(MESSAGE, sizeof(MESSAGE)), mac));
        cr_expect(crypto_equal(mac, OF_MESSAGE, sizeof(mac)));
    }
    mac[15] ^= 1;
    cr_expect_not(crypto_equal(mac, OF_MESSAGE, sizeof(mac)));
}
