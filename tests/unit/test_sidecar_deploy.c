/* sidecar/deploy against real HAProxys: added, renewed, removed, refused, restarted. */
#include "core/clock.h"
#include "core/memory.h"
#include "counted.h"
#include "crypto/crypto.h"
#include "fake_runtime.h"
#include "sidecar/deploy.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HAPROXYS_MAX = 2 };

/* HAProxys with an empty certificate folder, each on its own sockets, in a temporary folder. */
struct stage {
    char folder[32];
    char *certs;
    char *sockets[HAPROXYS_MAX];
    pid_t pids[HAPROXYS_MAX];
    size_t count;
    struct main_loop *loop;
    struct deployer *deployer;
    struct deploy_result results[HAPROXYS_MAX];
    char reason[512];
    size_t told;
};

static void write_config(const char *path, const char *folder, const char *socket_path,
                         size_t index)
{
    FILE *file = fopen(path, "w");
    cr_assert(file != NULL);
    fprintf(file,
            "global\n    stats socket %s mode 600 level admin\n"
            "defaults\n    mode http\n    timeout connect 5s\n    timeout client 5s\n"
            "    timeout server 5s\n"
            "frontend tls\n    bind unix@%s/tls%zu.sock ssl crt %s/certs/ strict-sni\n"
            "    http-request return status 200\n",
            socket_path, folder, index, folder);
    cr_assert(fclose(file) == 0);
}

static bool answers(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    bool connected = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    close(fd);
    return connected;
}

static void start_haproxy(struct stage *stage, size_t index)
{
    char *config = memory_format("%s/haproxy%zu.cfg", stage->folder, index);
    write_config(config, stage->folder, stage->sockets[index], index);
    stage->pids[index] = fork();
    if (stage->pids[index] == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed assertion skips the teardown */
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(126);
        execlp("haproxy", "haproxy", "-db", "-f", config, NULL);
        _exit(127);
    }
    for (int tries = 0; tries < 500 && !answers(stage->sockets[index]); tries++)
        usleep(10000);
    cr_assert(answers(stage->sockets[index]), "HAProxy does not start: is the package installed?");
    free(config);
}

static void stop_haproxy(struct stage *stage, size_t index)
{
    kill(stage->pids[index], SIGKILL);
    waitpid(stage->pids[index], NULL, 0);
}

static void setup(struct stage *stage, size_t count)
{
    *stage = (struct stage){.folder = "/tmp/owui-deploy-XXXXXX", .count = count};
    cr_assert(mkdtemp(stage->folder) != NULL);
    stage->certs = memory_format("%s/certs", stage->folder);
    cr_assert(mkdir(stage->certs, 0700) == 0);
    struct runtime_target targets[HAPROXYS_MAX];
    for (size_t i = 0; i < count; i++) {
        stage->sockets[i] = memory_format("%s/run%zu.sock", stage->folder, i);
        start_haproxy(stage, i);
        cr_assert(runtime_target_parse(slice_of(stage->sockets[i]), &targets[i], NULL) == ERROR_OK);
    }
    stage->loop = main_loop_new(NULL);
    stage->deployer = deployer_new(stage->loop, targets, count);
}

static void teardown(struct stage *stage)
{
    deployer_free(stage->deployer);
    main_loop_free(stage->loop);
    for (size_t i = 0; i < stage->count; i++) {
        stop_haproxy(stage, i);
        free(stage->sockets[i]);
    }
    char *command = memory_format("rm -r %s", stage->folder);
    cr_expect(system(command) == 0);
    free(command);
    free(stage->certs);
}

static void on_done(void *context, const struct deploy_result *result, size_t left)
{
    struct stage *stage = context;
    stage->results[stage->told++] = *result;
    if (result->reason != NULL)
        snprintf(stage->reason, sizeof(stage->reason), "%s", result->reason);
    if (left == 0)
        main_loop_stop(stage->loop);
}

/* A fresh key and certificate for `name` as HAProxy loads it, and its fingerprint. */
static void make_certificate(const char *name, struct bytes *pem, char fingerprint[static 41])
{
    struct crypto_key *key = crypto_key_new(CRYPTO_EC_P256, NULL);
    struct crypto_certificate about;
    struct bytes key_pem = {0};
    int64_t now_s = clock_wall_s();
    cr_assert(crypto_self_signed(key, name, now_s - 60, now_s + 86400, pem, NULL) == ERROR_OK);
    cr_assert(crypto_certificate_read(bytes_slice(pem), &about, NULL) == ERROR_OK);
    for (size_t i = 0; i < CRYPTO_SHA1_BYTES; i++)
        sprintf(fingerprint + 2 * i, "%02X", about.sha1[i]);
    cr_assert(crypto_key_to_pem(key, &key_pem, NULL) == ERROR_OK);
    cr_assert(bytes_append(pem, bytes_slice(&key_pem), RUNTIME_COMMAND_MAX_BYTES));
    bytes_free(&key_pem);
    crypto_certificate_free(&about);
    crypto_key_free(key);
}

static void run(struct stage *stage, const char *file, const struct bytes *pem,
                const char *fingerprint, bool remove)
{
    const struct deploy_job job = {
        .file = slice_of(file),
        .list = slice_of(stage->certs),
        .pem = pem != NULL ? bytes_slice(pem) : (struct slice){0},
        .fingerprint = slice_of(fingerprint),
        .remove = remove,
        .on_done = on_done,
        .context = stage,
    };
    stage->told = 0;
    stage->reason[0] = '\0';
    deployer_run(stage->deployer, &job);
    main_loop_run(stage->loop);
    cr_assert(stage->told == stage->count);
}

Test(deploy, a_name_is_added_renewed_and_removed_in_every_haproxy)
{
    struct stage stage;
    setup(&stage, 2);
    char *file = memory_format("%s/a.test.pem", stage.certs);
    for (int round = 0; round < 3; round++) {
        struct bytes pem = {0};
        char fingerprint[41];
        make_certificate("a.test", &pem, fingerprint);
        run(&stage, file, &pem, fingerprint, false);
        for (size_t i = 0; i < 2; i++) {
            cr_assert(stage.results[i].error == ERROR_OK, "%s", stage.reason);
            cr_assert(stage.results[i].existed == (round > 0));
        }
        bytes_free(&pem);
    }
    run(&stage, file, NULL, "", true);
    cr_assert(stage.results[0].error == ERROR_OK, "%s", stage.reason);
    run(&stage, file, NULL, "", true);
    cr_assert(stage.results[0].error == ERROR_OK, "%s", stage.reason);
    free(file);
    teardown(&stage);
}

static void go_on(void *context)
{
    const struct stage *stage = context;
    kill(stage->pids[0], SIGCONT);
}

static void run_second(void *context)
{
    struct stage *stage = context;
    struct bytes pem = {0};
    char fingerprint[41];
    char *file = memory_format("%s/b.test.pem", stage->certs);
    make_certificate("b.test", &pem, fingerprint);
    const struct deploy_job job = {.file = slice_of(file),
                                   .list = slice_of(stage->certs),
                                   .pem = bytes_slice(&pem),
                                   .fingerprint = slice_of(fingerprint),
                                   .on_done = on_done,
                                   .context = stage};
    deployer_run(stage->deployer, &job);
    bytes_free(&pem);
    free(file);
}

/* One writer: what comes while a command waits for its answer is begun when that job is over. */
Test(deploy, a_job_that_comes_in_the_midst_of_another_waits)
{
    struct stage stage;
    setup(&stage, 1);
    char *file = memory_format("%s/a.test.pem", stage.certs);
    struct bytes pem = {0};
    char fingerprint[41];
    make_certificate("a.test", &pem, fingerprint);
    struct main_timer *timer = main_timer_new(stage.loop, run_second, &stage);
    kill(stage.pids[0], SIGSTOP); /* so that the first is under way */
    main_timer_once(timer, 50);
    const struct deploy_job job = {.file = slice_of(file),
                                   .list = slice_of(stage.certs),
                                   .pem = bytes_slice(&pem),
                                   .fingerprint = slice_of(fingerprint),
                                   .on_done = on_done,
                                   .context = &stage};
    deployer_run(stage.deployer, &job);
    struct main_timer *wake = main_timer_new(stage.loop, go_on, &stage);
    main_timer_once(wake, 100);
    main_loop_run(stage.loop);
    cr_expect(eq(sz, stage.told, 1));
    main_loop_run(stage.loop);
    cr_expect(eq(sz, stage.told, 2));
    for (size_t i = 0; i < 2; i++) {
        cr_expect(stage.results[i].error == ERROR_OK, "%s", stage.reason);
        cr_expect_not(stage.results[i].cleared_leftover);
    }
    main_timer_free(wake);
    main_timer_free(timer);
    bytes_free(&pem);
    free(file);
    teardown(&stage);
}

/* A transaction that somebody left open: 2.6 would write our certificate into it. */
Test(deploy, a_leftover_transaction_does_no_harm)
{
    struct stage stage;
    setup(&stage, 1);
    char *first = memory_format("%s/a.test.pem", stage.certs);
    char *second = memory_format("%s/b.test.pem", stage.certs);
    struct bytes pem_a = {0};
    struct bytes pem_b = {0};
    char fingerprint_a[41];
    char fingerprint_b[41];
    make_certificate("a.test", &pem_a, fingerprint_a);
    make_certificate("b.test", &pem_b, fingerprint_b);
    run(&stage, first, &pem_a, fingerprint_a, false);

    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, stage.sockets[0]);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    dprintf(fd, "set ssl cert %s <<\n%.*s\n", first, SLICE_PRINT(bytes_slice(&pem_a)));
    char said[256] = "";
    cr_assert(recv(fd, said, sizeof(said) - 1, 0) > 0);
    cr_assert(strstr(said, "Transaction created") != NULL, "%s", said);
    close(fd);

    run(&stage, second, &pem_b, fingerprint_b, false);
    cr_assert(stage.results[0].error == ERROR_OK, "%s", stage.reason);
    cr_assert(stage.results[0].cleared_leftover);
    bytes_free(&pem_a);
    bytes_free(&pem_b);
    free(first);
    free(second);
    teardown(&stage);
}

Test(deploy, a_key_that_does_not_match_is_refused_and_leaves_no_transaction)
{
    struct stage stage;
    setup(&stage, 1);
    char *file = memory_format("%s/a.test.pem", stage.certs);
    struct bytes pem = {0};
    struct bytes other = {0};
    struct bytes mixed = {0};
    char fingerprint[41];
    char other_fingerprint[41];
    make_certificate("a.test", &pem, fingerprint);
    make_certificate("a.test", &other, other_fingerprint);
    run(&stage, file, &pem, fingerprint, false);

    struct slice whole = bytes_slice(&other);
    struct slice foreign = bytes_slice(&pem);
    const char *key = memmem(foreign.data, foreign.size, "-----BEGIN PRIVATE", 18);
    const char *end = memmem(whole.data, whole.size, "-----BEGIN PRIVATE", 18);
    cr_assert(key != NULL && end != NULL);
    cr_assert(bytes_append(&mixed, slice_from(whole.data, (size_t)(end - whole.data)),
                           RUNTIME_COMMAND_MAX_BYTES));
    cr_assert(bytes_append(&mixed, slice_from(key, foreign.size - (size_t)(key - foreign.data)),
                           RUNTIME_COMMAND_MAX_BYTES));
    run(&stage, file, &mixed, other_fingerprint, false);
    cr_assert(stage.results[0].error == ERROR_REFUSED, "%s", stage.reason);
    run(&stage, file, &other, other_fingerprint, false);
    cr_assert(stage.results[0].error == ERROR_OK, "%s", stage.reason);
    cr_assert_not(stage.results[0].cleared_leftover);
    run(&stage, file, &other, other_fingerprint, false);
    cr_assert(stage.results[0].unchanged);
    bytes_free(&pem);
    bytes_free(&other);
    bytes_free(&mixed);
    free(file);
    teardown(&stage);
}

Test(deploy, a_haproxy_that_is_gone_is_told_with_its_socket)
{
    struct stage stage;
    setup(&stage, 1);
    char *file = memory_format("%s/a.test.pem", stage.certs);
    struct bytes pem = {0};
    char fingerprint[41];
    make_certificate("a.test", &pem, fingerprint);
    stop_haproxy(&stage, 0);
    run(&stage, file, &pem, fingerprint, false);
    cr_assert(stage.results[0].error == ERROR_SYSTEM);
    cr_assert(strstr(stage.reason, stage.sockets[0]) != NULL, "%s", stage.reason);
    start_haproxy(&stage, 0);
    run(&stage, file, &pem, fingerprint, false);
    cr_assert(stage.results[0].error == ERROR_OK, "%s", stage.reason);
    bytes_free(&pem);
    free(file);
    teardown(&stage);
}

/* -- HAProxys whose answers are made up -------------------------------------------------------- */

#define NAME         "/certs/a.pem"
#define OURS         "0123456789012345678901234567890123456789"
#define SHOWN(PRINT) "Filename: " NAME "\nStatus: Used\nSHA1 FingerPrint: " PRINT "\n\n"

static bool is_command(const char *command, const char *words)
{
    return strncmp(command, words, strlen(words)) == 0;
}

/* The state is how many commits have come; the first one's answer is cut short. */
static const char *cut_first_commit(struct fake_runtime *fake, const char *command, bool *is_cut)
{
    if (is_command(command, "show ssl cert\n"))
        return "# filename\n" NAME "\n\n";
    if (is_command(command, "show ssl cert " NAME))
        return fake->state < 2 ? SHOWN("FF") : SHOWN(OURS);
    if (is_command(command, "set ssl cert " NAME " <<"))
        return "Transaction created for certificate " NAME "!\n\n";
    if (is_command(command, "abort ssl cert " NAME))
        return "Transaction aborted for certificate '" NAME "'!\n\n";
    if (!is_command(command, "commit ssl cert " NAME))
        return "what is that?\n";
    *is_cut = ++fake->state == 1;
    return *is_cut ? "Committing " NAME : "Committing " NAME "\nSuccess!\n\n";
}

struct pair {
    struct fake_runtime fakes[2];
    struct main_loop *loop;
    struct deployer *deployer;
    struct deploy_result result;
    char reason[512];
    size_t told, left;
};

static void begin_pair(struct pair *pair, fake_answer_fn *answer)
{
    struct runtime_target targets[2];
    *pair = (struct pair){.loop = main_loop_new(NULL)};
    for (size_t i = 0; i < 2; i++) {
        fake_runtime_start(&pair->fakes[i], answer);
        cr_assert(runtime_target_parse(slice_of(pair->fakes[i].path), &targets[i], NULL) ==
                  ERROR_OK);
    }
    pair->deployer = deployer_new(pair->loop, targets, 2);
}

static void end_pair(struct pair *pair)
{
    deployer_free(pair->deployer);
    main_loop_free(pair->loop);
    for (size_t i = 0; i < 2; i++)
        fake_runtime_stop(&pair->fakes[i]);
}

static void on_told(void *context, const struct deploy_result *result, size_t left)
{
    struct pair *pair = context;
    pair->result = *result;
    pair->told++;
    snprintf(pair->reason, sizeof(pair->reason), "%s",
             result->reason != NULL ? result->reason : "");
    if (left == 0)
        main_loop_stop(pair->loop);
}

static void run_with(struct pair *pair, bool first, bool second, const char *pem)
{
    const bool targets[] = {first, second};
    const struct deploy_job job = {.file = SLICE(NAME),
                                   .list = SLICE("/certs"),
                                   .pem = slice_of(pem),
                                   .fingerprint = SLICE(OURS),
                                   .targets = targets,
                                   .on_done = on_told,
                                   .context = pair};
    deployer_run(pair->deployer, &job);
    main_loop_run(pair->loop);
}

static void run_for(struct pair *pair, bool first, bool second)
{
    run_with(pair, first, second, "a key\n");
}

/* Nobody knows what has become of it; a refusal would have been told whole. */
Test(deploy, an_answer_that_was_cut_short_is_no_refusal)
{
    struct pair pair;
    begin_pair(&pair, cut_first_commit);
    run_for(&pair, true, false);
    cr_expect(eq(int, pair.result.error, ERROR_OK), "%s", pair.reason);
    char *asked = fake_runtime_take(&pair.fakes[0]);
    const char *aborted = strstr(asked, "abort ssl cert " NAME "\n");
    cr_assert(ne(ptr, (void *)(uintptr_t)aborted, NULL), "%s", asked);
    cr_expect(ne(ptr, strstr(aborted, "commit ssl cert " NAME "\n"), NULL), "%s", asked);
    free(asked);
    end_pair(&pair);
}

Test(deploy, who_is_not_meant_is_not_asked)
{
    struct pair pair;
    begin_pair(&pair, cut_first_commit);
    run_for(&pair, false, true);
    cr_expect(eq(sz, pair.told, 1));
    cr_expect(eq(sz, pair.result.target, 1));
    char *asked = fake_runtime_take(&pair.fakes[0]);
    cr_expect(zero(int, strcmp(asked, "")), "%s", asked);
    free(asked);
    run_for(&pair, true, true);
    cr_expect(eq(sz, pair.told, 3));
    end_pair(&pair);
}

/* The state is what has been set; the second time it is refused. */
static const char *cut_and_refuse(struct fake_runtime *fake, const char *command, bool *is_cut)
{
    if (is_command(command, "set ssl cert ") && ++fake->state > 1)
        return "unable to load the certificate\n";
    if (!is_command(command, "commit ssl cert "))
        return cut_first_commit(fake, command, is_cut);
    *is_cut = true;
    return "Committing " NAME;
}

/* What was cut short once is not what is refused later. */
Test(deploy, a_refusal_behind_a_broken_answer_is_one)
{
    struct pair pair;
    begin_pair(&pair, cut_and_refuse);
    run_for(&pair, true, false);
    cr_expect(eq(int, pair.result.error, ERROR_REFUSED), "%s", pair.reason);
    char *asked = fake_runtime_take(&pair.fakes[0]);
    cr_expect(eq(sz, counted(asked, "set ssl cert "), 2), "%s", asked);
    free(asked);
    end_pair(&pair);
}

/* The state is how often it is still locked. */
static const char *be_locked(struct fake_runtime *fake, const char *command, bool *is_cut)
{
    unsigned left = fake->state;
    if (left > 0 && is_command(command, "show ssl cert")) {
        fake->state--;
        return "The certificates are currently locked\n";
    }
    fake->state = 2; /* so that nothing is cut */
    const char *said = cut_first_commit(fake, command, is_cut);
    fake->state = left;
    return said;
}

/* Each has as many tries. */
Test(deploy, a_job_behind_one_that_came_to_nothing_is_tried_again)
{
    struct pair pair;
    begin_pair(&pair, be_locked);
    fake_runtime_set(&pair.fakes[0], 1000);
    run_for(&pair, true, false);
    cr_expect(eq(int, pair.result.error, ERROR_BUSY), "%s", pair.reason);
    fake_runtime_set(&pair.fakes[0], 2);
    run_for(&pair, true, false);
    cr_expect(eq(int, pair.result.error, ERROR_OK), "%s", pair.reason);
    end_pair(&pair);
}

static const char *be_narrow(struct fake_runtime *fake, const char *command, bool *is_cut)
{
    if (is_command(command, "show pools"))
        return "  - Pool buffer (2048 bytes) : 0\n";
    return cut_first_commit(fake, command, is_cut);
}

/* Whoever has made HAProxy's buffers smaller is told, and HAProxy is not. */
Test(deploy, what_haproxy_has_no_room_for_is_not_sent)
{
    char pem[1900];
    struct pair pair;
    begin_pair(&pair, be_narrow);
    memset(pem, 'x', sizeof(pem));
    memcpy(pem + sizeof(pem) - 2, "\n", 2);
    run_with(&pair, true, false, pem);
    cr_expect(eq(int, pair.result.error, ERROR_TOO_BIG), "%s", pair.reason);
    char *asked = fake_runtime_take(&pair.fakes[0]);
    cr_expect(eq(sz, counted(asked, "set ssl cert "), 0), "%s", asked);
    free(asked);
    end_pair(&pair);
}

/* -- Two sockets of one HAProxy -----------------------------------------------------------------
 */

/* What is open, in whichever of the two; under the first one's lock. */
static struct {
    pthread_mutex_t lock;
    bool is_open, is_done;
    size_t clashes;
} one_process = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const char *be_one_process(struct fake_runtime *fake, const char *command, bool *is_cut)
{
    (void)fake, (void)is_cut;
    const char *said = "what is that?\n";
    pthread_mutex_lock(&one_process.lock);
    if (is_command(command, "show ssl cert\n")) {
        one_process.clashes += one_process.is_open;
        said = "# filename\n" NAME "\n\n";
    } else if (is_command(command, "show ssl cert " NAME)) {
        said = one_process.is_done ? SHOWN(OURS) : SHOWN("FF");
    } else if (is_command(command, "set ssl cert " NAME " <<")) {
        one_process.is_open = true;
        said = "Transaction created for certificate " NAME "!\n\n";
    } else if (is_command(command, "commit ssl cert " NAME)) {
        one_process.is_open = false;
        one_process.is_done = true;
        said = "Committing " NAME "\nSuccess!\n\n";
    }
    pthread_mutex_unlock(&one_process.lock);
    usleep(2000); /* long enough that the other one could come between */
    return said;
}

/* Neither looks at, nor aborts, what the other one has open; the second finds it done. */
Test(deploy, two_ways_to_one_haproxy_take_turns)
{
    struct pair pair;
    begin_pair(&pair, be_one_process);
    deployer_same(pair.deployer, 1, 0);
    run_for(&pair, true, true);
    cr_expect(eq(sz, pair.told, 2));
    cr_expect(eq(int, pair.result.error, ERROR_OK), "%s", pair.reason);
    cr_expect(pair.result.unchanged);
    cr_expect(zero(sz, one_process.clashes));
    deployer_same(pair.deployer, 1, 1); /* it has become another one */
    run_for(&pair, true, true);
    cr_expect(eq(sz, pair.told, 4));
    end_pair(&pair);
}
