/* Pages for people: see pages.h. */
#include "serving/pages.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/time_text.h"
#include "core/whole_file.h"
#include "http/http_server.h"
#include "net/listen_socket.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    RETRY_LISTEN_MS = 1000,
    REFRESH_MIN_S = 10,
    REFRESH_MAX_S = 60,
    COMPLAIN_EVERY_MS = 60 * 1000,
};

struct pages {
    struct main_loop *loop;
    struct pages_host host;
    char *listen; /* as net/listener.h has it */
    struct main_timer *timer;
    struct listen_sockets sockets;
    struct http_server *server;
    bool told_busy;
    int64_t complained_ms; /* when a file that cannot be read was last told */
};

/* -- The built-in page ------------------------------------------------------------------------
 *
 * Nothing is asked for from anywhere else, and no script runs. */

#define POLICY "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

#define PAGE_HEAD                                                                \
    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"    \
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n" \
    "<meta name=\"color-scheme\" content=\"light dark\">\n"                      \
    "<meta name=\"robots\" content=\"noindex\">\n"

#define PAGE_STYLE                                                                                 \
    "<style>\n"                                                                                    \
    ":root { --ground: #f6f7f9; --card: #fff; --ink: #1d2129; --quiet: #5b6472; --line: #e3e6eb; " \
    "}\n"                                                                                          \
    "@media (prefers-color-scheme: dark) { :root { --ground: #15171b; --card: #1e2127; --ink: "    \
    "#e8eaee; --quiet: #a0a8b5; --line: #2d323b; } }\n"                                            \
    "* { box-sizing: border-box; margin: 0; }\n"                                                   \
    "body { min-height: 100vh; display: grid; place-items: center; padding: 1.5rem; background: "  \
    "var(--ground); color: var(--ink); font: 1rem/1.6 system-ui, sans-serif; }\n"                  \
    "main { max-width: 30rem; padding: 2.5rem; background: var(--card); border: 1px solid "        \
    "var(--line); border-radius: .9rem; }\n"                                                       \
    "h1 { font-size: 1.4rem; line-height: 1.3; margin-bottom: .7rem; }\n"                          \
    "p { color: var(--quiet); }\n"                                                                 \
    "p + p { margin-top: .7rem; }\n"                                                               \
    "</style>\n"

static char *suspended_page(void)
{
    return memory_format("%s<title>Suspended</title>\n%s</head>\n<body>\n<main>\n"
                         "<h1>This service is suspended</h1>\n"
                         "<p>Nothing is lost. Whoever runs it for you knows more.</p>\n"
                         "</main>\n</body>\n</html>\n",
                         PAGE_HEAD, PAGE_STYLE);
}

/* Comes back by itself when the tenant does. */
static char *maintenance_page(const struct maintenance *maintenance, int64_t now_s)
{
    char end[TIME_TEXT_SIZE] = "";
    uint32_t refresh_s = REFRESH_MAX_S;
    bool ends = false;
    if (maintenance != NULL) {
        refresh_s = maintenance_retry_after_s(maintenance, now_s);
        ends = maintenance->has_window && maintenance->to_s > now_s;
    }
    refresh_s = refresh_s < REFRESH_MIN_S   ? REFRESH_MIN_S
                : refresh_s > REFRESH_MAX_S ? REFRESH_MAX_S
                                            : refresh_s;
    if (ends) {
        time_text_print(maintenance->to_s, end); /* "2026-12-01T03:00:00Z" */
        end[10] = ' ';
        end[16] = '\0';
    }
    return memory_format("%s<meta http-equiv=\"refresh\" content=\"%u\">\n"
                         "<title>Maintenance</title>\n%s</head>\n<body>\n<main>\n"
                         "<h1>Under maintenance</h1>\n"
                         "<p>This service is being worked on and will be back soon.%s%s%s</p>\n"
                         "<p>This page looks again by itself.</p>\n"
                         "</main>\n</body>\n</html>\n",
                         PAGE_HEAD, refresh_s, PAGE_STYLE, ends ? " It is expected by " : "", end,
                         ends ? " UTC." : "");
}

/* -- A tenant's own page ---------------------------------------------------------------------- */

static MUST_CHECK enum error read_page(const char *path, struct http_answer *answer,
                                       struct error_text *why)
{
    char *body;
    size_t size;
    enum error error = whole_file_read(path, PAGE_MAX_BYTES, &body, &size, why);
    if (error == ERROR_OK && !page_is_html(slice_from(body, size)))
        error = error_set(why, ERROR_INVALID, PAGE_NOT_HTML);
    if (error != ERROR_OK) {
        free(body);
        return error;
    }
    answer->body = slice_from(body, size);
    answer->body_owned = true;
    return ERROR_OK;
}

static bool take_own_page(struct pages *pages, const char *path, struct http_answer *answer)
{
    struct error_text why;
    if (path == NULL)
        return false;
    if (read_page(path, answer, &why) == ERROR_OK)
        return true;
    int64_t now_ms = clock_mono_ms();
    if (pages->complained_ms == 0 || now_ms - pages->complained_ms >= COMPLAIN_EVERY_MS) {
        pages->complained_ms = now_ms;
        log_event(LOG_WARNING, "page_unreadable", LOG_TEXT("page", path),
                  LOG_TEXT("reason", why.text), LOG_TEXT("instead", "the built-in page"));
    }
    return false;
}

/* -- Serving ---------------------------------------------------------------------------------- */

static const struct tenant *find_tenant(const struct pages *pages, struct slice name)
{
    const struct snapshot *snapshot = pages->host.snapshot(pages->host.context);
    return snapshot != NULL ? route_table_tenant(snapshot->table, name) : NULL;
}

static void take_built_in(struct http_answer *answer, char *page)
{
    answer->body = slice_of(page);
    answer->body_owned = true;
    answer->headers[0].name = "Content-Security-Policy";
    answer->headers[0].value = POLICY;
}

/* A tenant that has changed since the decision gets the page that was decided on. */
static void on_request(void *context, const struct http_request *request,
                       struct http_answer *answer)
{
    static const struct slice SUSPENDED = {"/suspended/", 11}, MAINTENANCE = {"/maintenance/", 13};
    struct pages *pages = context;

    answer->status = 200;
    answer->content_type = "text/html; charset=utf-8";
    if (slice_starts_with(request->path, SUSPENDED)) {
        const struct tenant *tenant = find_tenant(pages, slice_skip(request->path, SUSPENDED.size));
        const struct suspension *suspended = tenant != NULL ? tenant->suspended : NULL;
        if (suspended == NULL || !take_own_page(pages, suspended->page, answer))
            take_built_in(answer, suspended_page());
    } else if (slice_starts_with(request->path, MAINTENANCE)) {
        const struct tenant *tenant =
            find_tenant(pages, slice_skip(request->path, MAINTENANCE.size));
        const struct maintenance *maintenance = tenant != NULL ? tenant->maintenance : NULL;
        if (maintenance == NULL || !take_own_page(pages, maintenance->page, answer))
            take_built_in(answer, maintenance_page(maintenance, clock_wall_s()));
    } else {
        answer->status = 404;
        answer->content_type = "text/plain; charset=utf-8";
        answer->body = SLICE("no such page\n");
    }
}

static bool serve(struct pages *pages, struct error_text *why)
{
    const struct http_server_options options = {.on_request = on_request, .context = pages};
    const struct listen_options listening = {0};
    struct listen_address address;
    if (listen_address_parse(slice_of(pages->listen), &address, why) != ERROR_OK ||
        listen_sockets_open(&address, &listening, &pages->sockets, why) != ERROR_OK)
        return false;
    pages->server = http_server_new(pages->loop, pages->sockets.fds[0], &options);
    pages->sockets.fds[0] = -1; /* the server's now */
    return true;
}

/* HAProxy has a page of its own for the time that nobody serves here. */
static void on_listen(void *context)
{
    struct pages *pages = context;
    struct error_text why;
    if (serve(pages, &why)) {
        log_event(LOG_INFO, "serving_pages", LOG_TEXT("address", pages->listen));
        return;
    }
    if (!pages->told_busy)
        log_event(LOG_NOTICE, "pages_wait", LOG_TEXT("address", pages->listen),
                  LOG_TEXT("reason", why.text));
    pages->told_busy = true;
    main_timer_once(pages->timer, RETRY_LISTEN_MS);
}

struct pages *pages_new(struct main_loop *loop, const char *listen, const struct pages_host *host)
{
    struct pages *pages = memory_new(sizeof(*pages));
    pages->loop = loop;
    pages->host = *host;
    pages->listen = memory_format("tcp:%s", listen);
    pages->timer = main_timer_new(loop, on_listen, pages);
    on_listen(pages);
    return pages;
}

void pages_free(struct pages *pages)
{
    if (pages == NULL)
        return;
    http_server_free(pages->server);
    listen_sockets_close(&pages->sockets);
    main_timer_free(pages->timer);
    free(pages->listen);
    free(pages);
}
