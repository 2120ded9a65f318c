/* hap/runtime: the swap machine against HAProxy's literal answers (2.6.12, 3.0.11, 3.2.26, 3.4.7).
 */
#include "hap/runtime.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>

#define FILE_NAME   "/etc/haproxy/certs/a.pem"
#define LIST_NAME   "/etc/haproxy/certs"
#define PEM         "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"
#define FINGERPRINT "9243C046E453CD25A330A1CB773D94B26E6C6280"
#define UNKNOWN     "Can't display the certificate: Not found or the certificate is a bundle!\n\n"
#define SHOWN       SHOWN_AS("Used")
#define OLD         "Filename: " FILE_NAME "\nStatus: Used\nSerial: 1\nSHA1 FingerPrint: 00\n\n"
#define SHOWN_AS(STATUS)                                                        \
    "Filename: " FILE_NAME "\nStatus: " STATUS "\nSerial: 39A2\n"               \
    "notBefore: Nov 23 18:03:33 2026 GMT\nnotAfter: Dec 23 18:03:33 2026 GMT\n" \
    "Subject Alternative Name: DNS:a.test, DNS:b.test\nAlgorithm: EC256\n"      \
    "SHA1 FingerPrint: " FINGERPRINT "\nSubject: /CN=a.test\nIssuer: /CN=a.test\n\n"

/* What is sent, and what HAProxy answers to it. */
struct turn {
    const char *command;
    const char *answer;
};

/* Those that most dialogues have. */
static const struct turn LISTED = {"show ssl cert", "# filename\n" FILE_NAME "\n\n"};
static const struct turn MADE = {"new ssl cert " FILE_NAME,
                                 "New empty certificate store '" FILE_NAME "'!\n\n"};
static const struct turn TAKEN = {"set ssl cert " FILE_NAME " <<\n" PEM,
                                  "Transaction created for certificate " FILE_NAME "!\n\n"};
static const struct turn COMMITTED = {"commit ssl cert " FILE_NAME,
                                      "Committing " FILE_NAME ".\nSuccess!\n\n"};
static const struct turn ADDED = {"add ssl crt-list " LIST_NAME " " FILE_NAME, "Success!\n\n"};
static const struct turn UNLISTED = {"del ssl crt-list " LIST_NAME " " FILE_NAME,
                                     "Entry '" FILE_NAME "' deleted in crtlist '" LIST_NAME
                                     "'!\n\n"};

static struct turn told(const char *answer)
{
    return (struct turn){"show ssl cert " FILE_NAME, answer};
}

/* Plays a dialogue; every command must be the expected one. Returns the last step. */
static enum runtime_step play(struct runtime_swap *swap, bool removing, const struct turn *turns)
{
    char buffer[RUNTIME_COMMAND_MAX_BYTES];
    struct writer command = writer_of(buffer, sizeof(buffer));
    swap->file = SLICE(FILE_NAME);
    swap->list = SLICE(LIST_NAME);
    swap->pem = SLICE(PEM);
    swap->fingerprint = SLICE(FINGERPRINT);
    enum runtime_step step =
        removing ? runtime_remove_start(swap, &command) : runtime_swap_start(swap, &command);
    for (; step == RUNTIME_SEND; turns++) {
        struct slice sent = writer_written(&command);
        cr_assert(turns->command != NULL, "unexpected: %.*s", SLICE_PRINT(sent));
        char expected[1024];
        int length = snprintf(expected, sizeof(expected), "%s\n", turns->command);
        cr_assert(slice_equal(sent, slice_from(expected, (size_t)length)), "sent %.*s, expected %s",
                  SLICE_PRINT(sent), expected);
        command = writer_of(buffer, sizeof(buffer));
        step = runtime_swap_answer(swap, slice_of(turns->answer), &command);
    }
    cr_assert(turns->command == NULL, "not sent: %s", turns->command);
    return step;
}

Test(swap, a_renewal_is_set_committed_and_read_back)
{
    struct runtime_swap swap = {0};
    const struct turn turns[] = {
        {"show ssl cert " FILE_NAME, OLD},
        {"show ssl cert", "# filename\n" FILE_NAME "\n\n"},
        {"set ssl cert " FILE_NAME " <<\n" PEM,
         "Transaction created for certificate " FILE_NAME "!\n\n"},
        {"commit ssl cert " FILE_NAME, "Committing " FILE_NAME "..\nSuccess!\n\n"},
        {"show ssl cert " FILE_NAME, SHOWN},
        {0},
    };
    cr_assert(play(&swap, false, turns) == RUNTIME_DONE);
    cr_assert(swap.existed);
}

Test(swap, a_new_name_is_made_first_and_listed_last)
{
    struct runtime_swap swap = {.prefix = SLICE("@1 ")};
    const struct turn turns[] = {
        {"@1 show ssl cert " FILE_NAME, UNKNOWN},
        {"@1 show ssl cert", "# filename\n/etc/haproxy/certs/other.pem\n\n"},
        {"@1 new ssl cert " FILE_NAME, "New empty certificate store '" FILE_NAME "'!\n\n"},
        {"@1 set ssl cert " FILE_NAME " <<\n" PEM,
         "Transaction created for certificate " FILE_NAME "!\n\n"},
        {"@1 commit ssl cert " FILE_NAME, "Committing " FILE_NAME "\nSuccess!\n\n"},
        {"@1 show ssl cert " FILE_NAME, SHOWN_AS("Unused")},
        {"@1 add ssl crt-list " LIST_NAME " " FILE_NAME,
         "Inserting certificate '" FILE_NAME "' in crt-list '" LIST_NAME "'.\nSuccess!\n\n"},
        {"@1 show ssl cert " FILE_NAME, SHOWN},
        {0},
    };
    cr_assert(play(&swap, false, turns) == RUNTIME_DONE);
    cr_assert_not(swap.existed);
}

Test(swap, a_folder_that_haproxy_does_not_read_is_told)
{
    struct runtime_swap swap = {0};
    const struct turn turns[] = {
        told(UNKNOWN),
        {"show ssl cert", "# filename\n/etc/haproxy/certs/other.pem\n\n"},
        MADE,
        TAKEN,
        COMMITTED,
        told(SHOWN_AS("Unused")),
        {"add ssl crt-list " LIST_NAME " " FILE_NAME,
         "Can't edit the crt-list: crt-list '" LIST_NAME "' does not exist!\n\n"},
        {0},
    };
    cr_assert(play(&swap, false, turns) == RUNTIME_FAILED);
    cr_assert(strstr(swap.reason.text, "lacks \"ssl crt " LIST_NAME "\"") != NULL);
}

Test(swap, a_leftover_transaction_is_aborted_first)
{
    struct runtime_swap swap = {0};
    const struct turn turns[] = {
        told(OLD),
        {"show ssl cert",
         "# transaction\n*/x/dead.pem\n# filename\n/x/dead.pem\n" FILE_NAME "\n\n"},
        {"abort ssl cert /x/dead.pem", "Transaction aborted for certificate '/x/dead.pem'!\n\n"},
        {"show ssl cert", "# filename\n/x/dead.pem\n" FILE_NAME "\n\n"},
        TAKEN,
        COMMITTED,
        told(SHOWN),
        {0},
    };
    cr_assert(play(&swap, false, turns) == RUNTIME_DONE);
    cr_assert(swap.cleared_leftover);
}

/* HAProxy tells names as its configuration has them. */
Test(swap, a_file_that_is_called_as_a_wildcard_is_no_transaction)
{
    struct runtime_swap swap = {0};
    const struct turn turns[] = {
        told(OLD),   {"show ssl cert", "# filename\n*.example.com.pem\n" FILE_NAME "\n\n"},
        TAKEN,       COMMITTED,
        told(SHOWN), {0},
    };
    cr_assert(play(&swap, false, turns) == RUNTIME_DONE);
    cr_expect_not(swap.cleared_leftover);
}

/* Nothing is looked for that would be in the way: somebody may be about to commit it. */
Test(swap, what_is_served_already_is_left_alone)
{
    struct runtime_swap swap = {0};
    const struct turn turns[] = {told(SHOWN), {0}};
    cr_assert(play(&swap, false, turns) == RUNTIME_DONE);
    cr_assert(swap.unchanged);
}

Test(swap, the_wrong_name_in_an_answer_is_never_committed)
{
    struct runtime_swap swap = {0};
    const struct turn turns[] = {
        told(OLD),
        LISTED,
        {"set ssl cert " FILE_NAME " <<\n" PEM,
         "Transaction updated for certificate /x/other.pem!\n\n"},
        {"abort ssl cert " FILE_NAME, "The ongoing transaction is about '/x/other.pem'\n\n"},
        {0},
    };
    cr_assert(play(&swap, false, turns) == RUNTIME_FAILED);
    cr_assert(swap.error == ERROR_REFUSED);
    cr_assert(strstr(swap.reason.text, "/x/other.pem") != NULL);
}

Test(swap, a_refused_commit_is_aborted_and_told)
{
    struct runtime_swap swap = {0};
    const struct turn turns[] = {
        told(OLD),
        LISTED,
        TAKEN,
        {"commit ssl cert " FILE_NAME,
         "Committing " FILE_NAME
         "\ninconsistencies between private key and certificate loaded '" FILE_NAME
         "'.\nCan't commit " FILE_NAME "!\n\n"},
        {"abort ssl cert " FILE_NAME, "Transaction aborted for certificate '" FILE_NAME "'!\n\n"},
        {0},
    };
    cr_assert(play(&swap, false, turns) == RUNTIME_FAILED);
}

Test(swap, a_lock_means_later)
{
    struct runtime_swap swap = {0};
    const struct turn turns[] = {
        told(OLD),
        LISTED,
        {"set ssl cert " FILE_NAME " <<\n" PEM,
         "Can't update the certificate!\nOperations on certificates are currently locked!\n\n"},
        {"abort ssl cert " FILE_NAME, "No ongoing transaction!\n\n"},
        {0},
    };
    cr_assert(play(&swap, false, turns) == RUNTIME_FAILED);
    cr_assert(swap.error == ERROR_BUSY);
}

Test(swap, a_lock_at_a_leftover_means_later_too)
{
    struct runtime_swap swap = {0};
    const struct turn turns[] = {
        told(OLD),
        {"show ssl cert", "# transaction\n*/x/dead.pem\n# filename\n/x/dead.pem\n\n"},
        {"abort ssl cert /x/dead.pem",
         "Can't abort!\nOperations on certificates are currently locked!\n\n"},
        {0},
    };
    cr_assert(play(&swap, false, turns) == RUNTIME_FAILED);
    cr_expect(swap.error == ERROR_BUSY);
    cr_expect_not(swap.cleared_leftover);
}

Test(swap, an_empty_answer_is_a_closed_connection)
{
    struct runtime_swap swap = {0};
    const struct turn turns[] = {told(""), {0}};
    cr_assert(play(&swap, false, turns) == RUNTIME_FAILED);
    cr_assert(swap.error == ERROR_CLOSED);
}

Test(swap, another_fingerprint_afterwards_is_a_failure)
{
    struct runtime_swap swap = {0};
    const struct turn turns[] = {
        told(OLD),
        LISTED,
        TAKEN,
        COMMITTED,
        {"show ssl cert " FILE_NAME,
         "Filename: " FILE_NAME "\nStatus: Used\nSHA1 FingerPrint: 00\n\n"},
        {0},
    };
    cr_assert(play(&swap, false, turns) == RUNTIME_FAILED);
    cr_assert(swap.error == ERROR_PROTOCOL);
}

/* Somebody opens one after the other: who aborts them for ever never gets to the end. */
Test(swap, a_second_leftover_transaction_is_left_to_whoever_began_it)
{
    struct runtime_swap swap = {0};
    static const char OPEN[] = "# transaction\n*/x/dead.pem\n# filename\n/x/dead.pem\n\n";
    const struct turn turns[] = {
        told(OLD),
        {"show ssl cert", OPEN},
        {"abort ssl cert /x/dead.pem", "Transaction aborted for certificate '/x/dead.pem'!\n\n"},
        {"show ssl cert", OPEN},
        {0},
    };
    cr_assert(play(&swap, false, turns) == RUNTIME_FAILED);
    cr_expect(swap.error == ERROR_REFUSED);
    /* The next try is as good as the first. */
    cr_assert(play(&swap, false, turns) == RUNTIME_FAILED);
}

Test(swap, a_leftover_whose_name_could_be_a_command_is_not_told_back)
{
    static const char *const NAMES[] = {"/x;del ssl cert /y", "/x y", "/x\\", "/x<<", "/\xc3\xa4"};
    for (size_t i = 0; i < COUNT_OF(NAMES); i++) {
        struct runtime_swap swap = {0};
        char answer[128];
        snprintf(answer, sizeof(answer), "# transaction\n*%s\n# filename\n\n", NAMES[i]);
        const struct turn turns[] = {told(OLD), {"show ssl cert", answer}, {0}};
        cr_expect(play(&swap, false, turns) == RUNTIME_FAILED, "%s", NAMES[i]);
    }
}

/* Neither a certificate nor the words that there is none: a socket of lower rights, say. */
Test(swap, what_haproxy_does_not_tell_is_not_taken_for_a_new_name)
{
    struct runtime_swap swap = {0};
    const struct turn turns[] = {
        {"show ssl cert " FILE_NAME, "Permission denied\n\n"},
        {0},
    };
    cr_assert(play(&swap, false, turns) == RUNTIME_FAILED);
    cr_expect(strstr(swap.reason.text, "Permission denied") != NULL, "%s", swap.reason.text);
}

/* As after a try that ended between commit and list: it is known, and no handshake is shown it. */
Test(swap, what_is_there_and_not_in_use_is_put_into_the_list)
{
    struct runtime_swap swap = {0};
    const struct turn turns[] = {
        told(SHOWN_AS("Unused")),
        LISTED,
        TAKEN,
        COMMITTED,
        told(SHOWN_AS("Unused")),
        ADDED,
        /* As before, however often it is asked. */
        told(SHOWN_AS("Unused")),
        {0},
    };
    cr_assert(play(&swap, false, turns) == RUNTIME_DONE);
    cr_expect(swap.added);
    cr_expect_not(swap.unchanged);
    /* Nothing of one swap is left in the next. */
    cr_assert(play(&swap, false, turns) == RUNTIME_DONE);
    const struct turn served[] = {told(SHOWN), {0}};
    cr_assert(play(&swap, false, served) == RUNTIME_DONE);
    cr_expect_not(swap.added);
    cr_expect(swap.unchanged);
    cr_assert(play(&swap, false, turns) == RUNTIME_DONE);
    cr_expect_not(swap.unchanged);
}

Test(swap, answers_that_are_no_success_end_it)
{
    const struct turn turns[] = {
        told(UNKNOWN), {"show ssl cert", "\n"},  MADE,  TAKEN,
        COMMITTED,     told(SHOWN_AS("Unused")), ADDED,
    };
    static const size_t AT[] = {2, 5, 6};
    for (size_t i = 0; i < COUNT_OF(AT); i++) {
        struct runtime_swap swap = {0};
        struct turn own[COUNT_OF(turns) + 1] = {{0}};
        memcpy(own, turns, AT[i] * sizeof(own[0]));
        own[AT[i]] = (struct turn){turns[AT[i]].command, "Out of memory!\n\n"};
        cr_expect(play(&swap, false, own) == RUNTIME_FAILED, "%zu", AT[i]);
        cr_expect(strstr(swap.reason.text, "Out of memory!") != NULL, "%s", swap.reason.text);
    }
}

/* Nothing is sent of what could be a command. */
Test(swap, what_could_be_a_command_is_not_begun)
{
    char buffer[RUNTIME_COMMAND_MAX_BYTES];
    struct writer command = writer_of(buffer, sizeof(buffer));
    const struct runtime_swap good = {.file = SLICE(FILE_NAME),
                                      .list = SLICE(LIST_NAME),
                                      .pem = SLICE(PEM),
                                      .fingerprint = SLICE(FINGERPRINT)};
    struct runtime_swap swap = good;
    cr_assert(runtime_swap_start(&swap, &command) == RUNTIME_SEND);
    swap = good;
    swap.file = SLICE("/a;b");
    cr_expect(runtime_swap_start(&swap, &command) == RUNTIME_FAILED);
    swap = good;
    swap.list = SLICE("/a;b");
    cr_expect(runtime_swap_start(&swap, &command) == RUNTIME_FAILED);
    swap = good;
    swap.pem = SLICE("a\n\nshow info\n");
    cr_expect(runtime_swap_start(&swap, &command) == RUNTIME_FAILED);
    /* What is removed has no PEM. */
    swap.pem = (struct slice){0};
    cr_expect(runtime_remove_start(&swap, &command) == RUNTIME_SEND);
}

/* HAProxy prints certificates by the thousand, and nothing of it is needed but the beginning. */
Test(swap, of_the_list_alone_the_beginning_is_enough)
{
    struct runtime_swap swap = {.state = SWAP_LIST};
    cr_expect_not(runtime_swap_has_enough(&swap, SLICE("# transaction\n*/x.pem\n")));
    cr_expect(runtime_swap_has_enough(&swap, SLICE("# filename\n/a.pem\n/b")));
    swap.state = SWAP_KNOWN;
    cr_expect_not(runtime_swap_has_enough(&swap, SLICE("# filename\n/a.pem\n/b")));
}

Test(remove, a_certificate_that_stays_is_told)
{
    struct runtime_swap swap = {0};
    const struct turn turns[] = {
        told(SHOWN),
        LISTED,
        UNLISTED,
        {"del ssl cert " FILE_NAME,
         "Can't remove the certificate: certificate '" FILE_NAME "' in use, can't be deleted!\n\n"},
        {0},
    };
    cr_assert(play(&swap, true, turns) == RUNTIME_FAILED);
    cr_expect(strstr(swap.reason.text, "in use") != NULL, "%s", swap.reason.text);
}

Test(remove, unlists_before_it_deletes)
{
    struct runtime_swap swap = {0};
    const struct turn turns[] = {
        told(SHOWN), LISTED,
        UNLISTED,    {"del ssl cert " FILE_NAME, "Certificate '" FILE_NAME "' deleted!\n\n"},
        {0},
    };
    cr_assert(play(&swap, true, turns) == RUNTIME_DONE);
}

Test(remove, goes_on_where_an_earlier_try_has_stopped)
{
    struct runtime_swap swap = {0};
    const struct turn turns[] = {
        told(SHOWN),
        LISTED,
        {"del ssl crt-list " LIST_NAME " " FILE_NAME,
         "Can't delete the entry: certificate '" FILE_NAME
         "' can't be found in crt-list '" LIST_NAME "'!\n\n"},
        {"del ssl cert " FILE_NAME, "Certificate '" FILE_NAME "' deleted!\n\n"},
        {0},
    };
    cr_assert(play(&swap, true, turns) == RUNTIME_DONE);
}

Test(remove, nothing_is_deleted_that_may_still_be_listed)
{
    struct runtime_swap swap = {0};
    const struct turn turns[] = {
        told(SHOWN),
        LISTED,
        {"del ssl crt-list " LIST_NAME " " FILE_NAME,
         "Can't delete the entry: crt-list '" LIST_NAME "' does not exist!\n\n"},
        {0},
    };
    cr_assert(play(&swap, true, turns) == RUNTIME_FAILED);
    cr_assert(strstr(swap.reason.text, "del ssl crt-list") != NULL, "%s", swap.reason.text);
}

Test(remove, what_is_not_there_is_removed)
{
    struct runtime_swap swap = {0};
    const struct turn turns[] = {told(UNKNOWN), {0}};
    cr_assert(play(&swap, true, turns) == RUNTIME_DONE);
}

Test(checks, names_that_could_be_commands_are_refused)
{
    const char *bad[] = {"",
                         "a.pem",
                         "/a b",
                         "/a;del ssl cert /b",
                         "/a\nb",
                         "/a/../b",
                         "/a/..",
                         "/a<b",
                         "/*a",
                         "/a\\b",
                         "/a\"b",
                         "/a\x7f"
                         "b",
                         "/\xc3\xa9"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        cr_expect(runtime_name_check(slice_of(bad[i]), NULL) != ERROR_OK, "%s", bad[i]);
    cr_expect(runtime_name_check(SLICE("/etc/x..y/a-b_c.pem.rsa"), NULL) == ERROR_OK);
    char longest[RUNTIME_NAME_MAX_BYTES + 1];
    memset(longest, 'a', sizeof(longest));
    longest[0] = '/';
    cr_expect(runtime_name_check(slice_from(longest, sizeof(longest) - 1), NULL) == ERROR_OK);
    cr_expect(runtime_name_check(slice_from(longest, sizeof(longest)), NULL) == ERROR_TOO_BIG);
}

Test(checks, payloads_that_could_be_commands_are_refused)
{
    const char *bad[] = {"", "a", "a\n\nb\n", "\na\n", "a\r\n", "a\n\n"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        cr_expect(runtime_payload_check(slice_of(bad[i]), NULL) != ERROR_OK, "%zu", i);
    cr_expect(runtime_payload_check(slice_from("a\0b\n", 4), NULL) == ERROR_INVALID);
    static char huge[RUNTIME_PEM_MAX_BYTES + 1];
    memset(huge, 'a', sizeof(huge));
    huge[sizeof(huge) - 2] = huge[sizeof(huge) - 1] = '\n';
    cr_expect(runtime_payload_check(slice_from(huge, sizeof(huge) - 1), NULL) == ERROR_OK);
    huge[sizeof(huge) - 2] = 'a';
    cr_expect(runtime_payload_check(slice_from(huge, sizeof(huge)), NULL) == ERROR_TOO_BIG);
}

Test(checks, numbers_do_not_turn_over)
{
    cr_expect(eq(u64, runtime_number(SLICE("18446744073709551615")), UINT64_MAX));
    cr_expect(eq(u64, runtime_number(SLICE("18446744073709551616")), UINT64_MAX));
    cr_expect(eq(u64, runtime_number(SLICE("184467440737095516160")), UINT64_MAX));
    cr_expect(eq(u64, runtime_number(SLICE("12x")), 12));
    cr_expect(eq(u64, runtime_number(SLICE("")), 0));
}

/* The lists of 2.6.12, 3.4.7, and of 2.6.12 with tune.bufsize 1024. */
Test(room, a_command_keeps_away_from_the_end_of_the_buffer)
{
    const struct {
        const char *answer;
        size_t room;
    } cases[] = {
        {"  - Pool hpack_tbl (4096 bytes) : 0 allocated\n"
         "  - Pool buffer (8192 bytes) : 2 allocated (16384 bytes), 2 used\n",
         8192 - 384},
        {"Pid: 7\n\n  - Pool buffer (16384 bytes/64) : 0 allocated\n", RUNTIME_COMMAND_MAX_BYTES},
        {"  - Pool buffer (40000 bytes) : 0\n", RUNTIME_COMMAND_MAX_BYTES},
        {"  - Pool buffer (99999999999999999999999 bytes) : 0\n", RUNTIME_COMMAND_MAX_BYTES},
        {"  - Pool buffer (1024 bytes) : 0\n", RUNTIME_COMMAND_SHORT_BYTES},
        {"  - Pool buffer (x", RUNTIME_COMMAND_SHORT_BYTES},
        {"  - Pool cache_st (24 bytes) : 0\n", RUNTIME_COMMAND_SHORT_BYTES},
        {"Total: 0 pools\n", RUNTIME_COMMAND_MAX_BYTES},
        {"", RUNTIME_COMMAND_MAX_BYTES},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        cr_expect(eq(sz, runtime_room(slice_of(cases[i].answer)), cases[i].room), "%zu", i);
}

Test(process, another_one_may_have_the_same_number)
{
    static const struct {
        const char *before, *now;
        bool differs;
    } CASES[] = {
        {"Pid: 7\nUptime_sec: 100\n", "Pid: 7\nUptime_sec: 100\n", false},
        {"Pid: 7\nUptime_sec: 100\n", "Pid: 7\nUptime_sec: 105\n", false},
        {"Pid: 7\nUptime_sec: 100\n", "Pid: 7\nUptime_sec: 99\n", true},
        {"Pid: 7\nUptime_sec: 100\n", "Pid: 8\nUptime_sec: 100\n", true},
        {"Pid: 7\n", "Pid: 7\n", false},
        {"Pid: 7\nUptime_sec: 2\nStart_time_sec: 100\n",
         "Pid: 7\nUptime_sec: 4\nStart_time_sec: 103\n", true},
        {"Pid: 7\nUptime_sec: 2\nStart_time_sec: 9999999999\n",
         "Pid: 7\nUptime_sec: 4\nStart_time_sec: 9999999999\n", false},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct runtime_process before, now;
        cr_assert(runtime_process_read(slice_of(CASES[i].before), &before));
        cr_assert(runtime_process_read(slice_of(CASES[i].now), &now));
        cr_expect(eq(int, runtime_process_differs(&now, &before), CASES[i].differs), "%zu", i);
    }
}

/* Two sockets tell of one process. That of another container may have its number, and its start. */
Test(process, is_the_one_that_another_socket_tells_of)
{
    static const struct {
        const char *one, *other;
        bool is;
    } CASES[] = {
        {"Pid: 8\nUptime_sec: 3\nnode: a\nStart_time_sec: 99\n",
         "Pid: 8\nUptime_sec: 4\nnode: a\nStart_time_sec: 99\n", true},
        {"Pid: 8\nnode: a\nStart_time_sec: 99\n", "Pid: 9\nnode: a\nStart_time_sec: 99\n", false},
        {"Pid: 8\nnode: a\nStart_time_sec: 99\n", "Pid: 8\nnode: b\nStart_time_sec: 99\n", false},
        {"Pid: 8\nnode: a\nStart_time_sec: 99\n", "Pid: 8\nnode: a\nStart_time_sec: 98\n", false},
        {"Pid: 8\nnode: a\n", "Pid: 8\nnode: a\n", false},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct runtime_process one, other;
        cr_assert(runtime_process_read(slice_of(CASES[i].one), &one));
        cr_assert(runtime_process_read(slice_of(CASES[i].other), &other));
        cr_expect(eq(int, runtime_process_is(&one, &other), CASES[i].is), "%zu", i);
    }
}

Test(process, is_told_by_a_number)
{
    static const char *const NONE[] = {
        "", "Uptime_sec: 1\n", "Pid:\n", "Pid: x\n", "Pid: -1\n", "Pid: 0\n", "Pid: 99999999999\n"};
    struct runtime_process process;
    for (size_t i = 0; i < COUNT_OF(NONE); i++) {
        cr_expect(not(runtime_process_read(slice_of(NONE[i]), &process)), "%s", NONE[i]);
        cr_expect(zero(i64, process.pid));
    }
    cr_assert(runtime_process_read(SLICE("Uptime: 0d\nUptime_sec: 12\nPid: 7\n"), &process));
    cr_expect(eq(i64, process.pid, 7));
    cr_expect(eq(i64, process.uptime_s, 12));
    cr_assert(runtime_process_read(SLICE("Uptime_sec: soon\nPid: 7\n"), &process));
    cr_expect(eq(i64, process.uptime_s, -1));
}
