/* "maintenance" and "suspended" of a tenant: see tenant_read.h. */
#include "conf/text_file.h"
#include "core/memory.h"
#include "core/time_text.h"
#include "route/outage.h"
#include "tenant_read.h"
#include "value.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ALLOW_MAX = 256, RETRY_AFTER_MIN_MS = 1000, RETRY_AFTER_MAX_MS = 86400000 };

static bool begins_as_html(const char *page, struct diagnostics *diagnostics)
{
    char *block;
    struct slice text;
    bool is_html =
        text_file_read(page, diagnostics, &block, &text, NULL) == ERROR_OK && page_is_html(text);
    free(block);
    return is_html;
}

/* A tenant that is to be out is out, whatever its page: so this is no error. */
static void warn_about_page(const struct node *node, const char *page)
{
    struct stat about;
    const char *problem = NULL;
    if (stat(page, &about) != 0 || access(page, R_OK) != 0)
        problem = strerror(errno);
    else if (!S_ISREG(about.st_mode))
        problem = "it is not a regular file";
    else if (about.st_size > PAGE_MAX_BYTES)
        problem = "it is larger than 256 kB";
    else if (!begins_as_html(page, node->document->diagnostics))
        problem = PAGE_NOT_HTML;
    if (problem != NULL)
        node_report(node, JSON_PART_VALUE, CODE_PAGE_UNREADABLE,
                    memory_format("until it can be read, the built-in page is shown"),
                    "the page %s cannot be served: %s", page, problem);
}

static void read_page(const struct node *node, char **page)
{
    if (node_file_name(node, page))
        warn_about_page(node, *page);
}

/* -- "maintenance" -- */

static struct maintenance *maintenance_of(void *target)
{
    return target;
}

static void read_on(const struct node *node, void *target)
{
    node_bool(node, &maintenance_of(target)->on);
}

static void read_maintenance_page(const struct node *node, void *target)
{
    read_page(node, &maintenance_of(target)->page);
}

static void read_retry_after(const struct node *node, void *target)
{
    unsigned duration_ms;
    if (node_duration(node, RETRY_AFTER_MIN_MS, RETRY_AFTER_MAX_MS, &duration_ms))
        maintenance_of(target)->retry_after_s = duration_ms / 1000;
}

static void read_allow_ips(const struct node *node, void *target)
{
    struct maintenance *maintenance = target;
    if (!node_is(node, JSON_TYPE_ARRAY) || !node_is_short(node, ALLOW_MAX))
        return;
    maintenance->allow = memory_new(json_count(node->value) * sizeof(*maintenance->allow));
    for (struct node_iterator i = node_children(node); node_next(&i);)
        if (node_network(&i.node, &maintenance->allow[maintenance->allow_count]))
            maintenance->allow_count++;
}

static void read_time(const struct node *node, int64_t *seconds)
{
    struct slice text;
    if (node_text(node, &text) && !time_text_parse_point(text, seconds))
        node_report(node, JSON_PART_VALUE, CODE_BAD_TIME,
                    memory_format("date, time and zone: \"2026-12-01T02:00Z\", "
                                  "\"2026-12-01T02:00+01:00\""),
                    "\"%.*s\" is not a point in time", SLICE_PRINT(text));
}

static void read_from(const struct node *node, void *target)
{
    read_time(node, &maintenance_of(target)->from_s);
}

static void read_to(const struct node *node, void *target)
{
    read_time(node, &maintenance_of(target)->to_s);
}

static void read_window(const struct node *node, void *target)
{
    static const struct option OPTIONS[] = {{"from", read_from}, {"to", read_to}};
    struct maintenance *maintenance = target;
    size_t errors = node->document->diagnostics->errors;
    struct node member;
    if (!node_is(node, JSON_TYPE_OBJECT))
        return;
    options_read(node, OPTIONS, COUNT_OF(OPTIONS), target);
    for (size_t i = 0; i < COUNT_OF(OPTIONS); i++)
        if (!node_member(node, OPTIONS[i].name, &member))
            node_report(node, JSON_PART_VALUE, CODE_MISSING_KEY, NULL, "a window needs \"%s\"",
                        OPTIONS[i].name);
    if (node->document->diagnostics->errors != errors)
        return;
    if (maintenance->from_s >= maintenance->to_s)
        node_report(node, JSON_PART_VALUE, CODE_BAD_TIME, NULL, "the window ends before it begins");
    maintenance->has_window = true;
}

void maintenance_read(const struct node *node, struct tenant *tenant)
{
    static const struct option OPTIONS[] = {
        {"on", read_on},
        {"page", read_maintenance_page},
        {"retry_after", read_retry_after},
        {"allow_ips", read_allow_ips},
        {"window", read_window},
    };
    struct node on, window;
    if (!node_is(node, JSON_TYPE_OBJECT))
        return;
    tenant->maintenance = memory_new(sizeof(*tenant->maintenance));
    options_read(node, OPTIONS, COUNT_OF(OPTIONS), tenant->maintenance);
    if (!node_member(node, "on", &on) && !node_member(node, "window", &window))
        node_report(node, JSON_PART_VALUE, CODE_MISSING_KEY,
                    memory_format("add \"on\": true, or \"on\": false to have it ready"),
                    "\"maintenance\" needs \"on\" or a \"window\"");
}

/* -- "suspended" -- */

static void read_status(const struct node *node, void *target)
{
    unsigned status;
    if (!node_unsigned(node, 0, 999, &status))
        return;
    if (status == 402 || status == 403)
        ((struct suspension *)target)->status = (uint16_t)status;
    else
        node_report(node, JSON_PART_VALUE, CODE_NOT_A_CHOICE, memory_format("known: 402, 403"),
                    "status cannot be %u", status);
}

static void read_suspended_page(const struct node *node, void *target)
{
    read_page(node, &((struct suspension *)target)->page);
}

void suspended_read(const struct node *node, struct tenant *tenant)
{
    static const struct option OPTIONS[] = {{"status", read_status}, {"page", read_suspended_page}};
    if (!node_is(node, JSON_TYPE_OBJECT))
        return;
    tenant->suspended = memory_new(sizeof(*tenant->suspended));
    tenant->suspended->status = 402;
    options_read(node, OPTIONS, COUNT_OF(OPTIONS), tenant->suspended);
}
