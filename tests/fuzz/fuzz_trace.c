/* A file of recorded decisions that somebody hands in: what `replay` and `explain` make of it.
 *
 * The input is entries as they stand in the file, behind a byte: 1, their checksums are left as
 * they are; 2, the header is part of the input, too. Otherwise it is made to fit, so that the
 * entries are read.
 */
#include "conf/diagnostics.h"

#include "analysis/explain_recorded.h"
#include "analysis/replay.h"
#include "core/memory.h"
#include "core/time_text.h"
#include "fuzz/fuzz.h"
#include "support/fuzz_input.h"

#include <stdlib.h>

enum { OWN_CHECKS = 1, OWN_HEADER = 2, ENTRIES_MAX = 16 };

static const char CONFIGURATION[] =
    "{\"trusted_proxies\": [{\"name\": \"lb\", \"cidrs\": [\"10.0.0.0/8\"]},"
    " {\"name\": \"new\", \"cidrs\": [\"fd00::/8\"], \"client_ip_header\": \"Forwarded\"}],"
    " \"tenants\": {"
    "\"acme\": {\"hosts\": [\"acme.test\", \"*.acme.test\"], \"upstream\": \"http://10.0.0.1:80\"},"
    "\"shared\": {\"hosts\": [\"shared.test\"], \"upstream\": \"http://10.0.0.2:80\","
    " \"paths\": [{\"host\": \"acme.test\", \"prefix\": \"/shared\", \"mode\": \"redirect\"}]}}}";

/* ---- The file ---- */

static void put_entries(uint8_t how, struct slice rest, struct writer *file)
{
    while (rest.size > 0) {
        struct trace_entry entry = {0};
        size_t size = size_min(rest.size, sizeof(entry));
        memcpy(&entry, rest.data, size);
        rest = slice_skip(rest, size);
        size_t used = 0;
        for (unsigned i = 0; i < TRACE_TEXT__MAX; i++)
            used += entry.size[i];
        if ((how & OWN_CHECKS) == 0 && used <= sizeof(entry.texts))
            entry.check = trace_entry_check(&entry);
        writer_bytes(file, slice_from(&entry, sizeof(entry)));
    }
}

static struct slice make_file(uint8_t how, struct slice rest)
{
    static uint8_t buffer[TRACE_HEADER_BYTES + ENTRIES_MAX * TRACE_ENTRY_BYTES];
    struct trace_header header = {.magic = "", .entry_bytes = TRACE_ENTRY_BYTES, .loops = 1};
    struct writer file = writer_of(buffer, sizeof(buffer));
    rest = slice_head(rest, size_min(rest.size, ENTRIES_MAX * TRACE_ENTRY_BYTES));
    memcpy(header.magic, TRACE_MAGIC, sizeof(header.magic));
    header.entries = (rest.size + TRACE_ENTRY_BYTES - 1) / TRACE_ENTRY_BYTES;
    if ((how & OWN_HEADER) != 0) {
        size_t size = size_min(rest.size, sizeof(header));
        memcpy(&header, rest.data, size);
        rest = slice_skip(rest, size);
    }
    memset(buffer, 0, TRACE_HEADER_BYTES);
    memcpy(buffer, &header, sizeof(header));
    file.position += TRACE_HEADER_BYTES;
    put_entries(how, rest, &file);
    return writer_written(&file);
}

/* ---- What is made of it ---- */

/* What is told of an entry has a time that can be read, and is text. */
static void check_entry(struct trace_entry *entry)
{
    const struct recorded recorded = {.entry = entry};
    struct json *told = recorded_json(&recorded);
    struct slice when;
    int64_t seconds;
    FUZZ_REQUIRE(json_read_text(json_get(told, "when"), &when));
    FUZZ_REQUIRE(time_text_parse_rfc3339(when, &seconds));
    free(json_print(told, JSON_STYLE_COMPACT));
    json_free(told);
}

static void check_replay(const char *path, size_t entries)
{
    static struct input_file configuration;
    static const struct whole_changes NONE = {.file = NULL};
    struct diagnostics diagnostics = {0};
    struct error_text why;
    int64_t decided, skipped;
    if (configuration.path[0] == '\0')
        input_file_write(&configuration, slice_of(CONFIGURATION));
    struct json *told = replay_json(path, configuration.path, &NONE, &diagnostics, &why);
    FUZZ_REQUIRE(told != NULL && json_read_integer(json_get(told, "decided"), &decided));
    FUZZ_REQUIRE(json_read_integer(json_get(told, "skipped"), &skipped));
    FUZZ_REQUIRE(decided + skipped == (int64_t)entries);
    free(json_print(told, JSON_STYLE_COMPACT));
    json_free(told);
    diagnostics_fini(&diagnostics);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct input_file file;
    struct error_text why;
    size_t count = 0;
    if (size == 0)
        return 0;
    struct slice rest = slice_from(data + 1, size - 1);
    const char *path = input_file_write(&file, make_file(data[0], rest));
    struct trace_entry *entries = trace_file_read(path, &count, &why);
    if (entries == NULL) {
        FUZZ_REQUIRE(why.text[0] != '\0');
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        FUZZ_REQUIRE(i == 0 || entries[i - 1].wall_ms <= entries[i].wall_ms);
        check_entry(&entries[i]);
    }
    if (count > 0)
        check_replay(path, count);
    free(entries);
    return 0;
}
