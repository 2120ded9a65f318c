/* What is wrong with a configuration: see conf/diagnostics.h. */
#include "conf/diagnostics.h"

#include "core/memory.h"
#include "core/text_stream.h"
#include "core/utf8.h"
#include "json/json.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    /* A hint that makes the line longer than this stands on a line of its own. */
    HINT_LINE_MAX = 72,
};

static const char *const SEVERITY_NAMES[] = {
    [SEVERITY_NOTE] = "note",
    [SEVERITY_WARNING] = "warning",
    [SEVERITY_ERROR] = "error",
};

static const char *severity_name(enum severity severity)
{
    assert(severity < COUNT_OF(SEVERITY_NAMES));
    return SEVERITY_NAMES[severity];
}

const char *code_meaning(unsigned code)
{
    switch (code) {
#define X(NAME, NUMBER, SEVERITY, MEANING) \
    case NUMBER: return MEANING;
        CODE_TABLE(X)
#undef X
    }
    return NULL;
}

enum severity code_severity(enum code code)
{
    switch (code) {
#define X(NAME, NUMBER, SEVERITY, MEANING) \
    case NUMBER: return SEVERITY_##SEVERITY;
        CODE_TABLE(X)
#undef X
    }
    return SEVERITY_ERROR;
}

void diagnostics_add(struct diagnostics *diagnostics, const struct diagnostic *diagnostic)
{
    size_t count = diagnostics->count;
    /* Grows at powers of two: a big configuration may have as many errors as tenants. */
    if ((count & (count + 1)) == 0)
        diagnostics->items =
            memory_resize(diagnostics->items, count * 2 + 2, sizeof(*diagnostics->items));
    struct diagnostic *added = &diagnostics->items[diagnostics->count++];
    *added = *diagnostic;
    added->message = memory_copy_optional(diagnostic->message);
    added->hint = memory_copy_optional(diagnostic->hint);
    added->source = memory_copy_optional(diagnostic->source);
    if (diagnostic->severity == SEVERITY_ERROR)
        diagnostics->errors++;
    else if (diagnostic->severity == SEVERITY_WARNING)
        diagnostics->warnings++;
}

void diagnostics_add_code(struct diagnostics *diagnostics, enum code code,
                          const struct place *place, const char *hint, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *message = memory_format_list(format, arguments);
    va_end(arguments);
    char *hint_copy = memory_copy_optional(hint);
    struct diagnostic diagnostic = {.severity = code_severity(code),
                                    .code = (uint16_t)code,
                                    .place = *place,
                                    .message = message,
                                    .hint = hint_copy};
    diagnostics_add(diagnostics, &diagnostic);
    free(message);
    free(hint_copy);
}

struct diagnostic diagnostic_of_unreadable(enum error error, const struct error_text *why)
{
    struct diagnostic diagnostic = {.severity = code_severity(CODE_FILE_UNREADABLE),
                                    .code = CODE_FILE_UNREADABLE,
                                    .error_number = error == ERROR_SYSTEM ? errno : 0};
    diagnostic.message = memory_copy_text(slice_of(why->text));
    return diagnostic;
}

void diagnostics_add_unreadable(struct diagnostics *diagnostics, const struct place *place,
                                enum error error, const struct error_text *why)
{
    struct diagnostic diagnostic = diagnostic_of_unreadable(error, why);
    diagnostic.place = *place;
    diagnostics_add(diagnostics, &diagnostic);
    free(diagnostic.message);
}

void diagnostics_add_conflict(struct diagnostics *diagnostics,
                              const struct route_conflict *conflict)
{
    const struct place *kept = &conflict->kept_place;
    const char *what = slice_has(conflict->key, '/') ? "path" : "host";
    char *hint = memory_format("by tenant \"%s\" (%s:%u:%u). Kept: %s. Ignored: this %s of %s",
                               conflict->kept->name, kept->file, kept->line, kept->column,
                               conflict->kept->name, what, conflict->ignored->name);
    diagnostics_add_code(diagnostics, CODE_HOST_TAKEN, &conflict->ignored_place, hint,
                         "tenant \"%s\": %s \"%.*s\" is already taken", conflict->ignored->name,
                         what, SLICE_PRINT(conflict->key));
    free(hint);
}

void diagnostics_add_name_taken(struct diagnostics *diagnostics, const struct tenant *kept,
                                const struct tenant *ignored)
{
    char *hint = memory_format("in %s:%u:%u. Kept: that one. Ignored: this one", kept->place.file,
                               kept->place.line, kept->place.column);
    diagnostics_add_code(diagnostics, CODE_TENANT_TWICE, &ignored->place, hint,
                         "tenant \"%s\" is there already", ignored->name);
    free(hint);
}

static void drop(struct diagnostics *diagnostics, const struct diagnostic *one)
{
    diagnostics->errors -= one->severity == SEVERITY_ERROR;
    diagnostics->warnings -= one->severity == SEVERITY_WARNING;
    free(one->message);
    free(one->hint);
    free(one->source);
}

void diagnostics_cut(struct diagnostics *diagnostics, size_t count)
{
    while (diagnostics->count > count)
        drop(diagnostics, &diagnostics->items[--diagnostics->count]);
}

void diagnostics_drop(struct diagnostics *diagnostics, size_t count,
                      bool (*is_such)(void *context, const struct diagnostic *one), void *context)
{
    size_t left = 0;
    for (size_t i = 0; i < diagnostics->count; i++) {
        const struct diagnostic *one = &diagnostics->items[i];
        if (i < count && is_such(context, one))
            drop(diagnostics, one);
        else
            diagnostics->items[left++] = *one;
    }
    diagnostics->count = left;
}

void diagnostics_fini(struct diagnostics *diagnostics)
{
    diagnostics_cut(diagnostics, 0);
    free(diagnostics->items);
    *diagnostics = (struct diagnostics){0};
}

bool diagnostics_tell_of_permission(const struct diagnostics *diagnostics)
{
    for (size_t i = 0; i < diagnostics->count; i++)
        if (diagnostics->items[i].error_number == EACCES)
            return true;
    return false;
}

/* A file may hold what a terminal would obey: control bytes, and U+0080 to U+009F, become "?". */
static void put_visible(FILE *out, struct slice text, const char *allowed)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = (uint8_t)text.data[i];
        bool c1 = c == 0xc2 && i + 1 < text.size && ((uint8_t)text.data[i + 1] & 0xe0) == 0x80;
        if (c1)
            i++;
        if (c1 || c == 0x7f || (c < 0x20 && !byte_is_one_of((char)c, allowed)))
            fputc('?', out);
        else
            fputc(c, out);
    }
}

/* The next character of UTF-8 text, taken off its front. */
static struct slice take_character(struct slice *text)
{
    struct slice character = utf8_first(*text);
    *text = slice_skip(*text, character.size);
    return character;
}

static void put_hint_lines(FILE *out, struct slice hint)
{
    while (hint.size > 0) {
        fputs("      = ", out);
        put_visible(out, slice_cut(&hint, '\n'), "");
        fputc('\n', out);
    }
}

/* The line of the file, and below it the underlining with, where there is room, the hint. True when
 * the hint has been put. */
static bool put_source(FILE *out, const struct diagnostic *diagnostic)
{
    struct slice source = slice_of(diagnostic->source);
    struct slice hint = slice_of(diagnostic->hint);
    fprintf(out, "%5u | ", diagnostic->place.line);
    put_visible(out, source, "\t");
    fputc('\n', out);
    if (diagnostic->length == 0)
        return false;

    fputs("      | ", out);
    uint32_t column = diagnostic->source_column;
    for (; column < diagnostic->place.column && source.size > 0; column++)
        fputc(take_character(&source).data[0] == '\t' ? '\t' : ' ', out);
    fputc('^', out);
    uint32_t end = column + diagnostic->length;
    for (column++; column < end && source.size > 1; column++) {
        take_character(&source);
        if (source.size > 0)
            fputc('~', out);
    }
    bool fits = hint.size > 0 && !slice_has(hint, '\n') &&
                column - diagnostic->source_column + hint.size <= HINT_LINE_MAX;
    if (fits) {
        fputc(' ', out);
        put_visible(out, hint, "");
    }
    fputc('\n', out);
    return fits;
}

char *diagnostic_print(const struct diagnostic *diagnostic)
{
    struct text_stream text;
    text_stream_open(&text);
    FILE *out = text.out;
    if (diagnostic->place.file != NULL) {
        put_visible(out, slice_of(diagnostic->place.file), "");
        if (diagnostic->place.line > 0)
            fprintf(out, ":%u:%u", diagnostic->place.line, diagnostic->place.column);
        fputs(": ", out);
    }
    fputs(severity_name(diagnostic->severity), out);
    if (diagnostic->code != 0)
        fprintf(out, "[%c%u]", diagnostic->severity == SEVERITY_ERROR ? 'E' : 'W',
                (unsigned)diagnostic->code);
    fputs(": ", out);
    put_visible(out, slice_of(diagnostic->message), "");
    fputc('\n', out);
    bool hint_put = diagnostic->source != NULL && put_source(out, diagnostic);
    if (!hint_put)
        put_hint_lines(out, slice_of(diagnostic->hint));
    return text_stream_close(&text);
}

struct json *diagnostic_json(const struct diagnostic *diagnostic)
{
    struct json *object = json_new_object();
    json_put_text(object, "severity", slice_of(severity_name(diagnostic->severity)));
    if (diagnostic->code != 0) {
        char code[16];
        snprintf(code, sizeof(code), "%c%u", diagnostic->severity == SEVERITY_ERROR ? 'E' : 'W',
                 (unsigned)diagnostic->code);
        json_put_text(object, "code", slice_of(code));
        json_put_text(object, "meaning", slice_of(code_meaning(diagnostic->code)));
    }
    if (diagnostic->place.file != NULL) {
        json_put_text(object, "file", slice_of(diagnostic->place.file));
        json_put_integer(object, "line", diagnostic->place.line);
        json_put_integer(object, "column", diagnostic->place.column);
        json_put_integer(object, "length", diagnostic->length);
    }
    json_put_text(object, "message", slice_of(diagnostic->message));
    if (diagnostic->hint != NULL)
        json_put_text(object, "hint", slice_of(diagnostic->hint));
    return object;
}
