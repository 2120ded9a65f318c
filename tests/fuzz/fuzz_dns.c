/* What a name server, or whoever is faster, may answer.
 *
 * The input is an answer without its beginning: a byte of flags (4: what was asked for is CAA, else
 * addresses; 8: cut off; the others a status), three bytes with the numbers of records, and these.
 * The target puts the question in front, as each server has to, and sends a failure after it for
 * answers that are passed over. Whatever comes, the question ends, once, and what is told is what
 * it says.
 */
#include "core/cursor.h"
#include "fuzz/fuzz.h"
#include "sidecar/caa.h"

#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ASKS_CAA = 4, IS_CUT = 8, HEAD_BYTES = 12, SERVER_FAILURE = 2 };

static struct main_loop *loop;
static struct dns_client *client;
static int server; /* a socket */
static struct slice answer;
static unsigned answers_told;

/* ---- The server ---- */

/* The head of an answer to `query`: its number, flags, how many records there are. */
static void put_head(struct writer *packet, const uint8_t *query, uint8_t flags, uint8_t status,
                     const uint8_t counts[static 3])
{
    writer_bytes(packet, slice_from(query, 2));
    writer_u8(packet, 0x81 | (flags & IS_CUT ? 2 : 0));
    writer_u8(packet, 0x80 | status);
    writer_bytes(packet, SLICE("\0\1"));
    for (unsigned i = 0; i < 3; i++) {
        writer_u8(packet, 0);
        writer_u8(packet, counts[i]);
    }
}

static void on_query(void *context)
{
    static const uint8_t NONE[3];
    uint8_t query[512], buffer[65536];
    struct sockaddr_in from;
    socklen_t from_size = sizeof(from);
    const uint8_t *said = (const uint8_t *)answer.data;
    ssize_t size = recvfrom(server, query, sizeof(query), 0, (struct sockaddr *)&from, &from_size);
    (void)context;
    FUZZ_REQUIRE(size > HEAD_BYTES);
    const struct slice question = slice_from(query + HEAD_BYTES, (size_t)size - HEAD_BYTES);
    for (unsigned i = 0; i < 2; i++) {
        struct writer packet = writer_of(buffer, sizeof(buffer));
        put_head(&packet, query, i == 0 ? said[0] : 0, i == 0 ? (said[0] >> 4) : SERVER_FAILURE,
                 i == 0 ? said + 1 : NONE);
        writer_bytes(&packet, question);
        writer_bytes(&packet, i == 0 ? slice_skip(answer, 4) : SLICE(""));
        struct slice bytes = writer_written(&packet);
        (void)sendto(server, bytes.data, bytes.size, 0, (struct sockaddr *)&from, from_size);
    }
}

static void start(void)
{
    static char name[32];
    static const char *const SERVERS[] = {name};
    const struct dns_client_settings settings = {.nameservers = SERVERS,
                                                 .nameserver_count = 1,
                                                 .try_ms = 5000,
                                                 .tries = 1,
                                                 .whole_names = true};
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    struct error_text why;
    loop = main_loop_new(&why);
    server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    FUZZ_REQUIRE(bind(server, (struct sockaddr *)&address, size) == 0);
    FUZZ_REQUIRE(getsockname(server, (struct sockaddr *)&address, &size) == 0);
    snprintf(name, sizeof(name), "127.0.0.1:%u", ntohs(address.sin_port));
    client = dns_client_new(loop, &settings, &why);
    FUZZ_REQUIRE(client != NULL && main_watch_new(loop, server, MAIN_READ, on_query, NULL) != NULL);
}

/* ---- What is told ---- */

static void note_end(void)
{
    answers_told++;
    main_loop_stop(loop);
}

static void on_addresses(void *context, const struct dns_addresses *addresses)
{
    (void)context;
    FUZZ_REQUIRE((addresses->status == DNS_FOUND) == (addresses->count > 0));
    for (size_t i = 0; i < addresses->count; i++)
        FUZZ_REQUIRE(addresses->items[i].ip.family == IP_V4 ||
                     addresses->items[i].ip.family == IP_V6);
    note_end();
}

static void on_caas(void *context, const struct dns_caas *records)
{
    static const char *const NAMES[] = {"ca.test"};
    static const struct caa_issuer NAMED = {NAMES, 1, "https://ca.test/1"};
    static const struct caa_issuer ANY = {NULL, 0, "https://ca.test/1"};
    (void)context;
    FUZZ_REQUIRE((records->status == DNS_FOUND) == (records->count > 0));
    /* Whoever lets this CA issue lets one that does not say its name. */
    if (caa_allows(records->items, records->count, &NAMED))
        FUZZ_REQUIRE(caa_allows(records->items, records->count, &ANY));
    note_end();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4 || size > 32768)
        return 0;
    if (client == NULL)
        start();
    answer = slice_from(data, size);
    answers_told = 0;
    if ((data[0] & ASKS_CAA) != 0)
        dns_client_caa(client, "a.test", on_caas, NULL);
    else
        dns_client_addresses(client, "a.test", DNS_IPV4, on_addresses, NULL);
    if (answers_told == 0)
        main_loop_run(loop);
    FUZZ_REQUIRE(answers_told == 1);
    return 0;
}
