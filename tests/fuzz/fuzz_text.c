/* Short texts that name something: addresses, sockets, origins, time zones, domains; and texts as
 * they are shown.
 *
 * The input is each of them. What is taken is in a form that is taken again and means the same, and
 * what HAProxy is told has nothing in it that ends a word.
 */
#include "acme/budget.h"
#include "core/memory.h"
#include "core/shown.h"
#include "fuzz/fuzz.h"
#include "hap/config.h"
#include "net/listener.h"
#include "route/origin.h"
#include "route/owui_path.h"
#include "route/scanner.h"
#include "route/zone.h"
#include "sidecar/loopback.h"
#include "sidecar/runtime_client.h"

#include <stdlib.h>
#include <sys/un.h>

static void check_listen(struct slice text)
{
    struct listen_address address;
    struct error_text why;
    if (listen_address_parse(text, &address, &why) != ERROR_OK) {
        FUZZ_REQUIRE(why.text[0] != '\0');
        return;
    }
    FUZZ_REQUIRE(memchr(address.name, '\0', sizeof(address.name)) != NULL);
    FUZZ_REQUIRE(address.socket_size <= sizeof(address.socket));
    if (address.kind == LISTEN_UNIX || address.kind == LISTEN_ABSTRACT)
        FUZZ_REQUIRE(address.socket.ss_family == AF_UNIX);
}

/* A word on a `server` line. */
static void check_agent(struct slice text)
{
    static char bind[] = "*:80", *binds[] = {bind}, chroot[] = "/var/lib/haproxy";
    char *agent = memory_copy_text(text);
    const struct hap_config config = {
        .http = binds, .http_count = 1, .agents = &agent, .agent_count = 1, .chroot = chroot};
    bool good = hap_config_check(&config, NULL) == ERROR_OK;
    text = slice_of(good ? agent : "");
    char *address = hap_agent_address(text, chroot, NULL);
    for (const char *c = address; c != NULL && *c != '\0'; c++)
        FUZZ_REQUIRE(*c > ' ' && *c < 0x7f && strchr("\"'\\#$", *c) == NULL);
    FUZZ_REQUIRE(good == (address != NULL));
    free(address);
    free(agent);
}

static void check_runtime(struct slice text)
{
    struct runtime_target target;
    if (runtime_target_parse(text, &target, NULL) != ERROR_OK)
        return;
    FUZZ_REQUIRE(target.path[0] == '/');
    FUZZ_REQUIRE(strlen(target.path) < sizeof(((struct sockaddr_un *)NULL)->sun_path));
    runtime_target_fini(&target);
}

/* What a bind is reached at can be reached itself. */
static void check_bind(struct slice text)
{
    static const char *const ALL[] = {"0.0.0.0/0", "::/0"};
    char *address = loopback_of_bind(text);
    if (address == NULL)
        return;
    char *again = loopback_of_bind(slice_of(address));
    FUZZ_REQUIRE(again != NULL && strcmp(again, address) == 0);
    FUZZ_REQUIRE(loopback_needs_proxy_line(address, ALL, COUNT_OF(ALL)));
    free(again);
    free(address);
}

static void check_origin(struct slice text)
{
    char buffer[ORIGIN_MAX_BYTES], buffer_again[ORIGIN_MAX_BYTES];
    struct origin origin, again;
    if (!origin_parse(text, &origin))
        return;
    struct slice form = origin_canonical(&origin, buffer);
    FUZZ_REQUIRE(origin_parse(form, &again));
    FUZZ_REQUIRE(slice_equal(origin_canonical(&again, buffer_again), form));
    FUZZ_REQUIRE(origin_is_web(&origin, true) || !origin_is_web(&origin, false));
}

static void check_zone(struct slice text)
{
    static const int64_t YEAR_S = 31556952;
    struct zone zone;
    if (!zone_parse(text, &zone) && !zone_parse_offset(text, &zone))
        return;
    for (int64_t wall_s = 0; wall_s < 80 * YEAR_S; wall_s += YEAR_S * 7 / 12) {
        int64_t offset_s = zone_local_s(&zone, wall_s) - wall_s;
        FUZZ_REQUIRE(offset_s > -26 * 3600 && offset_s < 26 * 3600);
    }
    zone_fini(&zone);
}

/* The part of a host's name that was registered is its end, and its own. */
static void check_domain(struct slice text)
{
    char name[HOST_MAX_BYTES + 1], domain[ACME_NAME_SIZE], again[ACME_NAME_SIZE];
    bool wildcard;
    if (!host_pattern_parse(text, name, &wildcard))
        return;
    registered_domain(name, domain);
    FUZZ_REQUIRE(slice_ends_with(slice_of(name), slice_of(domain)));
    registered_domain(domain, again);
    FUZZ_REQUIRE(strcmp(again, domain) == 0);
}

/* Whatever it was, and wherever it was cut: what is shown is shown again as it is, and has nothing
 * that a terminal obeys but colours. */
static void check_shown(struct slice text)
{
    size_t room = SHOWN_GROWTH * (SHOWN_HELD_BYTES + text.size + 1);
    uint8_t *once = memory_new(room), *twice = memory_new(SHOWN_GROWTH * (SHOWN_HELD_BYTES + room));
    struct writer out = writer_of(once, room);
    struct writer again = writer_of(twice, SHOWN_GROWTH * (SHOWN_HELD_BYTES + room));
    struct shown shown = {0};
    size_t cut = text.size / 3;
    shown_write(&shown, slice_head(text, cut), &out);
    shown_write(&shown, slice_skip(text, cut), &out);
    shown_write(&shown, SLICE("\n"), &out);
    FUZZ_REQUIRE(!out.failed);
    struct slice told = writer_written(&out);
    for (size_t i = 0; i < told.size; i++) {
        uint8_t c = (uint8_t)told.data[i];
        FUZZ_REQUIRE((c >= ' ' && c != 0x7f) || c == '\n' || c == '\t' || c == 0x1b);
        FUZZ_REQUIRE(c != 0x1b || (i + 1 < told.size && told.data[i + 1] == '['));
    }
    shown_write(&shown, told, &again);
    FUZZ_REQUIRE(slice_equal(writer_written(&again), told));
    free(once);
    free(twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_from(data, size);
    check_shown(text);
    enum hap_version version;
    check_listen(text);
    check_agent(text);
    check_runtime(text);
    check_bind(text);
    check_origin(text);
    check_zone(text);
    check_domain(text);
    if (hap_version_parse(text, &version))
        FUZZ_REQUIRE(version < HAP_VERSION__MAX);
    (void)path_is_scanners(text);
    FUZZ_REQUIRE(owui_path_kind(text) <= OWUI_OTHER);
    return 0;
}
