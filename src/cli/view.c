/* What is wrong with a tenant or a certificate: see view.h. */
#include "cli/view.h"

#include "cli/ask.h"
#include "cli/terminal.h"
#include "core/memory.h"

#include <stdio.h>
#include <stdlib.h>

enum { INDENT = 4, HINT_INDENT = INDENT + 3, MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400 };

void view_line(const char *about, struct slice text)
{
    if (text.size == 0)
        return;
    char *whole = memory_format("%s%s%.*s", about, about[0] != '\0' ? ": " : "", SLICE_PRINT(text));
    terminal_wrap("    ", INDENT, whole, terminal_columns());
    free(whole);
}

void view_hint(struct slice text)
{
    if (text.size == 0)
        return;
    char *whole = memory_copy_text(text);
    terminal_wrap("    -> ", HINT_INDENT, whole, terminal_columns());
    free(whole);
}

/* -- Tenants ----------------------------------------------------------------------------------- */

const struct view_trouble *view_trouble_at(size_t index)
{
    static const struct view_trouble TROUBLES[] = {
        {"broken", true, "is not served"},
        {"shadowed", true, "is not served"},
        {"unresolved", false, "has no address to go to, and its users get 503"},
        {"contested", true, "has not all of its hosts and paths"},
        {"kept", true, "is served as it was before its last change"},
        {"parked", false, "is served as it was until the new upstream has an address"},
    };
    return index < COUNT_OF(TROUBLES) ? &TROUBLES[index] : NULL;
}

bool view_tenant_is_wrong(const struct json *tenant)
{
    struct slice state = json_get_text(tenant, "state");
    const struct view_trouble *trouble;
    for (size_t i = 0; (trouble = view_trouble_at(i)) != NULL; i++)
        if (slice_equal(state, slice_of(trouble->state)))
            return trouble->is_wrong;
    return false;
}

void view_problem(const struct json *problem)
{
    char *place = memory_format("%.*s:%lld:%lld", SLICE_PRINT(json_get_text(problem, "file")),
                                (long long)ask_number(problem, "line"),
                                (long long)ask_number(problem, "column"));
    view_line(json_get(problem, "line") != NULL ? place : "", json_get_text(problem, "message"));
    view_hint(json_get_text(problem, "hint"));
    free(place);
}

void view_tenant_problems(const struct json *tenant)
{
    const struct json *problems = json_get(tenant, "problems");
    for (size_t i = 0; i < json_count(problems); i++)
        view_problem(json_at(problems, i));
}

/* -- Certificates ------------------------------------------------------------------------------ */

bool view_certificate_is_fine(const struct json *certificate)
{
    return slice_equal(json_get_text(certificate, "state"), SLICE("fine"));
}

bool view_certificate_is_untrusted(const struct json *certificate)
{
    return slice_equal(json_get_text(certificate, "state"), SLICE("untrusted"));
}

/* "45s", "58m", "20h", "58d" */
static void print_span(int64_t seconds, char text[static VIEW_EXPIRY_SIZE])
{
    if (seconds < 2 * MINUTE_S)
        snprintf(text, VIEW_EXPIRY_SIZE, "%llds", (long long)seconds);
    else if (seconds < 2 * HOUR_S)
        snprintf(text, VIEW_EXPIRY_SIZE, "%lldm", (long long)(seconds / MINUTE_S));
    else if (seconds < 2 * DAY_S)
        snprintf(text, VIEW_EXPIRY_SIZE, "%lldh", (long long)(seconds / HOUR_S));
    else
        snprintf(text, VIEW_EXPIRY_SIZE, "%lldd", (long long)(seconds / DAY_S));
}

void view_expiry(const struct json *certificate, int64_t now_s, char text[static VIEW_EXPIRY_SIZE])
{
    int64_t left_s = ask_number(certificate, "not_after") - now_s;
    if (json_get(certificate, "not_after") == NULL)
        snprintf(text, VIEW_EXPIRY_SIZE, "none yet");
    else if (left_s <= 0)
        snprintf(text, VIEW_EXPIRY_SIZE, "EXPIRED");
    else
        print_span(left_s, text);
}

char *view_next(const struct json *certificate, int64_t now_s)
{
    struct slice doing = json_get_text(certificate, "doing");
    struct slice next = json_get_text(certificate, "next");
    int64_t left_s = ask_number(certificate, "next_at") - now_s;
    char span[VIEW_EXPIRY_SIZE];
    if (doing.size > 0 || left_s <= 0)
        return memory_copy_text(doing.size > 0 ? doing : next);
    print_span(left_s, span);
    return memory_format("%.*s; due in %s", SLICE_PRINT(next), span);
}

static void print_problem(const struct json *problem, const char *about)
{
    struct slice type = json_get_text(problem, "type");
    char *text = memory_format("%.*s%s%.*s", SLICE_PRINT(type), type.size > 0 ? ": " : "",
                               SLICE_PRINT(json_get_text(problem, "detail")));
    view_line(about, slice_of(text));
    view_line("see", json_get_text(problem, "url"));
    free(text);
}

static char *left_out_text(const struct json *host, int64_t now_s)
{
    struct slice name = json_get_text(host, "host");
    int64_t left_s = ask_number(host, "retry_at") - now_s;
    char span[VIEW_EXPIRY_SIZE];
    if (left_s <= 0)
        return memory_format("left out %.*s", SLICE_PRINT(name));
    print_span(left_s, span);
    return memory_format("left out %.*s, again in %s", SLICE_PRINT(name), span);
}

static bool is_left_out(const struct json *certificate, struct slice host)
{
    const struct json *left_out = json_get(certificate, "left_out");
    for (size_t i = 0; i < json_count(left_out); i++)
        if (slice_equal(json_get_text(json_at(left_out, i), "host"), host))
            return true;
    return false;
}

/* Those of which nothing else tells why. */
static void print_lacking(const struct json *certificate)
{
    const struct json *lacking = json_get(certificate, "lacking");
    for (size_t i = 0; i < json_count(lacking); i++) {
        struct slice host;
        if (json_read_text(json_at(lacking, i), &host) && !is_left_out(certificate, host))
            view_line("not for", host);
    }
}

void view_certificate_problems(const struct json *certificate, int64_t now_s)
{
    const struct json *left_out = json_get(certificate, "left_out");
    const struct json *haproxys = json_get(certificate, "haproxys");
    if (json_get(certificate, "problem") != NULL)
        print_problem(json_get(certificate, "problem"), "last problem");
    for (size_t i = 0; i < json_count(left_out); i++) {
        const struct json *host = json_at(left_out, i);
        char *about = left_out_text(host, now_s);
        print_problem(json_get(host, "problem"), about);
        free(about);
    }
    print_lacking(certificate);
    if (view_certificate_is_untrusted(certificate))
        view_line("not trusted", SLICE("its CA is configured no longer: another is ordered, and "
                                       "it is served until then"));
    view_line("served", json_get_text(certificate, "served_wrong"));
    for (size_t i = 0; i < json_count(haproxys); i++)
        view_line("HAProxy", json_get_text(json_at(haproxys, i), "problem"));
}
