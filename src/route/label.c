/* Patterns for labels: see route/label.h. The only file that knows PCRE2.
 *
 * The DFA matcher is used because it looks at each byte of the label once, whatever the pattern; a
 * backtracking one can be made to take exponential time by whoever writes the pattern. What it
 * needs is carved out of the caller's stack: PCRE2 gets an allocator that hands out pieces of a
 * buffer there, and may not go to the heap when that is used up.
 */
#include "route/label.h"

#include "core/memory.h"

#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum {
    PATTERN_MAX_BYTES = 256,
    PATTERN_MAX_NESTING = 20,
    MATCH_LIMIT = 10000,
    MATCH_DEPTH_LIMIT = 20,
    WORKSPACE_INTS = 1000,
    ARENA_BYTES = 1024, /* contexts and match data take about half of it */
};

struct label_pattern {
    unsigned references; /* of tenants, which one thread alone makes and frees */
    pcre2_code *code;
};

struct arena {
    size_t used;
    _Alignas(max_align_t) uint8_t bytes[ARENA_BYTES];
};

static void *arena_take(size_t size, void *context)
{
    struct arena *arena = context;
    size_t aligned = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    if (aligned < size || aligned > sizeof(arena->bytes) - arena->used)
        return NULL;
    void *piece = arena->bytes + arena->used;
    arena->used += aligned;
    return piece;
}

static void arena_give_back(void *piece, void *context)
{
    (void)piece;
    (void)context;
}

/* The DFA matcher finds out at match time that it cannot do these; a pattern that then never
 * matches would be a riddle. */
static bool needs_backtracking(struct slice source, const pcre2_code *code)
{
    uint32_t backreference = 0;
    pcre2_pattern_info(code, PCRE2_INFO_BACKREFMAX, &backreference);
    return backreference > 0 || slice_contains(source, SLICE("(*")) ||
           slice_contains(source, SLICE("\\K"));
}

static pcre2_code *compile(struct slice source, struct error_text *text)
{
    const uint32_t options = PCRE2_ANCHORED | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C;
    int number;
    PCRE2_SIZE offset = 0;

    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (context == NULL)
        memory_give_up(source.size);
    pcre2_set_max_pattern_length(context, PATTERN_MAX_BYTES);
    pcre2_set_parens_nest_limit(context, PATTERN_MAX_NESTING);
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)source.data, source.size, options, &number, &offset, context);
    pcre2_compile_context_free(context);
    if (code == NULL && number == PCRE2_ERROR_HEAP_FAILED)
        memory_give_up(source.size); /* the pattern is none the worse for it */
    if (code == NULL) {
        char reason[128] = "";
        pcre2_get_error_message(number, (PCRE2_UCHAR *)reason, sizeof(reason));
        error_set(text, ERROR_INVALID, "at offset %zu: %s", (size_t)offset, reason);
    }
    return code;
}

struct label_pattern *label_pattern_new(struct slice source, struct error_text *text)
{
    if (source.size == 0) {
        error_set(text, ERROR_INVALID, "the pattern is empty, so no label would match it");
        return NULL;
    }
    pcre2_code *code = compile(source, text);
    if (code == NULL)
        return NULL;
    if (needs_backtracking(source, code)) {
        error_set(text, ERROR_UNSUPPORTED,
                  "back references, \\K and (*VERBS) are not supported in a label's pattern");
        pcre2_code_free(code);
        return NULL;
    }
    struct label_pattern *pattern = memory_new(sizeof(*pattern));
    *pattern = (struct label_pattern){.references = 1, .code = code};
    return pattern;
}

struct label_pattern *label_pattern_ref(struct label_pattern *pattern)
{
    if (pattern != NULL)
        pattern->references++;
    return pattern;
}

void label_pattern_unref(struct label_pattern *pattern)
{
    if (pattern == NULL || --pattern->references > 0)
        return;
    pcre2_code_free(pattern->code);
    free(pattern);
}

/* Whatever goes wrong, a limit included, is no match: the request is then refused. The DFA matcher
 * finds the longest match first, so that one up to the end is found if there is one; asked for with
 * PCRE2_ENDANCHORED, it would want the end after an assertion's own text too. */
bool label_pattern_matches(const struct label_pattern *pattern, struct slice label)
{
    struct arena arena = {.used = 0};
    int workspace[WORKSPACE_INTS];

    pcre2_general_context *general =
        pcre2_general_context_create(arena_take, arena_give_back, &arena);
    if (general == NULL)
        return false;
    pcre2_match_context *context = pcre2_match_context_create(general);
    pcre2_match_data *match = pcre2_match_data_create(1, general);
    if (context == NULL || match == NULL)
        return false;
    pcre2_set_match_limit(context, MATCH_LIMIT);
    pcre2_set_depth_limit(context, MATCH_DEPTH_LIMIT);
    pcre2_set_heap_limit(context, 0);
    int count = pcre2_dfa_match(pattern->code, (PCRE2_SPTR)label.data, label.size, 0, 0, match,
                                context, workspace, WORKSPACE_INTS);
    return count >= 0 && pcre2_get_ovector_pointer(match)[1] == label.size;
}
