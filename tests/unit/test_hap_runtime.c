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
        {"show ssl cert", "# filename\n" FILE_NAME "\n\n"},
        {"show ssl cert " FILE_NAME, OLD},
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
        {"@1 show ssl cert", "# filename\n/etc/haproxy/certs/other.pem\n\n"},
        {"@1 show ssl cert " FILE_NAME, UNKNOWN},
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
        {"show ssl cert", "# filename\n/etc/haproxy/certs/other.pem\n\n"},
        {"show ssl cert " FILE_NAME, UNKNOWN},
        {"new ssl cert " FILE_NAME, "New empty certificate store '" FILE_NAME "'!\n\n"},
        {"set ssl cert " FILE_NAME " <<\n" PEM,
         "Transaction created for certificate " FILE_NAME "!\n\n"},
        {"commit ssl cert " FILE_NAME, "Committing " FILE_NAME "\nSuccess!\n\n"},
        {"show ssl cert " FILE_NAME, SHOWN_AS("Unused")},
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
        {"show ssl cert",
         "# transaction\n*/x/dead.pem\n# filename\n/x/dead.pem\n" FILE_NAME "\n\n"},
        {"abort ssl cert /x/dead.pem", "Transaction aborted for certificate '/x/dead.pem'!\n\n"},
        {"show ssl cert", "# filename\n/x/dead.pem\n" FILE_NAME "\n\n"},
        {"show ssl cert " FILE_NAME, OLD},
        {"set ssl cert " FILE_NAME " <<\n" PEM,
         "Transaction created for certificate " FILE_NAME "!\n\n"},
        {"commit ssl cert " FILE_NAME, "Committing " FILE_NAME ".\nSuccess!\n\n"},
        {"show ssl cert " FILE_NAME, SHOWN},
        {0},
    };
    cr_assert(play(&swap, false, turns) == RUNTIME_DONE);
    cr_assert(swap.cleared_leftover);
}

Test(swap, what_is_served_already_is_left_alone)
{
    struct runtime_swap swap = {0};
    const struct turn turns[] = {
        {"show ssl cert", "# filename\n" FILE_NAME "\n\n"},
        {"show ssl cert " FILE_NAME, SHOWN},
        {0},
    };
    cr_assert(play(&swap, false, turns) == RUNTIME_DONE);
    cr_assert(swap.unchanged);
}

/* HAProxy 2.6.12 writes our PEM into another file's open transaction and says so only in a name. */
Test(swap, the_wrong_name_in_an_answer_is_never_committed)
{
    struct runtime_swap swap = {0};
    const struct turn turns[] = {
        {"show ssl cert", "# filename\n" FILE_NAME "\n\n"},
        {"show ssl cert " FILE_NAME, OLD},
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
        {"show ssl cert", "# filename\n" FILE_NAME "\n\n"},
        {"show ssl cert " FILE_NAME, OLD},
        {"set ssl cert " FILE_NAME " <<\n" PEM,
         "Transaction created for certificate " FILE_NAME "!\n\n"},
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
        {"show ssl cert", "# filename\n" FILE_NAME "\n\n"},
        {"show ssl cert " FILE_NAME, OLD},
        {"set ssl cert " FILE_NAME " <<\n" PEM,
         "Can't update the certificate!\nOperations on certificates are currently locked!\n\n"},
        {"abort ssl cert " FILE_NAME, "No ongoing transaction!\n\n"},
        {0},
    };
    cr_assert(play(&swap, false, turns) == RUNTIME_FAILED);
    cr_assert(swap.error == ERROR_BUSY);
}

Test(swap, an_empty_answer_is_a_closed_connection)
{
    struct runtime_swap swap = {0};
    const struct turn turns[] = {{"show ssl cert", ""}, {0}};
    cr_assert(play(&swap, false, turns) == RUNTIME_FAILED);
    cr_assert(swap.error == ERROR_CLOSED);
}

Test(swap, another_fingerprint_afterwards_is_a_failure)
{
    struct runtime_swap swap = {0};
    const struct turn turns[] = {
        {"show ssl cert", "# filename\n" FILE_NAME "\n\n"},
        {"show ssl cert " FILE_NAME, OLD},
        {"set ssl cert " FILE_NAME " <<\n" PEM,
         "Transaction created for certificate " FILE_NAME "!\n\n"},
        {"commit ssl cert " FILE_NAME, "Committing " FILE_NAME ".\nSuccess!\n\n"},
        {"show ssl cert " FILE_NAME,
         "Filename: " FILE_NAME "\nStatus: Used\nSHA1 FingerPrint: 00\n\n"},
        {0},
    };
    cr_assert(play(&swap, false, turns) == RUNTIME_FAILED);
    cr_assert(swap.error == ERROR_PROTOCOL);
}

Test(remove, unlists_before_it_deletes)
{
    struct runtime_swap swap = {0};
    const struct turn turns[] = {
        {"show ssl cert", "# filename\n" FILE_NAME "\n\n"},
        {"show ssl cert " FILE_NAME, SHOWN},
        {"del ssl crt-list " LIST_NAME " " FILE_NAME,
         "Entry '" FILE_NAME "' deleted in crtlist '" LIST_NAME "'!\n\n"},
        {"del ssl cert " FILE_NAME, "Certificate '" FILE_NAME "' deleted!\n\n"},
        {0},
    };
    cr_assert(play(&swap, true, turns) == RUNTIME_DONE);
}

Test(remove, goes_on_where_an_earlier_try_has_stopped)
{
    struct runtime_swap swap = {0};
    const struct turn turns[] = {
        {"show ssl cert", "# filename\n" FILE_NAME "\n\n"},
        {"show ssl cert " FILE_NAME, SHOWN},
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
        {"show ssl cert", "# filename\n" FILE_NAME "\n\n"},
        {"show ssl cert " FILE_NAME, SHOWN},
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
    const struct turn turns[] = {
        {"show ssl cert", "\n"}, {"show ssl cert " FILE_NAME, UNKNOWN}, {0}};
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
}

Test(checks, payloads_that_could_be_commands_are_refused)
{
    const char *bad[] = {"", "a", "a\n\nb\n", "\na\n", "a\r\n", "a\n\n"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        cr_expect(runtime_payload_check(slice_of(bad[i]), NULL) != ERROR_OK, "%zu", i);
    static char huge[RUNTIME_COMMAND_MAX_BYTES];
    memset(huge, 'a', sizeof(huge));
    huge[sizeof(huge) - 1] = '\n';
    cr_expect(runtime_payload_check(slice_from(huge, sizeof(huge)), NULL) == ERROR_TOO_BIG);
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
