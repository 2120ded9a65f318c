/* What HAProxy, or whoever has its socket, answers to commands.
 *
 * The input is a conversation: answers parted by lines of "%%". By them a certificate is put in and
 * taken out, and a map brought up to date. Whatever they say, each command is one command, with a
 * payload only where one is meant; the machines end; and nothing is committed, or told as done, but
 * what an answer allowed. The same bytes are a list of streams, and a table of statistics.
 */
#include "core/ip.h"
#include "fuzz/fuzz.h"
#include "hap/runtime.h"
#include "hap/runtime_map.h"
#include "hap/runtime_streams.h"
#include "support/fuzz_input.h"

#include <ctype.h>

#define CERTIFICATE "/etc/haproxy/certs/chat.test.pem"
#define FINGERPRINT "0123456789ABCDEF0123456789ABCDEF01234567"

enum { TURNS_MAX = 40, LONG_VALUE_BYTES = 9000 };

/* ---- What is sent ---- */

static bool has(struct slice text, const char *words)
{
    return text.size > 0 && memmem(text.data, text.size, words, strlen(words)) != NULL;
}

/* Nothing that HAProxy takes for the end of a command, or for another one. */
static void check_command(const struct writer *command)
{
    struct slice line, payload = writer_written(command);
    FUZZ_REQUIRE(!command->failed && payload.size <= RUNTIME_COMMAND_MAX_BYTES);
    FUZZ_REQUIRE(runtime_next_line(&payload, &line));
    bool has_payload = slice_ends_with(line, SLICE(" <<"));
    for (size_t i = 0; i < line.size - (has_payload ? 2 : 0); i++)
        FUZZ_REQUIRE(isprint((uint8_t)line.data[i]) && strchr(";\\\"'<", line.data[i]) == NULL);
    FUZZ_REQUIRE(has_payload == (payload.size > 0));
    if (has_payload)
        FUZZ_REQUIRE(memmem(payload.data, payload.size, "\n\n", 2) ==
                     payload.data + payload.size - 2);
}

/* ---- A certificate ---- */

static void check_swap(struct slice answers, bool removing)
{
    static uint8_t buffer[RUNTIME_COMMAND_MAX_BYTES];
    struct runtime_swap swap = {.prefix = removing ? SLICE("@1 ") : SLICE(""),
                                .file = SLICE(CERTIFICATE),
                                .list = SLICE("/etc/haproxy/certs"),
                                .pem = SLICE("-----BEGIN X-----\nAAAA\n-----END X-----\n"),
                                .fingerprint = SLICE(FINGERPRINT)};
    struct slice answer = {0};
    struct writer command = writer_of(buffer, sizeof(buffer));
    enum runtime_step step =
        removing ? runtime_remove_start(&swap, &command) : runtime_swap_start(&swap, &command);
    for (unsigned turns = 0; step == RUNTIME_SEND; turns++) {
        FUZZ_REQUIRE(turns < TURNS_MAX);
        check_command(&command);
        if (swap.state == SWAP_COMMIT)
            FUZZ_REQUIRE(has(answer, "Transaction created for certificate " CERTIFICATE "!"));
        answer = input_take(&answers, SLICE("%%\n"));
        (void)runtime_swap_has_enough(&swap, answer);
        command = writer_of(buffer, sizeof(buffer));
        step = runtime_swap_answer(&swap, answer, &command);
    }
    if (step == RUNTIME_FAILED)
        FUZZ_REQUIRE(swap.error != ERROR_OK && swap.reason.text[0] != '\0');
    else if (!removing)
        FUZZ_REQUIRE(
            slice_equal_nocase(runtime_value(answer, "SHA1 FingerPrint"), SLICE(FINGERPRINT)));
    else
        FUZZ_REQUIRE(swap.existed ? has(answer, "deleted!") : has(answer, "Not found"));
}

/* ---- A map ---- */

static void check_push(struct slice answers, const struct runtime_map *before,
                       const struct runtime_map *now)
{
    static uint8_t buffer[RUNTIME_COMMAND_MAX_BYTES];
    struct runtime_map_push push = {
        .file = SLICE("/var/lib/owui-spoa/a.map"), .before = before, .now = now};
    struct slice answer = {0};
    struct writer command = writer_of(buffer, sizeof(buffer));
    enum runtime_step step = runtime_map_start(&push, &command);
    for (unsigned turns = 0; step == RUNTIME_SEND; turns++) {
        FUZZ_REQUIRE(turns < TURNS_MAX);
        check_command(&command);
        FUZZ_REQUIRE(push.state != MAP_COMMIT || push.filled == now->count);
        answer = input_take(&answers, SLICE("%%\n"));
        command = writer_of(buffer, sizeof(buffer));
        step = runtime_map_answer(&push, answer, &command);
    }
    if (step == RUNTIME_FAILED)
        FUZZ_REQUIRE(push.error != ERROR_OK && push.reason.text[0] != '\0');
    else
        FUZZ_REQUIRE(push.whole ? push.filled == now->count : push.new_at == now->count);
}

/* The texts are not written to. */
static struct runtime_map_entry entry(const char *key, const char *value)
{
    return (struct runtime_map_entry){(char *)(uintptr_t)key, (char *)(uintptr_t)value};
}

static void check_maps(struct slice answers)
{
    static char value[LONG_VALUE_BYTES];
    struct runtime_map_entry old[] = {entry("a", "1"), entry("b", "2"), entry("c", "3")};
    struct runtime_map_entry new[] = {entry("a", "1"), entry("b", "3"), entry("d", "4")};
    struct runtime_map_entry wide[] = {entry("a", "1 2"), entry("b", value), entry("c", value)};
    const struct runtime_map before = {old, COUNT_OF(old)};
    memset(value, 'v', sizeof(value) - 1);
    check_push(answers, &before, &(struct runtime_map){new, COUNT_OF(new)});
    check_push(answers, &before, &(struct runtime_map){wide, COUNT_OF(wide)});
    check_push(answers, NULL, &(struct runtime_map){0});
}

/* ---- Lists ---- */

static void check_lists(struct slice answer)
{
    struct runtime_stream stream;
    struct slice rest = answer, head = {0}, row = {0};
    while (runtime_stream_next(&rest, &stream)) {
        FUZZ_REQUIRE(slice_starts_with(stream.id, SLICE("0x")));
        FUZZ_REQUIRE(stream.server.family != IP_NONE || stream.port == 0);
    }
    rest = answer;
    if (runtime_next_line(&rest, &head) && runtime_next_line(&rest, &row))
        FUZZ_REQUIRE(runtime_field(head, row, "svname").size <= row.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_from(data, size);
    check_swap(input, false);
    check_swap(input, true);
    check_maps(input);
    check_lists(input);
    return 0;
}
