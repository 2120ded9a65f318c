/* An explanation as text, made of the one in JSON: so the two cannot differ. See agent/explain.h.
 */
#include "agent/explain.h"

#include "core/memory.h"
#include "core/text_stream.h"
#include "json/json.h"

#include <stdio.h>
#include <stdlib.h>

static void print_scalar(FILE *out, const struct json *value)
{
    struct slice text;
    int64_t integer;
    bool boolean;
    if (json_read_text(value, &text))
        fprintf(out, "%.*s", SLICE_PRINT(text));
    else if (json_read_integer(value, &integer))
        fprintf(out, "%lld", (long long)integer);
    else if (json_read_bool(value, &boolean))
        fputs(boolean ? "true" : "false", out);
}

/* "label      text (place)": a part that is not there is left out. */
static void print_line(FILE *out, const char *label, struct slice text, struct slice place)
{
    if (text.size == 0)
        return;
    fprintf(out, "%-11s%.*s", label, SLICE_PRINT(text));
    if (place.size > 0)
        fprintf(out, "  (%.*s)", SLICE_PRINT(place));
    fputc('\n', out);
}

static void print_text(FILE *out, const char *label, const struct json *object, const char *key)
{
    print_line(out, label, json_get_text(object, key), (struct slice){0});
}

static void print_rule(FILE *out, const struct json *rule)
{
    if (rule == NULL)
        return;
    fprintf(out, "%-11s", "route");
    print_scalar(out, json_get(rule, "number"));
    fprintf(out, ", %.*s  (%.*s)\n", SLICE_PRINT(json_get_text(rule, "action")),
            SLICE_PRINT(json_get_text(rule, "place")));
}

static void print_led(FILE *out, const struct json *root)
{
    const struct json *led = json_get(root, "led");
    if (led != NULL) {
        print_line(out, "led from", json_get_text(led, "from"), json_get_text(led, "by"));
        print_text(out, "", led, "place");
    }
    if (json_get(root, "share") == NULL)
        return;
    fprintf(out, "%-11s", "share");
    print_scalar(out, json_get(root, "share"));
    fputs(" of 0 to 99 is this client's number\n", out);
}

static void print_limits(FILE *out, const struct json *limits)
{
    static const struct {
        const char *key, *text;
    } TEXTS[] = {
        {"requests_per_10s", "requests in 10 s"},
        {"signin_per_minute_per_ip", "sign-ins in a minute from an address (POST)"},
        {"signin_per_minute_per_subnet", "sign-ins in a minute from a subnet (POST)"},
        {"websockets", "open WebSockets"},
        {"max_body_bytes", "bytes of a body"},
        {"server_timeout_ms", "ms for the upstream to answer"},
        {"tunnel_timeout_ms", "ms without a word on a WebSocket"},
    };
    const char *label = "limits";
    for (size_t i = 0; i < COUNT_OF(TEXTS); i++) {
        const struct json *value = json_get(limits, TEXTS[i].key);
        if (value == NULL)
            continue;
        fprintf(out, "%-11s", label);
        print_scalar(out, value);
        fprintf(out, " %s\n", TEXTS[i].text);
        label = "";
    }
}

static void print_decision(FILE *out, const struct json *root)
{
    const struct json *tenant = json_get(root, "tenant");
    const struct json *replica = json_get(root, "replica");
    fprintf(out, "%-11s%.*s", "decision", SLICE_PRINT(json_get_text(root, "decision")));
    if (json_get(root, "status") != NULL) {
        fputs(", status ", out);
        print_scalar(out, json_get(root, "status"));
    }
    fputc('\n', out);
    print_text(out, "reason", root, "reason");
    print_text(out, "to", root, "to");
    print_text(out, "takeover", root, "takeover");
    print_text(out, "outage", root, "outage");
    print_text(out, "form", root, "form");
    print_text(out, "page", root, "page");
    print_text(out, "hsts", root, "hsts");
    print_text(out, "answers", root, "answers");
    print_text(out, "generation", root, "generation");
    print_line(out, "tenant", json_get_text(tenant, "name"), json_get_text(tenant, "place"));
    print_line(out, "label", json_get_text(tenant, "label"), json_get_text(tenant, "listed"));
    print_line(out, "path rule", json_get_text(tenant, "prefix"),
               json_get_text(tenant, "path_mode"));
    print_text(out, "version", tenant, "version");
    print_led(out, root);
    print_rule(out, json_get(root, "route"));
    print_text(out, "upstream", root, "upstream");
    print_line(out, "replica", json_get_text(replica, "which"), json_get_text(replica, "because"));
    print_limits(out, json_get(root, "limits"));
    print_text(out, "no agent", root, "without_agent");
}

static void print_request(FILE *out, const struct json *root)
{
    const struct json *request = json_get(root, "request");
    const struct json *client = json_get(root, "client");
    fputc('\n', out);
    print_text(out, "host", request, "host");
    print_text(out, "  told as", request, "host_told");
    print_text(out, "path", request, "path");
    print_text(out, "  told as", request, "path_told");
    print_line(out, "client", json_get_text(client, "ip"), json_get_text(client, "proto"));
    print_line(out, "  because", json_get_text(client, "trust"), json_get_text(client, "header"));
}

/* "realm_access > roles" for a claim within others; "" for one that is not. */
static char *path_of(const struct json *names)
{
    char *path = memory_copy_text((struct slice){0});
    for (size_t i = 0; json_count(names) > 1 && i < json_count(names); i++) {
        struct slice name = {0};
        if (!json_read_text(json_at(names, i), &name))
            continue;
        char *longer = memory_format("%s%s%.*s", path, i > 0 ? " > " : "", SLICE_PRINT(name));
        free(path);
        path = longer;
    }
    return path;
}

static void print_identity(FILE *out, const struct json *identity)
{
    if (identity == NULL)
        return;
    struct slice refused = json_get_text(identity, "refused");
    if (refused.size > 0) {
        print_line(out, "user", SLICE("nobody"), refused);
        return;
    }
    print_line(out, "user", json_get_text(identity, "email"), json_get_text(identity, "from"));
    for (unsigned i = IDENTITY_NAME; i < IDENTITY_VALUE__MAX; i++) {
        char *label = memory_format("  %s", identity_value_name(i));
        char *path = path_of(json_get(json_get(identity, "claims"), identity_value_name(i)));
        print_line(out, label, json_get_text(identity, identity_value_name(i)), slice_of(path));
        free(path);
        free(label);
    }
}

static void print_tried(FILE *out, const struct json *tried)
{
    enum { WIDEST_RULE = 40 };
    size_t width = 0;
    for (size_t i = 0; i < json_count(tried); i++) {
        size_t size = json_get_text(json_at(tried, i), "rule").size;
        width = size > width ? size : width;
    }
    width = size_min(width, WIDEST_RULE);
    if (json_count(tried) > 0)
        fputs("\nrules tried, in this order\n", out);
    for (size_t i = 0; i < json_count(tried); i++) {
        const struct json *item = json_at(tried, i);
        struct slice tenant = json_get_text(item, "tenant");
        struct slice place = json_get_text(item, "place");
        bool won = false;
        if (!json_read_bool(json_get(item, "won"), &won))
            won = false;
        fprintf(out, "  %s %-*.*s  ", won ? "->" : "  ", (int)width,
                SLICE_PRINT(json_get_text(item, "rule")));
        if (tenant.size == 0)
            fputs("no such rule\n", out);
        else
            fprintf(out, "%s%.*s\n     (%.*s)\n",
                    won ? "" : "does not take it: ", SLICE_PRINT(tenant), SLICE_PRINT(place));
    }
}

static void print_members(FILE *out, const char *title, const char *format,
                          const struct json *object)
{
    fprintf(out, "\n%s\n", title);
    for (struct json_member member = {0}; json_next(object, &member);) {
        char *key = memory_copy_text(member.key);
        fputs("  ", out);
        fputs(key, out);
        fputs(format, out);
        print_scalar(out, member.value);
        fputc('\n', out);
        free(key);
    }
}

static void print_headers(FILE *out, const struct json *headers)
{
    const struct json *deleted = json_get(headers, "deleted");
    struct slice name;
    if (headers == NULL)
        return;
    fputs("\nheaders deleted, whoever sent them\n ", out);
    size_t width = 1;
    for (size_t i = 0; i < json_count(deleted); i++) {
        if (!json_read_text(json_at(deleted, i), &name))
            continue;
        if (width + name.size + 1 > 78) {
            fputs("\n ", out);
            width = 1;
        }
        fprintf(out, " %.*s", SLICE_PRINT(name));
        width += name.size + 1;
    }
    fputc('\n', out);
    print_text(out, "  but not", headers, "kept");
    print_members(out, "headers set", ": ", json_get(headers, "set"));
}

char *explanation_text(const struct explanation *explanation)
{
    struct text_stream text;
    text_stream_open(&text);
    FILE *out = text.out;
    struct json *root = explanation_json(explanation);
    print_decision(out, root);
    print_request(out, root);
    print_identity(out, json_get(root, "identity"));
    print_tried(out, json_get(root, "tried"));
    print_headers(out, json_get(root, "headers"));
    print_members(out, "variables (txn.owui.)", " = ", json_get(root, "variables"));
    json_free(root);
    return text_stream_close(&text);
}
