/* sidecar: which certificates are brought to which HAProxys, and when. There is no CA, and HAProxys
 * are made up: each remembers what it was given. */
#include "sidecar/sidecar.h"

#include "core/clock.h"
#include "counted.h"
#include "crypto/crypto.h"
#include "fake_runtime.h"
#include "hap/runtime.h"
#include "loopback_listener.h"

#include <criterion/new/assert.h>
#include <poll.h>
#include <sys/stat.h>

enum {
    HAPROXYS = 2,
    NAMES_MAX = 64,
    LOOK_MS = 50,
    NEVER_MS = 3600 * 1000, /* but once at the start */
    PATIENCE_MS = 20 * 1000,
    DAY_S = 86400,
};

/* What one of the made-up HAProxys is, and has. */
struct haproxy {
    struct fake_runtime fake; /* first; its lock is for all of this */
    bool is_away;             /* answers nothing */
    bool is_locked;           /* somebody else has its certificates */
    unsigned uptime_s;
    unsigned looks, lists; /* questions for what it is, and for a transaction before a change */
    char set[64 * 1024];   /* the PEM of the open transaction */
    struct {
        char name[32];
        char print[RUNTIME_FINGERPRINT_BYTES + 1];
    } known[NAMES_MAX];
    size_t known_count;
    char said[1024];
};

struct test {
    char *folder;
    struct haproxy haproxys[HAPROXYS];
    struct sidecar *sidecar;
};

/* -- HAProxy ----------------------------------------------------------------------------------- */

/* The last part of the first line's last word. */
static struct slice name_in(const char *command)
{
    struct slice line = slice_from(command, strcspn(command, "\n"));
    if (slice_ends_with(line, SLICE(" <<")))
        line.size -= 3;
    const char *slash = memrchr(line.data, '/', line.size);
    return slash != NULL ? slice_skip(line, (size_t)(slash - line.data) + 1) : (struct slice){0};
}

static size_t find(const struct haproxy *haproxy, struct slice name)
{
    size_t i = 0;
    while (i < haproxy->known_count && !slice_equal(slice_of(haproxy->known[i].name), name))
        i++;
    return i;
}

static void print_of(const char *pem, char print[static RUNTIME_FINGERPRINT_BYTES + 1])
{
    struct crypto_certificate about;
    print[0] = '\0';
    if (crypto_certificate_read(slice_of(pem), &about, NULL) != ERROR_OK)
        return;
    for (size_t i = 0; i < CRYPTO_SHA1_BYTES; i++)
        snprintf(print + 2 * i, 3, "%02X", about.sha1[i]);
    crypto_certificate_free(&about);
}

static void commit(struct haproxy *haproxy, struct slice name)
{
    size_t i = find(haproxy, name);
    cr_assert(lt(sz, i, (size_t)NAMES_MAX));
    if (i == haproxy->known_count)
        haproxy->known_count++;
    snprintf(haproxy->known[i].name, sizeof(haproxy->known[i].name), "%.*s", SLICE_PRINT(name));
    print_of(haproxy->set, haproxy->known[i].print);
}

static void show(struct haproxy *haproxy, struct slice name)
{
    size_t i = find(haproxy, name);
    if (i == haproxy->known_count)
        strcpy(haproxy->said, "Can't display the certificate: Not found\n");
    else
        snprintf(haproxy->said, sizeof(haproxy->said),
                 "Filename: %s\nStatus: Used\nSHA1 FingerPrint: %s\n\n", haproxy->known[i].name,
                 haproxy->known[i].print);
}

static const char *answer(struct fake_runtime *fake, const char *command, bool *is_cut)
{
    struct haproxy *haproxy = (struct haproxy *)fake;
    char words[64] = "", path[128] = "";
    (void)is_cut;
    (void)sscanf(command, "%*s ssl cert %127s", path);
    if (haproxy->is_away)
        return NULL;
    (void)sscanf(command, "%63s", words);
    strcpy(haproxy->said, "\n");
    if (strncmp(command, "show info", 9) == 0) {
        haproxy->looks++;
        snprintf(haproxy->said, sizeof(haproxy->said), "Pid: 7\nUptime_sec: %u\n",
                 haproxy->uptime_s);
    } else if (strncmp(command, "show pools", 10) == 0) {
        strcpy(haproxy->said, "Total: 0 pools\n");
    } else if (haproxy->is_locked && strcmp(words, "show") == 0) {
        haproxy->lists++;
        strcpy(haproxy->said, "The certificates are currently locked\n");
    } else if (strcmp(command, "show ssl cert\n") == 0) {
        haproxy->lists++;
        strcpy(haproxy->said, "# filename\n");
    } else if (strcmp(words, "show") == 0) {
        show(haproxy, name_in(command));
    } else if (strcmp(words, "new") == 0) {
        snprintf(haproxy->said, sizeof(haproxy->said), "New empty certificate store '%s'!\n", path);
    } else if (strcmp(words, "set") == 0) {
        snprintf(haproxy->set, sizeof(haproxy->set), "%s", strchr(command, '\n') + 1);
        snprintf(haproxy->said, sizeof(haproxy->said), "Transaction created for certificate %s!\n",
                 path);
    } else if (strcmp(words, "commit") == 0) {
        commit(haproxy, name_in(command));
        strcpy(haproxy->said, "Success!\n");
    }
    return haproxy->said;
}

static void lock(struct haproxy *haproxy)
{
    pthread_mutex_lock(&haproxy->fake.lock);
}

static void unlock(struct haproxy *haproxy)
{
    pthread_mutex_unlock(&haproxy->fake.lock);
}

static void set_locked(struct haproxy *haproxy, bool is_locked)
{
    lock(haproxy);
    haproxy->is_locked = is_locked;
    unlock(haproxy);
}

/* How often its certificates were listed since the last call. */
static unsigned take_lists(struct haproxy *haproxy)
{
    lock(haproxy);
    unsigned lists = haproxy->lists;
    haproxy->lists = 0;
    unlock(haproxy);
    return lists;
}

static void await_lists(struct haproxy *haproxy, unsigned count)
{
    int64_t end_ms = clock_mono_ms() + PATIENCE_MS;
    unsigned lists = 0;
    take_lists(haproxy);
    while ((lists += take_lists(haproxy)) < count && clock_mono_ms() < end_ms)
        usleep(2000);
    cr_expect(le(uint, count, lists));
}

/* -- The folder -------------------------------------------------------------------------------- */

static char *path_of(const struct test *test, const char *name)
{
    return memory_format("%s/certs/%s.pem", test->folder, name);
}

/* A new pair for "NAME.test", in the place of the one before; what its fingerprint is. */
static void put(const struct test *test, const char *name,
                char print[static RUNTIME_FINGERPRINT_BYTES + 1])
{
    struct bytes pem = {0}, key_pem = {0};
    struct crypto_key *key = crypto_key_new(CRYPTO_EC_P256, NULL);
    char *host = memory_format("%s.test", name), *path = path_of(test, name);
    char *aside = memory_format("%s/aside", test->folder);
    int64_t now_s = clock_wall_s();
    cr_assert(crypto_self_signed(key, host, now_s - DAY_S, now_s + 90 * DAY_S, &pem, NULL) ==
              ERROR_OK);
    cr_assert(crypto_key_to_pem(key, &key_pem, NULL) == ERROR_OK);
    cr_assert(bytes_append(&pem, bytes_slice(&key_pem), RUNTIME_PEM_MAX_BYTES));
    FILE *file = fopen(aside, "w");
    cr_assert(file != NULL);
    cr_assert(fwrite(pem.data, 1, pem.size, file) == pem.size);
    cr_assert(fclose(file) == 0 && rename(aside, path) == 0);
    print_of(slice_of((char *)pem.data).data, print);
    bytes_free(&pem);
    bytes_free(&key_pem);
    crypto_key_free(key);
    free(aside);
    free(path);
    free(host);
}

/* -- The sidecar ------------------------------------------------------------------------------- */

static void want(const struct test *test, const char *const *names, size_t count)
{
    struct sidecar_wish *wishes = memory_new((count + 1) * sizeof(*wishes));
    char **hosts = memory_new((count + 1) * sizeof(*hosts));
    for (size_t i = 0; i < count; i++) {
        hosts[i] = memory_format("%s.test", names[i]);
        wishes[i] = (struct sidecar_wish){names[i], (const char *const *)&hosts[i], 1, NULL};
    }
    sidecar_want(test->sidecar, wishes, count);
    for (size_t i = 0; i < count; i++)
        free(hosts[i]);
    free(hosts);
    free(wishes);
}

#define WANT(TEST, ...) \
    want(TEST, (const char *const[]){__VA_ARGS__}, COUNT_OF(((const char *const[]){__VA_ARGS__})))

/* `https` is where HAProxy serves; NULL: nobody knows. */
static void begin_served(struct test *test, size_t haproxy_count, int64_t look_every_ms,
                         const char *https)
{
    const char *sockets[HAPROXYS];
    struct error_text why = {0};
    uint16_t port;
    *test = (struct test){.folder = memory_format("/tmp/owui-sidecar-XXXXXX")};
    cr_assert(mkdtemp(test->folder) != NULL);
    for (size_t i = 0; i < HAPROXYS; i++) {
        fake_runtime_start(&test->haproxys[i].fake, answer);
        test->haproxys[i].uptime_s = 1000;
        sockets[i] = test->haproxys[i].fake.path;
    }
    char *state = memory_format("%s/state", test->folder);
    char *certs = memory_format("%s/certs", test->folder);
    close(listen_on_loopback(&port));
    char *listen = memory_format("127.0.0.1:%u", port);
    cr_assert(mkdir(certs, 0700) == 0);
    const struct sidecar_settings settings = {
        .store = {.state = state, .certs = certs, .owner = -1, .group = -1, .certs_mode = 0600},
        .runtime = sockets,
        .runtime_count = haproxy_count,
        .https = &https,
        .https_count = https != NULL,
        .challenge_listen = listen,
        .look_every_ms = look_every_ms,
    };
    test->sidecar = sidecar_start(&settings, &why);
    cr_assert(ne(ptr, test->sidecar, NULL), "%s", why.text);
    free(listen);
    free(certs);
    free(state);
}

static void begin(struct test *test, size_t haproxy_count, int64_t look_every_ms)
{
    begin_served(test, haproxy_count, look_every_ms, NULL);
}

static void end(struct test *test)
{
    sidecar_stop(test->sidecar);
    for (size_t i = 0; i < HAPROXYS; i++)
        fake_runtime_stop(&test->haproxys[i].fake);
    char *command = memory_format("rm -r %s", test->folder);
    cr_expect(system(command) == 0);
    free(command);
    free(test->folder);
}

static bool has(struct haproxy *haproxy, const char *name, const char *print)
{
    char *file = memory_format("%s.pem", name);
    lock(haproxy);
    size_t i = find(haproxy, slice_of(file));
    bool is_there = i < haproxy->known_count && strcmp(haproxy->known[i].print, print) == 0;
    unlock(haproxy);
    free(file);
    return is_there;
}

static void await(struct haproxy *haproxy, const char *name, const char *print)
{
    int64_t end_ms = clock_mono_ms() + PATIENCE_MS;
    while (!has(haproxy, name, print) && clock_mono_ms() < end_ms)
        usleep(2000);
    cr_expect(has(haproxy, name, print), "%s", name);
}

/* So many looks have passed. */
static void await_looks(struct haproxy *haproxy, unsigned count)
{
    int64_t end_ms = clock_mono_ms() + PATIENCE_MS;
    lock(haproxy);
    unsigned until = haproxy->looks + count;
    while (haproxy->looks < until && clock_mono_ms() < end_ms) {
        unlock(haproxy);
        usleep(2000);
        lock(haproxy);
    }
    cr_expect(le(uint, until, haproxy->looks));
    unlock(haproxy);
}

#define PRINT(NAME) char NAME[RUNTIME_FINGERPRINT_BYTES + 1]

Test(sidecar, what_is_in_the_folder_and_wanted_is_brought_to_every_haproxy)
{
    struct test test;
    PRINT(a);
    PRINT(b);
    PRINT(other);
    PRINT(nobodys);
    begin(&test, HAPROXYS, LOOK_MS);
    put(&test, "a", a);
    put(&test, "b", b);
    put(&test, "other", other);
    put(&test, "nobodys", nobodys);
    for (int i = 0; i < 100; i++)
        WANT(&test, "other"); /* is passed over, and freed */
    WANT(&test, "b", "a", "nothing");
    for (size_t i = 0; i < HAPROXYS; i++) {
        await(&test.haproxys[i], "a", a);
        await(&test.haproxys[i], "b", b);
    }
    await_looks(&test.haproxys[0], 10);
    cr_expect(not(has(&test.haproxys[0], "nobodys", nobodys)));
    /* It is found at a look that somebody has put there another. */
    put(&test, "b", b);
    await(&test.haproxys[0], "b", b);
    await(&test.haproxys[1], "b", b);
    end(&test);
}

/* What a process had is gone with it, and the next one has the same number. It is given everything
 * at one look, and not one by one. */
Test(sidecar, a_process_that_began_again_is_given_everything)
{
    enum { SELDOM_MS = 3000 };
    struct test test;
    PRINT(a);
    PRINT(b);
    PRINT(c);
    begin(&test, 1, SELDOM_MS);
    struct haproxy *haproxy = &test.haproxys[0];
    put(&test, "a", a);
    put(&test, "b", b);
    put(&test, "c", c);
    WANT(&test, "a", "b", "c");
    await(haproxy, "c", c);
    await_looks(haproxy, 1);
    lock(haproxy);
    haproxy->known_count = 0;
    haproxy->uptime_s = 0;
    unlock(haproxy);
    await_looks(haproxy, 1);
    usleep((SELDOM_MS - 500) * 1000);
    cr_expect(has(haproxy, "a", a) && has(haproxy, "b", b) && has(haproxy, "c", c));
    end(&test);
}

/* One that is away costs neither the others' time nor a line for each certificate; when it is
 * there, it gets them all. */
Test(sidecar, who_is_away_is_passed_over)
{
    struct test test;
    PRINT(a);
    PRINT(b);
    begin(&test, HAPROXYS, LOOK_MS);
    struct haproxy *here = &test.haproxys[0], *away = &test.haproxys[1];
    lock(away);
    away->is_away = true;
    unlock(away);
    put(&test, "a", a);
    put(&test, "b", b);
    WANT(&test, "a", "b");
    await(here, "a", a);
    await(here, "b", b);
    put(&test, "a", a);
    await(here, "a", a);
    cr_expect(zero(sz, counted_events("deploy_failed")));
    lock(away);
    away->is_away = false;
    cr_expect(zero(sz, away->known_count));
    unlock(away);
    await(away, "a", a);
    await(away, "b", b);
    end(&test);
}

/* However long a HAProxy does not take certificates, no more than one job for each waits. */
Test(sidecar, what_is_on_its_way_is_not_sent_again)
{
    enum { LOOKS = 40 };
    struct test test;
    PRINT(a);
    begin(&test, 1, LOOK_MS);
    struct haproxy *haproxy = &test.haproxys[0];
    put(&test, "a", a);
    WANT(&test, "a");
    await(haproxy, "a", a);
    set_locked(haproxy, true);
    put(&test, "a", a);
    await_looks(haproxy, LOOKS);
    set_locked(haproxy, false);
    take_lists(haproxy);
    await(haproxy, "a", a);
    cr_expect(le(uint, take_lists(haproxy), 3));
    end(&test);
}

static int accept_soon(int listening)
{
    struct pollfd look = {.fd = listening, .events = POLLIN};
    cr_assert(eq(int, poll(&look, 1, PATIENCE_MS), 1));
    return accept(listening, NULL, NULL);
}

/* Whether it is served is asked when that is on its way anew, too: not now, but not never. */
Test(sidecar, what_was_swapped_is_looked_at_when_all_has_arrived)
{
    struct test test;
    PRINT(a);
    uint16_t port;
    int listening = listen_on_loopback(&port);
    char *https = memory_format("127.0.0.1:%u", port);
    begin_served(&test, 1, LOOK_MS, https);
    struct haproxy *haproxy = &test.haproxys[0];
    put(&test, "a", a);
    WANT(&test, "a");
    await(haproxy, "a", a);
    int first = accept_soon(listening);
    set_locked(haproxy, true);
    await_lists(haproxy, 1);
    close(first);
    usleep(100 * 1000);
    set_locked(haproxy, false);
    close(accept_soon(listening));
    end(&test);
    close(listening);
    free(https);
}

/* Of many, those that could not be read do not wait until it is their turn. */
Test(sidecar, what_could_not_be_read_is_read_soon)
{
    enum { MANY = 40, SOON = 10 };
    char *names[MANY];
    struct test test;
    PRINT(print);
    begin(&test, 1, LOOK_MS);
    struct haproxy *haproxy = &test.haproxys[0];
    for (size_t i = 0; i < MANY; i++) {
        names[i] = memory_format("t%02zu", i);
        put(&test, names[i], print);
    }
    const char *middle = names[MANY / 2];
    char *path = path_of(&test, middle);
    cr_assert(unlink(path) == 0 && symlink(path, path) == 0); /* leads nowhere */
    want(&test, (const char *const *)names, MANY);
    await(haproxy, names[MANY - 1], print);
    cr_expect(eq(sz, counted_events("certificate_unreadable"), 1));
    put(&test, middle, print);
    lock(haproxy);
    unsigned before = haproxy->looks;
    unlock(haproxy);
    await(haproxy, middle, print);
    lock(haproxy);
    cr_expect(le(uint, haproxy->looks - before, SOON));
    unlock(haproxy);
    for (size_t i = 0; i < MANY; i++)
        free(names[i]);
    free(path);
    end(&test);
}

/* What is wanted while they are all gone through is not left to a look. */
Test(sidecar, what_comes_behind_is_brought_at_once)
{
    struct test test;
    PRINT(a);
    PRINT(b);
    PRINT(c);
    begin(&test, 1, NEVER_MS);
    struct haproxy *haproxy = &test.haproxys[0];
    put(&test, "a", a);
    put(&test, "b", b);
    put(&test, "c", c);
    set_locked(haproxy, true);
    WANT(&test, "b", "c");
    await_lists(haproxy, 1); /* "b" is tried meanwhile */
    WANT(&test, "a", "b", "c");
    await_lists(haproxy, 2);
    set_locked(haproxy, false);
    await(haproxy, "c", c);
    await(haproxy, "a", a);
    cr_expect(has(haproxy, "b", b));
    end(&test);
}

/* One more among many, or one that is for another host. */
Test(sidecar, a_change_brings_what_has_changed)
{
    static const char *const HOSTS[] = {"c.test", "d.test"};
    struct test test;
    PRINT(a);
    PRINT(b);
    PRINT(c);
    begin(&test, 1, NEVER_MS);
    struct haproxy *haproxy = &test.haproxys[0];
    put(&test, "a", a);
    put(&test, "b", b);
    put(&test, "c", c);
    WANT(&test, "a", "c");
    await(haproxy, "a", a);
    await(haproxy, "c", c);
    take_lists(haproxy);
    WANT(&test, "a", "b", "c");
    await(haproxy, "b", b);
    put(&test, "c", c);
    const struct sidecar_wish wishes[] = {
        {"a", (const char *const[]){"a.test"}, 1, NULL},
        {"b", (const char *const[]){"b.test"}, 1, NULL},
        {"c", HOSTS, 2, NULL},
    };
    sidecar_want(test.sidecar, wishes, COUNT_OF(wishes));
    await(haproxy, "c", c);
    cr_expect(eq(uint, take_lists(haproxy), 2));
    end(&test);
}

Test(sidecar, who_leaves_meanwhile_keeps_nobody_waiting)
{
    struct test test;
    PRINT(a);
    PRINT(b);
    begin(&test, 1, NEVER_MS);
    struct haproxy *haproxy = &test.haproxys[0];
    put(&test, "a", a);
    put(&test, "b", b);
    set_locked(haproxy, true);
    WANT(&test, "a", "b");
    await_lists(haproxy, 1);
    WANT(&test, "b");
    await_lists(haproxy, 2);
    set_locked(haproxy, false);
    await(haproxy, "b", b);
    end(&test);
}
