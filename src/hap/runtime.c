/* The Runtime API's certificate commands: see hap/runtime.h. */
#include "hap/runtime.h"

#include "core/hash.h"

#include <stdio.h>

enum { SAID_MAX_BYTES = 200 }; /* of HAProxy's words, in a reason */

static bool name_byte_allowed(char c)
{
    return ascii_is_alphanumeric(c) || byte_is_one_of(c, "/._-+@:,=");
}

static bool has_dot_dot(struct slice name)
{
    for (size_t i = 0; i + 2 < name.size; i++) {
        struct slice rest = slice_skip(name, i);
        if (slice_starts_with(rest, SLICE("/..")) && (rest.size == 3 || rest.data[3] == '/'))
            return true;
    }
    return false;
}

enum error runtime_name_check(struct slice name, struct error_text *text)
{
    if (name.size == 0 || name.data[0] != '/')
        return error_set(text, ERROR_INVALID,
                         "a certificate's file name must be absolute, not %.*s", SLICE_PRINT(name));
    if (name.size > RUNTIME_NAME_MAX_BYTES)
        return error_set(text, ERROR_TOO_BIG, "a certificate's file name has %zu bytes, at most %d",
                         name.size, RUNTIME_NAME_MAX_BYTES);
    for (size_t i = 0; i < name.size; i++)
        if (!name_byte_allowed(name.data[i]))
            return error_set(text, ERROR_INVALID,
                             "byte 0x%02x of a certificate's file name cannot be part of a command",
                             (uint8_t)name.data[i]);
    if (has_dot_dot(name))
        return error_set(text, ERROR_INVALID, "a certificate's file name must not contain \"..\"");
    return ERROR_OK;
}

enum error runtime_payload_check(struct slice pem, struct error_text *text)
{
    if (pem.size == 0 || pem.data[pem.size - 1] != '\n')
        return error_set(text, ERROR_INVALID, "the PEM does not end with a newline");
    if (pem.size > RUNTIME_PEM_MAX_BYTES)
        return error_set(text, ERROR_TOO_BIG,
                         "the PEM has %zu bytes; HAProxy takes at most %d: use fewer names or an "
                         "ECDSA key",
                         pem.size, RUNTIME_PEM_MAX_BYTES);
    bool line_is_empty = true;
    for (size_t i = 0; i < pem.size; i++) {
        char c = pem.data[i];
        if (c == '\r' || c == '\0')
            return error_set(text, ERROR_INVALID, "byte 0x%02x at offset %zu of the PEM",
                             (uint8_t)c, i);
        if (c == '\n' && line_is_empty)
            return error_set(text, ERROR_INVALID,
                             "a blank line at offset %zu of the PEM would end the payload", i);
        line_is_empty = c == '\n';
    }
    return ERROR_OK;
}

bool runtime_next_line(struct slice *text, struct slice *line)
{
    if (text->size == 0)
        return false;
    *line = slice_cut(text, '\n');
    return true;
}

uint64_t runtime_number(struct slice text)
{
    uint64_t number = 0;
    for (size_t i = 0; i < text.size && ascii_is_digit(text.data[i]); i++) {
        uint64_t digit = (uint64_t)(text.data[i] - '0');
        if (number > (UINT64_MAX - digit) / 10)
            return UINT64_MAX;
        number = number * 10 + digit;
    }
    return number;
}

/* "  - Pool buffer (16384 bytes) : ...", since 3.4 "(16384 bytes/64)". */
size_t runtime_room(struct slice answer)
{
    const struct slice pool = SLICE("  - Pool ");
    const struct slice buffer = SLICE("  - Pool buffer (");
    struct slice line;
    size_t room = RUNTIME_COMMAND_MAX_BYTES;
    while (runtime_next_line(&answer, &line)) {
        /* A list without it was cut short: by its buffer, which is that small. */
        if (slice_starts_with(line, pool))
            room = RUNTIME_COMMAND_SHORT_BYTES;
        if (!slice_starts_with(line, buffer))
            continue;
        size_t kept = RUNTIME_BUFFER_BYTES - RUNTIME_COMMAND_MAX_BYTES;
        size_t bytes =
            size_min(runtime_number(slice_skip(line, buffer.size)), RUNTIME_BUFFER_BYTES);
        return bytes < RUNTIME_COMMAND_SHORT_BYTES + kept ? RUNTIME_COMMAND_SHORT_BYTES
                                                          : bytes - kept;
    }
    return room;
}

enum error runtime_room_reason(size_t room, size_t command_bytes, struct error_text *text)
{
    return error_set(
        text, ERROR_TOO_BIG,
        "a command of %zu bytes is needed, and HAProxy's tune.bufsize allows %zu: take "
        "tune.bufsize out of haproxy.cfg, or set it to %d, and reload HAProxy",
        command_bytes, room, RUNTIME_BUFFER_BYTES);
}

struct slice runtime_said(struct slice words)
{
    return slice_head(words, size_min(words.size, SAID_MAX_BYTES));
}

struct slice runtime_field(struct slice head, struct slice row, const char *name)
{
    if (slice_starts_with(head, SLICE("# ")))
        head = slice_skip(head, 2);
    while (head.size > 0 && row.size > 0) {
        struct slice value = slice_cut(&row, ',');
        if (slice_equal(slice_cut(&head, ','), slice_of(name)))
            return value;
    }
    return (struct slice){0};
}

struct slice runtime_value(struct slice answer, const char *key)
{
    struct slice name = slice_of(key);
    struct slice line;
    while (runtime_next_line(&answer, &line)) {
        if (!slice_starts_with(line, name))
            continue;
        struct slice rest = slice_skip(line, name.size);
        if (slice_starts_with(rest, SLICE(":")))
            return slice_trim(slice_skip(rest, 1));
    }
    return (struct slice){0};
}

static bool read_count(struct slice text, int64_t *count)
{
    uint64_t number = runtime_number(text);
    *count = (int64_t)number;
    return text.size > 0 && ascii_is_digit(text.data[0]) && number <= INT32_MAX;
}

bool runtime_process_read(struct slice answer, struct runtime_process *process)
{
    if (!read_count(runtime_value(answer, "Uptime_sec"), &process->uptime_s))
        process->uptime_s = -1;
    process->start_s = runtime_number(runtime_value(answer, "Start_time_sec"));
    process->node = hash_content(runtime_value(answer, "node"), 0);
    if (read_count(runtime_value(answer, "Pid"), &process->pid) && process->pid > 0)
        return true;
    process->pid = 0;
    return false;
}

bool runtime_process_differs(const struct runtime_process *now,
                             const struct runtime_process *before)
{
    /* One that began soon after the last look may be older now than the former was then. */
    return now->pid != before->pid || now->start_s != before->start_s ||
           now->uptime_s < before->uptime_s;
}

bool runtime_process_is(const struct runtime_process *one, const struct runtime_process *other)
{
    return one->pid != 0 && one->start_s != 0 && one->pid == other->pid &&
           one->start_s == other->start_s && one->node == other->node;
}

/* --- writing commands ------------------------------------------------------------------------ */

static enum runtime_step send_command(struct runtime_swap *swap, struct writer *command,
                                      enum runtime_swap_state state, const char *words,
                                      struct slice first, struct slice second)
{
    writer_bytes(command, swap->prefix);
    writer_bytes(command, slice_of(words));
    if (first.size > 0) {
        writer_u8(command, ' ');
        writer_bytes(command, first);
    }
    if (second.size > 0) {
        writer_u8(command, ' ');
        writer_bytes(command, second);
    }
    if (state == SWAP_SET) {
        writer_bytes(command, SLICE(" <<\n"));
        writer_bytes(command, swap->pem);
    }
    writer_u8(command, '\n');
    swap->state = state;
    if (!command->failed)
        return RUNTIME_SEND;
    swap->error = error_set(&swap->reason, ERROR_TOO_BIG, "the command for %.*s does not fit",
                            SLICE_PRINT(swap->file));
    swap->state = SWAP_END;
    return RUNTIME_FAILED;
}

static const struct slice NOTHING = {0};

/* The first line of an answer, for messages. */
static struct slice first_line(struct slice answer)
{
    struct slice line;
    while (runtime_next_line(&answer, &line))
        if (line.size > 0)
            return line;
    return SLICE("no answer");
}

static bool has_line(struct slice answer, struct slice wanted)
{
    struct slice line;
    while (runtime_next_line(&answer, &line))
        if (slice_equal(line, wanted))
            return true;
    return false;
}

/* Of `show ssl cert F`: "Used", "Unused"; empty when the answer is not about a certificate. */
static struct slice status_of(struct slice answer)
{
    return runtime_value(answer, "Status");
}

static struct slice fingerprint_of(struct slice answer)
{
    return runtime_value(answer, "SHA1 FingerPrint");
}

/* The certificates are, by whoever looks at one or changes one. */
static bool is_locked(struct slice answer)
{
    return slice_contains(answer, SLICE("currently locked"));
}

/* What HAProxy said where something else was expected. */
static void set_reason(struct runtime_swap *swap, const char *step, struct slice answer)
{
    struct slice said = runtime_said(first_line(answer));
    swap->error = answer.size == 0 ? ERROR_CLOSED : is_locked(answer) ? ERROR_BUSY : ERROR_REFUSED;
    error_set(&swap->reason, swap->error, "%s of %.*s: HAProxy answered \"%.*s\"", step,
              SLICE_PRINT(swap->file), SLICE_PRINT(said));
}

static enum runtime_step fail(struct runtime_swap *swap, const char *step, struct slice answer)
{
    set_reason(swap, step, answer);
    swap->state = SWAP_END;
    return RUNTIME_FAILED;
}

/* Fails, but first takes back the transaction that may be open under our name. */
static enum runtime_step fail_and_abort(struct runtime_swap *swap, const char *step,
                                        struct slice answer, struct writer *command)
{
    set_reason(swap, step, answer);
    return send_command(swap, command, SWAP_ABORT, "abort ssl cert", swap->file, NOTHING);
}

/* --- reading answers ---------------------------------------------------------------------------
 */

/* Whether a line of `answer` is `before`, the file's name, `after`. */
static bool says(const struct runtime_swap *swap, struct slice answer, const char *before,
                 const char *after)
{
    char wanted[RUNTIME_NAME_MAX_BYTES + 64];
    int length =
        snprintf(wanted, sizeof(wanted), "%s%.*s%s", before, SLICE_PRINT(swap->file), after);
    return length > 0 && (size_t)length < sizeof(wanted) &&
           has_line(answer, slice_from(wanted, (size_t)length));
}

/* The name of an open transaction in `show ssl cert`: the line that begins with "*", above the
 * files, one of which may be called "*.example.com.pem". */
static struct slice open_transaction(struct slice answer)
{
    struct slice line;
    while (runtime_next_line(&answer, &line) && !slice_equal(line, SLICE("# filename")))
        if (line.size > 1 && line.data[0] == '*')
            return slice_skip(line, 1);
    return NOTHING;
}

/* Whether a name that HAProxy tells can be told back to it, as one word of one command. */
static bool is_word(struct slice name)
{
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] <= ' ' || name.data[i] > '~' || byte_is_one_of(name.data[i], ";\\\"'<"))
            return false;
    return true;
}

static enum runtime_step ask_for_list(struct runtime_swap *swap, struct writer *command)
{
    return send_command(swap, command, SWAP_LIST, "show ssl cert", NOTHING, NOTHING);
}

/* Nothing is open that the change could get into. */
static enum runtime_step begin_change(struct runtime_swap *swap, struct writer *command)
{
    if (swap->removing && swap->list.size > 0)
        return send_command(swap, command, SWAP_UNLIST, "del ssl crt-list", swap->list, swap->file);
    if (swap->removing)
        return send_command(swap, command, SWAP_DELETE, "del ssl cert", swap->file, NOTHING);
    if (!swap->existed)
        return send_command(swap, command, SWAP_NEW, "new ssl cert", swap->file, NOTHING);
    return send_command(swap, command, SWAP_SET, "set ssl cert", swap->file, NOTHING);
}

static enum runtime_step after_list(struct runtime_swap *swap, struct slice answer,
                                    struct writer *command)
{
    /* Without a single certificate the answer is an empty line. */
    if (!has_line(answer, SLICE("# filename")) && !slice_equal(answer, SLICE("\n")))
        return fail(swap, "show ssl cert", answer);
    struct slice leftover = open_transaction(answer);
    if (leftover.size > 0 && (swap->cleared_leftover || !is_word(leftover)))
        return fail(swap, "abort of a leftover transaction before the change", answer);
    if (leftover.size > 0)
        return send_command(swap, command, SWAP_CLEAR, "abort ssl cert", leftover, NOTHING);
    return begin_change(swap, command);
}

/* What has become of it shows in the list, unless it could not be touched. */
static enum runtime_step after_clear(struct runtime_swap *swap, struct slice answer,
                                     struct writer *command)
{
    if (answer.size == 0 || is_locked(answer))
        return fail(swap, "abort of a leftover transaction before the change", answer);
    swap->cleared_leftover = true;
    return ask_for_list(swap, command);
}

static bool is_served(const struct runtime_swap *swap, struct slice answer)
{
    return slice_equal(status_of(answer), SLICE("Used")) &&
           slice_equal_nocase(fingerprint_of(answer), swap->fingerprint);
}

/* Where nothing is to change, whoever has a transaction open keeps it: an admin may be about to
 * commit it, and what is in service is looked at every few seconds. */
static enum runtime_step after_known(struct runtime_swap *swap, struct slice answer,
                                     struct writer *command)
{
    swap->existed = status_of(answer).size > 0;
    if (!swap->existed && !slice_contains(answer, SLICE("Not found")))
        return fail(swap, "show ssl cert", answer);
    swap->unchanged = !swap->removing && !swap->anew && is_served(swap, answer);
    if (!swap->unchanged && (swap->existed || !swap->removing))
        return ask_for_list(swap, command);
    swap->state = SWAP_END;
    return RUNTIME_DONE;
}

static enum runtime_step after_new(struct runtime_swap *swap, struct slice answer,
                                   struct writer *command)
{
    if (!says(swap, answer, "New empty certificate store '", "'!"))
        return fail(swap, "new ssl cert", answer);
    return send_command(swap, command, SWAP_SET, "set ssl cert", swap->file, NOTHING);
}

/* "updated" means that a transaction was open already. Ours is the only one after SWAP_LIST, so
 * somebody else has begun one since: with 2.6 its content is now ours under its name, or the other
 * way round. Nothing of that may be committed. */
static enum runtime_step after_set(struct runtime_swap *swap, struct slice answer,
                                   struct writer *command)
{
    if (!says(swap, answer, "Transaction created for certificate ", "!"))
        return fail_and_abort(swap, "set ssl cert", answer, command);
    return send_command(swap, command, SWAP_COMMIT, "commit ssl cert", swap->file, NOTHING);
}

static enum runtime_step verify(struct runtime_swap *swap, struct writer *command)
{
    return send_command(swap, command, SWAP_VERIFY, "show ssl cert", swap->file, NOTHING);
}

static enum runtime_step after_commit(struct runtime_swap *swap, struct slice answer,
                                      struct writer *command)
{
    if (!has_line(answer, SLICE("Success!")))
        return fail_and_abort(swap, "commit ssl cert", answer, command);
    return verify(swap, command);
}

/* "Can't edit the crt-list: crt-list '...' does not exist!": it reads some other folder. */
static enum runtime_step fail_unread(struct runtime_swap *swap)
{
    swap->error =
        error_set(&swap->reason, ERROR_PROTOCOL,
                  "no bind of HAProxy reads %.*s: its haproxy.cfg lacks \"ssl crt %.*s\", "
                  "which `owui-spoa haproxy-config` writes",
                  SLICE_PRINT(swap->list), SLICE_PRINT(swap->list));
    swap->state = SWAP_END;
    return RUNTIME_FAILED;
}

static enum runtime_step after_add(struct runtime_swap *swap, struct slice answer,
                                   struct writer *command)
{
    if (slice_contains(answer, SLICE("does not exist")))
        return fail_unread(swap);
    if (!has_line(answer, SLICE("Success!")))
        return fail(swap, "add ssl crt-list", answer);
    swap->added = true;
    return verify(swap, command);
}

static enum runtime_step after_verify(struct runtime_swap *swap, struct slice answer,
                                      struct writer *command)
{
    struct slice status = status_of(answer), held = fingerprint_of(answer);
    if (status.size == 0)
        return fail(swap, "show ssl cert", answer);
    if (!slice_equal_nocase(held, swap->fingerprint)) {
        swap->error =
            error_set(&swap->reason, ERROR_PROTOCOL,
                      "HAProxy holds another certificate under %.*s: fingerprint %.*s, "
                      "expected %.*s",
                      SLICE_PRINT(swap->file), SLICE_PRINT(held), SLICE_PRINT(swap->fingerprint));
        swap->state = SWAP_END;
        return RUNTIME_FAILED;
    }
    if (slice_equal(status, SLICE("Unused")) && swap->list.size > 0 && !swap->added)
        return send_command(swap, command, SWAP_ADD, "add ssl crt-list", swap->list, swap->file);
    swap->state = SWAP_END;
    return RUNTIME_DONE;
}

static enum runtime_step after_unlist(struct runtime_swap *swap, struct slice answer,
                                      struct writer *command)
{
    /* Not in the list: an earlier try has got so far. */
    if (!slice_contains(answer, SLICE("deleted in crtlist")) &&
        !slice_contains(answer, SLICE("can't be found in crt-list")))
        return fail(swap, "del ssl crt-list", answer);
    return send_command(swap, command, SWAP_DELETE, "del ssl cert", swap->file, NOTHING);
}

static enum runtime_step after_delete(struct runtime_swap *swap, struct slice answer)
{
    if (!says(swap, answer, "Certificate '", "' deleted!"))
        return fail(swap, "del ssl cert", answer);
    swap->state = SWAP_END;
    return RUNTIME_DONE;
}

static enum runtime_step start(struct runtime_swap *swap, bool removing, struct writer *command)
{
    swap->removing = removing;
    swap->existed = false;
    swap->cleared_leftover = false;
    swap->added = false;
    swap->unchanged = false;
    swap->error = runtime_name_check(swap->file, &swap->reason);
    if (swap->error == ERROR_OK && swap->list.size > 0)
        swap->error = runtime_name_check(swap->list, &swap->reason);
    if (swap->error == ERROR_OK && !removing)
        swap->error = runtime_payload_check(swap->pem, &swap->reason);
    if (swap->error == ERROR_OK)
        return send_command(swap, command, SWAP_KNOWN, "show ssl cert", swap->file, NOTHING);
    swap->state = SWAP_END;
    return RUNTIME_FAILED;
}

enum runtime_step runtime_swap_start(struct runtime_swap *swap, struct writer *command)
{
    return start(swap, false, command);
}

enum runtime_step runtime_remove_start(struct runtime_swap *swap, struct writer *command)
{
    return start(swap, true, command);
}

enum runtime_step runtime_swap_answer(struct runtime_swap *swap, struct slice answer,
                                      struct writer *command)
{
    switch (swap->state) {
    case SWAP_KNOWN: return after_known(swap, answer, command);
    case SWAP_LIST: return after_list(swap, answer, command);
    case SWAP_CLEAR: return after_clear(swap, answer, command);
    case SWAP_NEW: return after_new(swap, answer, command);
    case SWAP_SET: return after_set(swap, answer, command);
    case SWAP_COMMIT: return after_commit(swap, answer, command);
    case SWAP_ADD: return after_add(swap, answer, command);
    case SWAP_VERIFY: return after_verify(swap, answer, command);
    case SWAP_UNLIST: return after_unlist(swap, answer, command);
    case SWAP_DELETE: return after_delete(swap, answer);
    case SWAP_ABORT: /* the reason of the failure is kept, whatever the abort says */
    case SWAP_END: break;
    }
    swap->state = SWAP_END;
    return RUNTIME_FAILED;
}

bool runtime_swap_has_enough(const struct runtime_swap *swap, struct slice answer)
{
    /* The open transaction, if any, stands before this line. */
    return swap->state == SWAP_LIST && slice_contains(answer, SLICE("# filename\n"));
}
