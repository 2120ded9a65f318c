/* What HAProxy's files lack: see hap/config.h.
 *
 * Lines are looked for one by one, in whatever order they stand. Arguments of a question are looked
 * for word by word, and headers in a list of them one by one, because a tenant that has gone leaves
 * more than is asked for, which does no harm. */
#include "hap/config.h"

#include "core/memory.h"

#include <stdlib.h>

/* Whether `piece` stands in the text between two of `ends`, or at its beginning or end. */
static bool stands_in(struct slice text, struct slice piece, const char *ends)
{
    while (text.size >= piece.size) {
        const char *found = memmem(text.data, text.size, piece.data, piece.size);
        if (found == NULL)
            return false;
        size_t at = (size_t)(found - text.data);
        struct slice behind = slice_skip(text, at + piece.size);
        if ((at == 0 || byte_is_one_of(text.data[at - 1], ends)) &&
            (behind.size == 0 || byte_is_one_of(behind.data[0], ends)))
            return true;
        text = slice_skip(text, at + 1);
    }
    return false;
}

/* "strip=str(/X-User-Email/X-User-Name/)": each of the headers. */
static bool has_list(struct slice text, struct slice list)
{
    struct slice name;
    while ((name = slice_cut(&list, '/')).size > 0 && !slice_equal(name, SLICE(")")))
        if (!stands_in(text, name, "/"))
            return false;
    return true;
}

static bool has_arguments(struct slice text, struct slice line)
{
    static const struct slice STRIP = {"strip=str(/", 11};
    while (line.size > 0) {
        struct slice word = slice_cut(&line, ' ');
        if (slice_starts_with(word, STRIP) ? !has_list(text, slice_skip(word, STRIP.size))
                                           : word.size > 0 && !stands_in(text, word, " \n"))
            return false;
    }
    return true;
}

/* The first line of `wanted` that the text has not; empty when it has all. Comments are nothing
 * that could be lacked. */
static struct slice first_missing(struct slice wanted, struct slice text)
{
    static const struct slice ARGUMENTS = {"    args ", 9};
    while (wanted.size > 0) {
        struct slice line = slice_cut(&wanted, '\n');
        if (slice_starts_with(slice_trim(line), SLICE("#")))
            continue;
        if (slice_starts_with(line, ARGUMENTS)
                ? !has_arguments(text, slice_skip(line, ARGUMENTS.size))
                : line.size > 0 && !stands_in(text, line, "\n"))
            return slice_trim(line);
    }
    return (struct slice){0};
}

/* Whether both begin with the same line, which tells what version they are for. */
static bool is_for_same(struct slice a, struct slice b)
{
    return slice_equal(slice_cut(&a, '\n'), slice_cut(&b, '\n'));
}

char *hap_config_missing(const struct hap_config *config, struct slice text, struct slice spoe)
{
    char *missing = NULL;
    if (!hap_config_is_ours(text))
        return NULL;
    for (unsigned version = 0; version < HAP_VERSION__MAX; version++) {
        char *wanted = hap_config_write(config, (enum hap_version)version, text, NULL);
        bool is_it = wanted != NULL && is_for_same(slice_of(wanted), text);
        if (is_it) {
            char *wanted_spoe = hap_spoe_write(config, (enum hap_version)version);
            struct slice line = first_missing(slice_of(wanted), text);
            if (line.size == 0 && spoe.size > 0)
                line = first_missing(slice_of(wanted_spoe), spoe);
            missing = line.size > 0 ? memory_copy_text(line) : NULL;
            free(wanted_spoe);
        }
        free(wanted);
        if (is_it)
            return missing;
    }
    return NULL; /* for a version that is not known any more, or cannot be written */
}
