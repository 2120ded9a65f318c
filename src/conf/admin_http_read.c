/* The section "admin_http": see global_read.h. */
#include "global_read.h"

#include "address.h"
#include "core/memory.h"
#include "route/host.h"

enum { REQUESTS_PER_MINUTE = 600, REQUESTS_PER_MINUTE_MAX = 1000000 };

static struct admin_http_settings *settings_of(void *configuration)
{
    return &((struct configuration *)configuration)->admin_http;
}

/* Tokens travel in clear text here: not a byte of that may leave the machine. */
static void read_listen(const struct node *node, void *target)
{
    read_loopback(node,
                  "\"127.0.0.1:8690\" or \"[::1]:8690\"; from elsewhere:\n"
                  "ssh -L 8690:127.0.0.1:8690 this-machine, or a proxy with TLS",
                  "tokens are sent in clear text", &settings_of(target)->listen);
}

static void read_tokens_file(const struct node *node, void *target)
{
    node_file_name(node, &settings_of(target)->tokens_file);
}

static char *check_host(const struct node *element, struct slice text)
{
    struct host host;
    if (host_parse(text, &host) == REFUSAL_NONE && host.port == 0 && !host.is_address &&
        !host.changed)
        return memory_copy_text(text);
    node_report(
        element, JSON_PART_VALUE, CODE_HOST_SYNTAX,
        memory_format("for example \"admin.example.com\", in lower case and without a port"),
        "\"%.*s\" is no host name", SLICE_PRINT(text));
    return NULL;
}

static void read_hosts(const struct node *node, void *target)
{
    struct admin_http_settings *settings = settings_of(target);
    struct texts hosts = {0};
    node_texts(node, TEXTS_MAX, check_host, &hosts);
    settings->hosts = hosts.items;
    settings->host_count = hosts.count;
}

static void read_requests(const struct node *node, void *target)
{
    node_unsigned(node, 1, REQUESTS_PER_MINUTE_MAX, &settings_of(target)->requests_per_minute);
}

void admin_http_read(const struct node *node, void *configuration)
{
    static const struct option OPTIONS[] = {
        {"listen", read_listen},
        {"tokens_file", read_tokens_file},
        {"hosts", read_hosts},
        {"requests_per_minute", read_requests},
    };
    struct admin_http_settings *settings = settings_of(configuration);
    if (!node_is(node, JSON_TYPE_OBJECT))
        return;
    settings->listen = memory_copy_text(SLICE("127.0.0.1:8690"));
    settings->requests_per_minute = REQUESTS_PER_MINUTE;
    options_read(node, OPTIONS, COUNT_OF(OPTIONS), configuration);
}
