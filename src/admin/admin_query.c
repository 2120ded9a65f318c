/* The query of a request: its values, and whether its operation takes them. See admin_call.h and
 * admin/admin_server.h. */
#include "admin_call.h"

#include "core/decimal.h"
#include "core/hex.h"
#include "core/memory.h"

#include <stdio.h>
#include <stdlib.h>

enum { NUMBER_DIGITS_MAX = 9, SHOWN_MAX_BYTES = 64, KNOWN_MAX_BYTES = 256 };

/* -- Values ------------------------------------------------------------------------------------ */

/* Cuts the next part off `list`; parts that are empty are passed over. */
static bool next_part(struct slice *list, char separator, struct slice *part)
{
    while (list->size > 0) {
        *part = slice_cut(list, separator);
        if (part->size > 0)
            return true;
    }
    return false;
}

/* "limit" and "100" of "limit=100". */
static struct slice split(struct slice pair, struct slice *value)
{
    struct slice key = slice_cut(&pair, '=');
    *value = pair;
    return key;
}

struct slice admin_query_value(struct slice query, const char *key)
{
    struct slice pair, value;
    while (next_part(&query, '&', &pair))
        if (slice_equal(split(pair, &value), slice_of(key)))
            return value;
    return (struct slice){0};
}

char *admin_query_text(struct slice query, const char *key)
{
    struct slice value = admin_query_value(query, key);
    char *text = memory_copy_text(value);
    size_t used = 0;
    for (size_t i = 0; i < value.size; i++) {
        char c = value.data[i] == '+' ? ' ' : value.data[i];
        int high = -1, low = -1;
        if (c == '%' && value.size - i > 2) {
            high = hex_digit(value.data[i + 1]);
            low = hex_digit(value.data[i + 2]);
        }
        if (high >= 0 && low >= 0 && high + low > 0) {
            c = (char)(high * 16 + low);
            i += 2;
        }
        text[used++] = c;
    }
    text[used] = '\0';
    return text;
}

size_t admin_query_number(struct slice query, const char *key, size_t maximum, size_t otherwise)
{
    uint64_t number;
    struct slice value = admin_query_value(query, key);
    return decimal_parse(value, NUMBER_DIGITS_MAX, &number) ? size_min((size_t)number, maximum)
                                                            : otherwise;
}

/* -- What an operation takes ------------------------------------------------------------------- */

/* The row's words for `key`, "limit=N" of "after limit=N"; empty: it has no such key. */
static struct slice find_known(const struct admin_operation *row, struct slice key)
{
    struct slice list = slice_of(row->query);
    struct slice known, kind;
    while (next_part(&list, ' ', &known))
        if (slice_equal(split(known, &kind), key))
            return known;
    return (struct slice){0};
}

/* "state", "after" and "limit=N" as a person reads them. */
static void list_known(const struct admin_operation *row, char text[static KNOWN_MAX_BYTES])
{
    struct slice list = slice_of(row->query);
    struct slice known;
    int size = 0;
    text[0] = '\0';
    while (next_part(&list, ' ', &known) && size < KNOWN_MAX_BYTES)
        size += snprintf(text + size, (size_t)(KNOWN_MAX_BYTES - size), "%s?%.*s",
                         size > 0 ? ", " : "", SLICE_PRINT(known));
}

static void refuse_key(const struct admin_call *call, struct slice key, struct admin_answer *answer)
{
    char known[KNOWN_MAX_BYTES];
    list_known(call->parts[0].operation, known);
    admin_refuse(answer, 400, "?%.*s is no key of %s %s: it has %s",
                 SLICE_PRINT(slice_head(key, size_min(key.size, SHOWN_MAX_BYTES))), call->method,
                 call->path, known[0] != '\0' ? known : "none");
}

/* Whether the key comes again: which of its values counts would be a guess. */
static bool is_repeated(struct slice rest, struct slice key)
{
    struct slice pair, value;
    while (next_part(&rest, '&', &pair))
        if (slice_equal(split(pair, &value), key))
            return true;
    return false;
}

/* `kind` is what stands behind the key in the row: nothing (any value), N (a number), or the values
 * that there are. */
static bool takes_value(struct slice kind, struct slice value)
{
    struct slice one;
    uint64_t number;
    if (kind.size == 0)
        return true;
    if (slice_equal(kind, SLICE("N")))
        return decimal_parse(value, NUMBER_DIGITS_MAX, &number);
    while (next_part(&kind, '|', &one))
        if (slice_equal(one, value))
            return true;
    return false;
}

bool admin_query_check(const struct admin_call *call, struct admin_answer *answer)
{
    struct slice query = call->request.query;
    struct slice pair, value, kind;
    while (next_part(&query, '&', &pair)) {
        struct slice key = split(pair, &value);
        struct slice known = find_known(call->parts[0].operation, key);
        if (known.size == 0) {
            refuse_key(call, key, answer);
            return false;
        }
        if (is_repeated(query, key)) {
            admin_refuse(answer, 400, "?%.*s is there twice", SLICE_PRINT(key));
            return false;
        }
        split(known, &kind);
        if (takes_value(kind, value))
            continue;
        admin_refuse(answer, 400, "?%.*s: expected ?%.*s",
                     SLICE_PRINT(slice_head(pair, size_min(pair.size, SHOWN_MAX_BYTES))),
                     SLICE_PRINT(known));
        return false;
    }
    return true;
}
