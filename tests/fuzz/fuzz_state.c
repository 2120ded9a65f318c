/* Files that the daemon has written itself, and reads at its next start: whatever became of them.
 *
 * The input is each of them: the keys that cookies are sealed with, the tokens of the admin
 * interface, what is left of a CA's limits, what is known of a certificate, and which file has what
 * several claim. What is believed
 * makes sense, and is the same when it has been written and read again.
 */
#include "acme/budget.h"

#include "admin/admin_tokens.h"
#include "conf/owners.h"
#include "fuzz/fuzz.h"
#include "serving/seal_file.h"
#include "store_facts.h"
#include "json/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct schedule_now NOW = {.mono_ms = 1000, .wall_s = 1800000000};

/* One by name, of mode 0600: others are refused. */
static char path[] = "/tmp/owui.fuzz-XXXXXX";

static void remove_file(void)
{
    unlink(path);
}

static void write_file(struct slice text)
{
    static int fd = -1;
    if (fd < 0) {
        fd = mkstemp(path);
        FUZZ_REQUIRE(fd >= 0 && atexit(remove_file) == 0);
    }
    FUZZ_REQUIRE(ftruncate(fd, 0) == 0);
    FUZZ_REQUIRE(pwrite(fd, text.data, text.size, 0) == (ssize_t)text.size);
}

static void check_keys(void)
{
    struct seal_keys keys;
    struct error_text why;
    if (seal_file_read(path, &keys, &why) == ERROR_OK)
        FUZZ_REQUIRE(keys.count >= 1 && keys.count <= SEAL_KEYS);
    else
        FUZZ_REQUIRE(keys.count == 0 && why.text[0] != '\0');
}

static void check_tokens(void)
{
    static struct admin_tokens tokens;
    struct error_text why;
    if (admin_tokens_read(path, &tokens, &why) != ERROR_OK)
        FUZZ_REQUIRE(tokens.count == 0 && why.text[0] != '\0');
    for (size_t i = 0; i < tokens.count; i++) {
        const struct admin_token *token = &tokens.items[i];
        FUZZ_REQUIRE(token->role <= ADMIN_ROLE_ADMIN && token->name[0] != '\0');
        FUZZ_REQUIRE(strspn(token->name, "abcdefghijklmnopqrstuvwxyz0123456789._-") ==
                     strlen(token->name));
    }
    FUZZ_REQUIRE(admin_tokens_find(&tokens, SLICE("owui_")) == NULL);
}

static void check_budget(const struct json *saved)
{
    struct budget *budget = budget_new(), *again = budget_new();
    budget_load(budget, saved, &NOW);
    struct json *written = budget_save(budget, &NOW);
    budget_load(again, written, &NOW);
    FUZZ_REQUIRE(budget_size(again) == budget_size(budget));
    FUZZ_REQUIRE(budget_take_account_ms(budget, NOW.mono_ms) >= 0);
    json_free(written);
    budget_free(again);
    budget_free(budget);
}

/* Those of a file whose stamp is as it was. */
static void check_facts(const struct json *saved)
{
    static const struct file_stamp FILE_OF_THEM = {.inode = 7, .size = 3000};
    static struct crypto_certificate none;
    struct crypto_certificate facts, again;
    struct json *mended = json_type_of(saved) == JSON_TYPE_OBJECT ? json_clone(saved) : NULL;
    struct json *usual = store_facts_to_json(&none, &FILE_OF_THEM);
    if (mended != NULL)
        json_put(mended, "file", json_clone(json_get(usual, "file")));
    if (store_facts_from_json(mended, &FILE_OF_THEM, &facts)) {
        struct json *written = store_facts_to_json(&facts, &FILE_OF_THEM);
        FUZZ_REQUIRE(facts.chain_count >= 1 && facts.key_type < CRYPTO_KEY__MAX);
        FUZZ_REQUIRE(store_facts_from_json(written, &FILE_OF_THEM, &again));
        FUZZ_REQUIRE(again.name_count == facts.name_count);
        FUZZ_REQUIRE(memcmp(again.sha256, facts.sha256, sizeof(facts.sha256)) == 0);
        crypto_certificate_free(&again);
        crypto_certificate_free(&facts);
        json_free(written);
    }
    json_free(usual);
    json_free(mended);
}

/* Nobody takes from a file what that takes back, or from itself. */
static void check_owners(struct slice text)
{
    static char name[] = "chat";
    static const struct tenant A = {.name = name, .place = {.file = "/etc/tenants.d/a.json"}};
    static const struct tenant Z = {.name = name, .place = {.file = "/etc/tenants.d/z.json"}};
    const struct route_conflict there = {.kept = &A, .ignored = &Z, .key = SLICE("chat.test")};
    const struct route_conflict back = {.kept = &Z, .ignored = &A, .key = SLICE("chat.test")};
    struct owners *owners = owners_parse(text);
    FUZZ_REQUIRE(!owners_prefer_tenant(owners, &A, &Z) || !owners_prefer_tenant(owners, &Z, &A));
    FUZZ_REQUIRE(!owners_prefer_tenant(owners, &A, &A));
    FUZZ_REQUIRE(!owners_prefer(owners, &there) || !owners_prefer(owners, &back));
    owners_free(owners);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_from(data, size);
    write_file(text);
    check_keys();
    check_tokens();
    struct json *saved = json_parse(text, 65536, NULL, NULL);
    check_budget(saved);
    check_facts(saved);
    check_owners(text);
    json_free(saved);
    return 0;
}
