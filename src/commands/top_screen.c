/* What `owui-spoa top` shows, and the terminal that it takes over: see top.h. */
#include "top.h"

#include "cli/terminal.h"
#include "cli/terminal_guard.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

/* -- The terminal ------------------------------------------------------------------------------ */

#define ENTER "\033[?1049h\033[?25l" /* the alternate screen; no cursor */
#define LEAVE "\033[?25h\033[?1049l"

static struct termios usual;
static volatile sig_atomic_t is_taken;

/* Only what a signal handler may call. */
void top_screen_leave(void)
{
    if (!is_taken)
        return;
    is_taken = 0;
    ssize_t written = write(STDOUT_FILENO, LEAVE, sizeof(LEAVE) - 1);
    (void)written;
    tcsetattr(STDIN_FILENO, TCSANOW, &usual);
}

static void on_fault(int number)
{
    top_screen_leave();
    raise(number); /* with what it did before: SA_RESETHAND */
}

void top_screen_enter(void)
{
    static const int FAULTS[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGQUIT, SIGSEGV};
    static bool is_prepared;
    struct termios keys;
    if (tcgetattr(STDIN_FILENO, &usual) != 0)
        return;
    keys = usual;
    keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    tcsetattr(STDIN_FILENO, TCSANOW, &keys);
    is_taken = 1;
    if (!is_prepared) {
        is_prepared = true;
        atexit(top_screen_leave);
        for (size_t i = 0; i < COUNT_OF(FAULTS); i++) {
            const struct sigaction action = {.sa_handler = on_fault, .sa_flags = (int)SA_RESETHAND};
            sigaction(FAULTS[i], &action, NULL);
        }
    }
    terminal_unguard();
    fputs(ENTER, stdout);
    fflush(stdout);
}

/* -- The picture ------------------------------------------------------------------------------- */

enum { NUMBERS_WIDTH = 10 + 11 + 9 + 10 + 13, NAME_MIN = 12, NAME_MAX = 63 };

struct picture {
    const struct top_view *view;
    bool on_screen;
    unsigned lines; /* printed */
};

/* Ends a line; what a longer one before has left there is cleared. */
static void end_line(struct picture *picture)
{
    fputs(picture->on_screen ? "\033[K\n" : "\n", stdout);
    picture->lines++;
}

static bool has_room(const struct picture *picture)
{
    return picture->view->lines == 0 || picture->lines + 1 < picture->view->lines;
}

static const char *style(const struct picture *picture, enum terminal_style wanted)
{
    return terminal_style(wanted, picture->view->has_colours);
}

/* "0.4", "12.3", "1234", "12.3k": at most six characters. */
static void print_rate(double rate, char text[static 24])
{
    if (rate >= 99950)
        snprintf(text, 24, "%.0fk", rate / 1000);
    else if (rate >= 9999.5)
        snprintf(text, 24, "%.1fk", rate / 1000);
    else
        snprintf(text, 24, "%.*f", rate >= 999.5 ? 0 : 1, rate);
}

static void print_p99(double us, char text[static 24])
{
    if (us < 0)
        snprintf(text, 24, "-");
    else if (us >= 999.5)
        snprintf(text, 24, "%.1f ms", us / 1000);
    else
        snprintf(text, 24, "%.*f us", us >= 99.5 ? 0 : 1, us);
}

static void print_count(int64_t count, char text[static 24])
{
    if (count < 0)
        snprintf(text, 24, "-");
    else if (count >= 10000000)
        snprintf(text, 24, "%lldM", (long long)(count / 1000000));
    else
        snprintf(text, 24, "%lld", (long long)count);
}

static void print_uptime(int64_t s, char text[static 32])
{
    if (s >= 86400)
        snprintf(text, 32, "%lldd %lldh", (long long)(s / 86400), (long long)(s % 86400 / 3600));
    else if (s >= 3600)
        snprintf(text, 32, "%lldh %lldm", (long long)(s / 3600), (long long)(s % 3600 / 60));
    else
        snprintf(text, 32, "%lldm %llds", (long long)(s / 60), (long long)(s % 60));
}

static void print_head(struct picture *picture, const struct top_rates *rates)
{
    char uptime[32];
    char line[160];
    print_uptime(rates->uptime_s, uptime);
    int size = snprintf(line, sizeof(line), "owui-spoa, up %s, generation %lld", uptime,
                        (long long)rates->generation);
    const char *keys = picture->on_screen ? "q quit  s sort" : "";
    int gap = (int)picture->view->columns - size - (int)strlen(keys);
    printf("%s%s%s%*s%s%s%s", style(picture, TERMINAL_BOLD), line, style(picture, TERMINAL_PLAIN),
           gap > 0 && picture->on_screen ? gap : 0, "", style(picture, TERMINAL_DIM),
           gap > 0 ? keys : "", style(picture, TERMINAL_PLAIN));
    end_line(picture);
}

static void print_totals(struct picture *picture, const struct top_rates *rates,
                         const struct top_haproxy *haproxy)
{
    char requests[24], refused[24], p99[24], open[24], errors[24];
    print_rate(rates->all.requests, requests);
    print_rate(rates->all.refused, refused);
    print_p99(rates->all.p99_us, p99);
    print_count(haproxy->open, open);
    if (haproxy->errors_per_s >= 0)
        print_rate(haproxy->errors_per_s, errors);
    else
        snprintf(errors, sizeof(errors), "-");
    printf("requests %s/s, refused %s/s, p99 %s, open %s, 5xx %s/s", requests, refused, p99, open,
           errors);
    end_line(picture);
}

/* A reason takes the place of the line that it is the reason for the lack of. */
static void print_problem(struct picture *picture)
{
    printf("%s%.*s%s", style(picture, TERMINAL_RED), (int)picture->view->columns,
           picture->view->problem, style(picture, TERMINAL_PLAIN));
    end_line(picture);
}

static int name_width(const struct picture *picture)
{
    int width = (int)picture->view->columns - NUMBERS_WIDTH;
    return width < NAME_MIN ? NAME_MIN : width > NAME_MAX ? NAME_MAX : width;
}

static void print_titles(struct picture *picture)
{
    static const char *const TITLES[] = {"REQ/S", "REFUSED/S", "P99", "SOCKETS", "TENANT"};
    static const enum top_order ORDERS[] = {TOP_BY_REQUESTS, TOP_BY_REFUSED, TOP_BY_P99,
                                            TOP_BY_SOCKETS, TOP_BY_NAME};
    char marked[COUNT_OF(TITLES)][16];
    for (size_t i = 0; i < COUNT_OF(TITLES); i++)
        snprintf(marked[i], sizeof(marked[i]), "%s%s", TITLES[i],
                 picture->view->order == ORDERS[i] ? "*" : "");
    printf("%s%-*s%10s%11s%10s%9s%13s%s", style(picture, TERMINAL_REVERSE), name_width(picture),
           marked[4], marked[0], marked[1], marked[2], marked[3], "TOTAL",
           style(picture, TERMINAL_PLAIN));
    end_line(picture);
}

static void print_row(struct picture *picture, const struct top_row *row)
{
    char requests[24], refused[24], p99[24], sockets[24], total[24];
    int width = name_width(picture);
    print_rate(row->requests, requests);
    print_rate(row->refused, refused);
    print_p99(row->p99_us, p99);
    print_count(row->sockets, sockets);
    print_count(row->total, total);
    printf("%-*.*s%10s%s%11s%s%10s%9s%13s", width, width - 1, row->name, requests,
           row->refused > 0 ? style(picture, TERMINAL_RED) : "", refused,
           row->refused > 0 ? style(picture, TERMINAL_PLAIN) : "", p99, sockets, total);
    end_line(picture);
}

void top_screen_print(const struct top_rates *rates, const struct top_haproxy *haproxy,
                      const struct top_view *view, bool on_screen)
{
    struct picture picture = {.view = view, .on_screen = on_screen};
    size_t shown = 0;
    if (on_screen)
        fputs("\033[H", stdout);
    print_head(&picture, rates);
    print_totals(&picture, rates, haproxy);
    if (view->problem != NULL)
        print_problem(&picture);
    else
        end_line(&picture);
    print_titles(&picture);
    for (; shown < rates->row_count && shown < view->rows_max && has_room(&picture); shown++)
        print_row(&picture, &rates->rows[shown]);
    if (rates->row_count == 0)
        printf("nobody has asked for anything yet%s\n", on_screen ? "\033[K" : "");
    else if (shown < rates->row_count && !on_screen)
        printf("and %zu more\n", rates->row_count - shown);
    if (on_screen)
        fputs("\033[J", stdout);
    fflush(stdout);
}
