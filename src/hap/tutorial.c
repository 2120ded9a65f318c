/* Carrying over the tutorial's haproxy.cfg: see hap/tutorial.h.
 *
 * Two passes over the lines: the first collects what is defined (ACLs, servers), because HAProxy
 * lets a name be used before the line that a person reads as its definition; the second follows
 * `use_backend` from conditions to servers. An ACL's lines are alternatives, the terms of a
 * condition are not, and "or" stands between alternatives: so a condition is a list of groups.
 */
#include "hap/tutorial.h"

#include "core/decimal.h"
#include "core/ip.h"
#include "core/memory.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    WORDS_MAX = 64, /* HAProxy does not start with more on a line */
    LINES_MAX = 20000,
    ITEMS_MAX = 1024, /* hosts or paths of a tenant, and all ACLs: nobody writes more by hand */
    NOTES_MAX = 1000,
    DOORS_MAX = 12, /* that are told by name */
    SLOW_REQUEST_S = 60,
    SLOW_CONNECT_S = 30,
};

#define ACME_PATH "/.well-known/acme-challenge"

/* A line, cut into words; quotes are taken off at the ends. */
struct line {
    unsigned number;
    struct slice words[WORDS_MAX];
    size_t count;
};

enum condition { ON_HOST, ON_HOST_END, ON_PATH, ON_WHOLE_PATH, ON_OTHER };

/* One `acl` line, or one { } in a condition. */
struct acl {
    unsigned section; /* the line on which it begins: nothing outside knows the name */
    struct slice name;
    enum condition condition;
    struct slice values[WORDS_MAX];
    size_t value_count;
};

struct server_options {
    bool tls, no_verify, check;
    struct slice name; /* that is told and verified; empty: none is told */
};

struct server {
    unsigned line;
    struct slice backend;
    struct slice address;
    struct server_options options;
    size_t count; /* of the backend's server lines; the first one's values stand above */
};

struct reading {
    struct tutorial *tutorial;
    struct acl *acls;
    size_t acl_count;
    struct server *servers;
    size_t server_count;
    unsigned section;          /* which is being read: its line, */
    struct slice section_name; /* and its name */
    bool is_defaults;
    struct server_options usual;             /* of its servers, by what was told in it, */
    struct server_options usual_by_defaults; /* and by "defaults" before */
    bool has_redirect, has_default, has_tunnel, has_check, has_server, has_frontend, has_error_file;
    bool has_more; /* than is read */
};

/* -- Lines ------------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of `rest`; false at the end or at a comment. */
static bool next_word(struct slice *rest, struct slice *word)
{
    size_t i = 0;
    char quote = '\0';
    while (i < rest->size && is_blank(rest->data[i]))
        i++;
    *rest = slice_skip(*rest, i);
    if (rest->size == 0 || rest->data[0] == '#')
        return false;
    for (i = 0; i < rest->size; i++) {
        char c = rest->data[i];
        if (quote != '\0')
            quote = c == quote ? '\0' : quote;
        else if (c == '"' || c == '\'')
            quote = c;
        else if (c == '\\' && i + 1 < rest->size)
            i++;
        else if (is_blank(c))
            break;
    }
    *word = slice_head(*rest, i);
    *rest = slice_skip(*rest, i);
    if (word->size >= 2 && (word->data[0] == '"' || word->data[0] == '\'') &&
        word->data[word->size - 1] == word->data[0])
        *word = slice_from(word->data + 1, word->size - 2);
    return true;
}

/* The next line with a word in it. */
static bool next_line(struct slice *text, struct line *line)
{
    while (text->size > 0 && line->number < LINES_MAX) {
        struct slice rest = slice_cut(text, '\n');
        line->number++;
        line->count = 0;
        while (line->count < WORDS_MAX && next_word(&rest, &line->words[line->count]))
            line->count++;
        if (line->count > 0)
            return true;
    }
    return false;
}

static struct slice word_at(const struct line *line, size_t index)
{
    return index < line->count ? line->words[index] : (struct slice){0};
}

static bool word_is(const struct line *line, size_t index, const char *text)
{
    return index < line->count && slice_equal(line->words[index], slice_of(text));
}

static bool word_is_nocase(const struct line *line, size_t index, const char *text)
{
    return index < line->count && slice_equal_nocase(line->words[index], slice_of(text));
}

static bool is_one_of(struct slice word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (slice_equal(word, slice_of(words[i])))
            return true;
    return false;
}

static bool is_section(const struct line *line)
{
    static const char *const SECTIONS[] = {"global",      "defaults",    "frontend", "backend",
                                           "listen",      "userlist",    "peers",    "resolvers",
                                           "program",     "cache",       "mailers",  "ring",
                                           "traces",      "fcgi-app",    "acme",     "http-errors",
                                           "log-forward", "log-profile", "crt-store"};
    return is_one_of(line->words[0], SECTIONS, COUNT_OF(SECTIONS));
}

static void add_note(struct reading *reading, enum tutorial_note_kind kind, unsigned line,
                     const char *format, ...) PRINTF_LIKE(4, 5);
static void add_note(struct reading *reading, enum tutorial_note_kind kind, unsigned line,
                     const char *format, ...)
{
    struct tutorial *tutorial = reading->tutorial;
    va_list arguments;
    va_start(arguments, format);
    char *text = memory_format_list(format, arguments);
    va_end(arguments);
    /* What is wrong with many lines in the same way is told once; what is left behind, each time.
     */
    bool is_told = tutorial->note_count == NOTES_MAX;
    for (size_t i = 0; i < tutorial->note_count && !is_told; i++)
        is_told = strcmp(tutorial->notes[i].text, text) == 0 &&
                  (kind == TUTORIAL_MENDED || tutorial->notes[i].line == line);
    if (is_told) {
        free(text);
        return;
    }
    tutorial->notes =
        memory_resize(tutorial->notes, tutorial->note_count + 1, sizeof(*tutorial->notes));
    tutorial->notes[tutorial->note_count++] = (struct tutorial_note){kind, line, text};
}

/* -- First pass: ACLs and servers -------------------------------------------------------------- */

static bool is_of_path(enum condition condition)
{
    return condition == ON_PATH || condition == ON_WHOLE_PATH;
}

/* Takes off a converter that leaves a host the same host; false for any other, and at the end. */
static bool take_converter(struct slice *rest)
{
    static const char *const KEEPING[] = {",lower", ",host_only", ",field(1,:)", ",word(1,:)"};
    for (size_t i = 0; i < COUNT_OF(KEEPING); i++) {
        struct slice converter = slice_of(KEEPING[i]);
        if (!slice_starts_with(*rest, converter))
            continue;
        struct slice behind = slice_skip(*rest, converter.size);
        if (behind.size > 0 && behind.data[0] != ',')
            continue;
        *rest = behind;
        return true;
    }
    return false;
}

/* What a fetch looks at: "hdr(host)", "req.hdr(Host),lower", "path_beg". What a converter has made
 * of it is something else. */
static enum condition condition_of(struct slice fetch)
{
    static const struct {
        const char *name;
        enum condition condition;
    } FETCHES[] = {
        {"hdr(host)", ON_HOST},         {"hdr_str(host)", ON_HOST},      {"hdr_dom(host)", ON_HOST},
        {"req.hdr(host)", ON_HOST},     {"req.fhdr(host)", ON_HOST},     {"ssl_fc_sni", ON_HOST},
        {"hdr_end(host)", ON_HOST_END}, {"ssl_fc_sni_end", ON_HOST_END}, {"path_beg", ON_PATH},
        {"path_dir", ON_PATH},          {"path", ON_WHOLE_PATH},
    };
    struct slice name = slice_before(fetch, ',');
    struct slice converters = slice_skip(fetch, name.size);
    enum condition condition = ON_OTHER;
    for (size_t i = 0; i < COUNT_OF(FETCHES); i++)
        if (slice_equal_nocase(name, slice_of(FETCHES[i].name)))
            condition = FETCHES[i].condition;
    while (!is_of_path(condition) && take_converter(&converters))
        continue;
    return converters.size == 0 ? condition : ON_OTHER;
}

/* With "-m" and this method. */
static enum condition matched_by(enum condition condition, struct slice method)
{
    if (condition == ON_HOST && slice_equal(method, SLICE("end")))
        return ON_HOST_END;
    if (is_of_path(condition) &&
        (slice_equal(method, SLICE("beg")) || slice_equal(method, SLICE("dir"))))
        return ON_PATH;
    if (slice_equal(method, SLICE("str")) || slice_equal(method, SLICE("dom")))
        return condition;
    return ON_OTHER;
}

/* The criterion in words[first..end): fetch, flags, values. A file of values (-f) is not read. */
static void read_criterion(const struct line *line, size_t first, size_t end, struct acl *acl)
{
    acl->condition = first < end ? condition_of(line->words[first]) : ON_OTHER;
    acl->value_count = 0;
    for (size_t i = first + 1; i < end; i++) {
        if (word_is(line, i, "-i") || word_is(line, i, "--"))
            continue;
        if (word_is(line, i, "-m") && i + 1 < end) {
            i++;
            acl->condition = matched_by(acl->condition, line->words[i]);
            continue;
        }
        if (slice_starts_with(line->words[i], SLICE("-")))
            acl->condition = ON_OTHER;
        acl->values[acl->value_count++] = line->words[i];
    }
}

static bool is_full(struct reading *reading, size_t count)
{
    reading->has_more |= count == ITEMS_MAX;
    return count == ITEMS_MAX;
}

static void take_acl(struct reading *reading, const struct line *line)
{
    if (line->count < 3 || is_full(reading, reading->acl_count))
        return;
    reading->acls = memory_resize(reading->acls, reading->acl_count + 1, sizeof(*reading->acls));
    struct acl *acl = &reading->acls[reading->acl_count++];
    *acl = (struct acl){.section = reading->section, .name = line->words[1]};
    read_criterion(line, 2, line->count, acl);
    for (size_t i = 2; i < line->count; i++)
        if (slice_starts_with(line->words[i], SLICE("hdr_dom(")) ||
            (word_is(line, i, "-m") && word_is(line, i + 1, "dom")))
            add_note(reading, TUTORIAL_LEFT, line->number,
                     "names that contain this one matched, too, as www.%.*s: add those that are "
                     "meant to the tenant's \"hosts\"",
                     SLICE_PRINT(acl->value_count > 0 ? acl->values[0] : SLICE("example.com")));
}

static struct server *find_server(const struct reading *reading, struct slice backend)
{
    for (size_t i = 0; i < reading->server_count; i++)
        if (slice_equal(reading->servers[i].backend, backend))
            return &reading->servers[i];
    return NULL;
}

/* "str(owui.internal)": a name for all requests. */
static bool is_name_for_tls(struct slice sni)
{
    return slice_starts_with(sni, SLICE("str("));
}

static void read_server_options(const struct line *line, size_t first,
                                struct server_options *options)
{
    for (size_t i = first; i < line->count; i++) {
        options->tls = !word_is(line, i, "no-ssl") && (options->tls || word_is(line, i, "ssl"));
        options->check =
            !word_is(line, i, "no-check") && (options->check || word_is(line, i, "check"));
        if (word_is(line, i, "verify"))
            options->no_verify = word_is(line, i + 1, "none");
        if (word_is(line, i, "verifyhost"))
            options->name = word_at(line, i + 1);
        if (word_is(line, i, "sni") && is_name_for_tls(word_at(line, i + 1)))
            options->name = slice_before(slice_skip(word_at(line, i + 1), 4), ')');
    }
}

static void take_server(struct reading *reading, const struct line *line)
{
    if (line->count < 3 || is_full(reading, reading->server_count))
        return;
    struct server *server = find_server(reading, reading->section_name);
    struct server_options options = reading->usual;
    read_server_options(line, 3, &options);
    reading->has_server = true;
    reading->has_check |= options.check;
    if (server != NULL) {
        server->count++;
        return;
    }
    reading->servers =
        memory_resize(reading->servers, reading->server_count + 1, sizeof(*reading->servers));
    reading->servers[reading->server_count++] = (struct server){.line = line->number,
                                                                .backend = reading->section_name,
                                                                .address = line->words[2],
                                                                .options = options,
                                                                .count = 1};
}

/* -- What was wrong ---------------------------------------------------------------------------- */

/* "300s", "2m", "5000": in seconds; 0 when it is none of these. */
static uint64_t seconds_of(struct slice text)
{
    struct slice unit = text;
    uint64_t number;
    (void)decimal_take(&unit, 9, &number);
    if (slice_equal(unit, SLICE("s")))
        return number;
    if (slice_equal(unit, SLICE("m")))
        return number * 60;
    if (slice_equal(unit, SLICE("h")))
        return number * 3600;
    return unit.size == 0 || slice_equal(unit, SLICE("ms")) ? number / 1000 : 0;
}

static void judge_timeout(struct reading *reading, const struct line *line)
{
    if (line->count < 3)
        return;
    uint64_t seconds = seconds_of(line->words[2]);
    if (word_is(line, 1, "tunnel"))
        reading->has_tunnel = true;
    else if (word_is(line, 1, "http-request") && seconds >= SLOW_REQUEST_S)
        add_note(reading, TUTORIAL_MENDED, line->number,
                 "timeout http-request: a client could hold a connection for %" PRIu64
                 " s without a request; now 10 s",
                 seconds);
    else if (word_is(line, 1, "connect") && seconds >= SLOW_CONNECT_S)
        add_note(reading, TUTORIAL_MENDED, line->number,
                 "timeout connect: %" PRIu64 " s until a dead Open WebUI was told; now 5 s",
                 seconds);
}

/* Words alone, no values: those may be somebody's password. */
static void leave(struct reading *reading, const struct line *line, bool is_access)
{
    struct slice second = word_at(line, 1);
    add_note(reading, TUTORIAL_LEFT, line->number, "%.*s%s%.*s is not carried over: %s",
             SLICE_PRINT(line->words[0]), second.size > 0 ? " " : "", SLICE_PRINT(second),
             is_access ? "without it, everybody may come; \"allow_ips\", \"deny_ips\", \"routes\" "
                         "and \"limits\" of a tenant say who may, and how often"
                       : "lines of your own have their places, between marks, in the new file");
}

/* Who may come, and how often. */
static bool is_access(const struct line *line)
{
    static const char *const RULES[] = {"deny",        "reject",   "tarpit",
                                        "silent-drop", "wait-for", "auth"};
    static const char *const PHASES[] = {"connection", "session", "content"};
    if (word_is(line, 0, "http-request"))
        return is_one_of(word_at(line, 1), RULES, COUNT_OF(RULES)) ||
               slice_starts_with(word_at(line, 1), SLICE("track-sc"));
    if (word_is(line, 0, "rate-limit"))
        return true;
    return word_is(line, 0, "tcp-request") && is_one_of(word_at(line, 1), PHASES, COUNT_OF(PHASES));
}

/* Another place than this machine's log, where the new file's lines go too. */
static bool is_log_elsewhere(struct slice target)
{
    static const char *const HERE[] = {"", "global", "stdout", "stderr"};
    return !is_one_of(target, HERE, COUNT_OF(HERE)) && !slice_starts_with(target, SLICE("/"));
}

/* What has an effect on requests, answers or logs, or listens, and is nothing that is looked at
 * elsewhere. */
static bool is_left(const struct line *line)
{
    static const char *const KINDS[] = {"http-response", "http-after-response",
                                        "http-error",    "tcp-response",
                                        "filter",        "reqadd",
                                        "rspadd",        "compression",
                                        "cookie",        "errorfiles",
                                        "errorloc",      "errorloc302",
                                        "errorloc303",   "monitor",
                                        "monitor-uri",   "unique-id-header"};
    if (word_is(line, 0, "log"))
        return is_log_elsewhere(word_at(line, 1));
    if (word_is(line, 0, "stats"))
        return word_is(line, 1, "enable") || word_is(line, 1, "uri") || word_is(line, 1, "auth");
    if (word_is(line, 0, "mode"))
        return !word_is(line, 1, "http");
    if (word_is(line, 0, "redirect"))
        return !word_is(line, 1, "scheme");
    return is_one_of(line->words[0], KINDS, COUNT_OF(KINDS));
}

static void judge_section(struct reading *reading, const struct line *line)
{
    static const char *const READ[] = {"global", "defaults", "frontend", "backend"};
    if (!is_one_of(line->words[0], READ, COUNT_OF(READ)))
        leave(reading, line, false);
}

/* What the new file tells every upstream. */
static bool is_told_anyway(struct slice header)
{
    static const char *const TOLD[] = {"X-Forwarded-For",  "X-Forwarded-Proto", "X-Forwarded-Host",
                                       "X-Forwarded-Port", "X-Real-IP",         "X-Client-IP"};
    for (size_t i = 0; i < COUNT_OF(TOLD); i++)
        if (slice_equal_nocase(header, slice_of(TOLD[i])))
            return true;
    return false;
}

static bool changes_header(const struct line *line)
{
    static const char *const ACTIONS[] = {"add-header", "set-header", "del-header"};
    return is_one_of(word_at(line, 1), ACTIONS, COUNT_OF(ACTIONS));
}

static void judge_http_request(struct reading *reading, const struct line *line)
{
    if (word_is(line, 1, "redirect") && word_is(line, 2, "scheme"))
        reading->has_redirect = true;
    else if (word_is(line, 1, "add-header") && is_told_anyway(word_at(line, 2)))
        add_note(reading, TUTORIAL_MENDED, line->number,
                 "add-header %.*s left the client's own value in front; now it is set, and the "
                 "client's is deleted",
                 SLICE_PRINT(word_at(line, 2)));
    else if (word_is(line, 1, "set-header") && word_is_nocase(line, 2, "x-forwarded-proto"))
        add_note(reading, TUTORIAL_MENDED, line->number,
                 "X-Forwarded-Proto was set over TLS only: on port 80 a client could claim https; "
                 "now it is always set");
    else if (changes_header(line))
        add_note(reading, TUTORIAL_LEFT, line->number,
                 "%.*s %.*s is not carried over: \"headers\" of a tenant sets headers, "
                 "\"strip_headers\" deletes them",
                 SLICE_PRINT(line->words[1]), SLICE_PRINT(word_at(line, 2)));
    else
        leave(reading, line, is_access(line));
}

/* "*:443", ":::80", "0.0.0.0:443": where the new file listens, too, unless told. */
static bool is_usual_bind(struct slice address)
{
    static const char *const ANY[] = {"", "*", "0.0.0.0", "::", "[::]", "ipv4@", "ipv6@"};
    const char *colon = memrchr(address.data, ':', address.size);
    size_t host_size = colon != NULL ? (size_t)(colon - address.data) : address.size;
    struct slice host = slice_head(address, host_size);
    struct slice port = slice_skip(address, host_size + (colon != NULL));
    return (slice_equal(port, SLICE("80")) || slice_equal(port, SLICE("443"))) &&
           is_one_of(host, ANY, COUNT_OF(ANY));
}

/* What a bind asked of its clients, and where it was. */
static void judge_bind_options(struct reading *reading, const struct line *line)
{
    static const struct {
        const char *word, *instead;
    } OPTIONS[] = {
        {"ca-file", "without it, clients without a certificate may come: \"client_ca_file\" of "
                    "\"haproxy\", and \"identity\" of a tenant with \"required\""},
        {"accept-proxy", "\"proxy_protocol\" of \"haproxy\" says who sends PROXY lines"},
        {"crt-list", "the agent keeps a list of its own"},
    };
    for (size_t i = 2; i < line->count; i++)
        for (size_t j = 0; j < COUNT_OF(OPTIONS); j++)
            if (word_is(line, i, OPTIONS[j].word))
                add_note(reading, TUTORIAL_LEFT, line->number,
                         "bind ... %s is not carried over: %s", OPTIONS[j].word,
                         OPTIONS[j].instead);
    if (!is_usual_bind(word_at(line, 1)))
        add_note(reading, TUTORIAL_LEFT, line->number,
                 "bind %.*s is not carried over: \"http\" and \"https\" of \"haproxy\" say where "
                 "HAProxy listens (all addresses, ports 80 and 443, unless told)",
                 SLICE_PRINT(word_at(line, 1)));
}

static void judge_bind(struct reading *reading, const struct line *line)
{
    if (line->count > 1)
        judge_bind_options(reading, line);
    for (size_t i = 2; i + 1 < line->count; i++)
        if (word_is(line, i, "crt"))
            add_note(reading, TUTORIAL_MENDED, line->number,
                     "certificates were read from %.*s, wherever they had been put; now the agent "
                     "puts them where HAProxy reads them",
                     SLICE_PRINT(line->words[i + 1]));
}

/* In use by the new file for all upstreams. */
static bool is_cas_of_system(struct slice path)
{
    static const char BUNDLE[] = "ca-certificates.crt";
    struct slice end = slice_skip(path, path.size - size_min(path.size, sizeof(BUNDLE) - 1));
    return slice_equal(path, SLICE("@system-ca")) || slice_equal(end, slice_of(BUNDLE));
}

#define BY_HAND "a backend that is written by hand can have it (\"backends\" of \"haproxy\")"

/* "send-proxy-v2" is a "send-proxy". */
static bool is_option(struct slice word, const char *option)
{
    struct slice kind = slice_starts_with(word, SLICE("send-proxy")) ? SLICE("send-proxy") : word;
    return slice_equal(kind, slice_of(option));
}

/* How a server was spoken to. */
static void judge_server_options(struct reading *reading, const struct line *line)
{
    static const struct {
        const char *word, *instead;
    } OPTIONS[] = {
        {"ca-file", "\"upstream_ca_file\" of \"haproxy\" is what https upstreams are verified "
                    "with, the system's CAs unless told"},
        {"crt", "the server is shown no certificate, and may refuse; " BY_HAND},
        {"send-proxy", "the server gets no PROXY line, and may wait for one; " BY_HAND},
        {"sni", "the server is asked by its address's name, or by \"server_name\" of "
                "\"upstream_tls\""},
        {"maxconn", BY_HAND},
        {"proto", BY_HAND},
        {"socks4", BY_HAND},
        {"source", BY_HAND},
    };
    /* Behind a server's name and address, which may be anything. */
    for (size_t i = word_is(line, 0, "server") ? 3 : 1; i < line->count; i++) {
        struct slice word = line->words[i], value = word_at(line, i + 1);
        bool is_carried = (slice_equal(word, SLICE("ca-file")) && is_cas_of_system(value)) ||
                          (slice_equal(word, SLICE("sni")) && is_name_for_tls(value));
        for (size_t j = 0; j < COUNT_OF(OPTIONS) && !is_carried; j++)
            if (is_option(word, OPTIONS[j].word))
                add_note(reading, TUTORIAL_LEFT, line->number,
                         "%.*s ... %.*s is not carried over: %s", SLICE_PRINT(line->words[0]),
                         SLICE_PRINT(word), OPTIONS[j].instead);
    }
}

/* Debian's own file has seven of them: to be told once is enough. */
static void judge_error_file(struct reading *reading, const struct line *line)
{
    if (!reading->has_error_file)
        add_note(reading, TUTORIAL_LEFT, line->number,
                 "errorfile: pages of your own are not carried over; lines of your own have their "
                 "places, between marks, in the new file");
    reading->has_error_file = true;
}

static void judge(struct reading *reading, const struct line *line)
{
    if (is_section(line))
        judge_section(reading, line);
    else if (word_is(line, 0, "timeout"))
        judge_timeout(reading, line);
    else if (word_is(line, 0, "http-request"))
        judge_http_request(reading, line);
    else if (word_is(line, 0, "redirect") && word_is(line, 1, "scheme"))
        reading->has_redirect = true;
    else if (word_is(line, 0, "bind"))
        judge_bind(reading, line);
    else if (word_is(line, 0, "server") || word_is(line, 0, "default-server"))
        judge_server_options(reading, line);
    else if (word_is(line, 0, "errorfile"))
        judge_error_file(reading, line);
    else if (word_is(line, 0, "option") && word_is(line, 1, "forwardfor"))
        add_note(reading, TUTORIAL_MENDED, line->number,
                 "option forwardfor kept what a client claimed in X-Forwarded-For; now there is "
                 "one line with one address");
    else if (word_is(line, 0, "option") &&
             word_is(line, 1, "h2-workaround-bogus-websocket-clients"))
        add_note(reading, TUTORIAL_MENDED, line->number,
                 "h2-workaround-bogus-websocket-clients is no such option, and HAProxy does not "
                 "start with it; WebSockets need no workaround");
    else if (is_access(line) || is_left(line))
        leave(reading, line, is_access(line));
}

static void judge_whole(struct reading *reading)
{
    if (reading->has_more)
        add_note(reading, TUTORIAL_LEFT, 0,
                 "the file has more than is read (%d lines; %d ACLs, %d servers, and as many hosts "
                 "and paths of a backend): the rest is not carried over",
                 LINES_MAX, ITEMS_MAX, ITEMS_MAX);
    if (!reading->has_frontend)
        return;
    if (!reading->has_redirect)
        add_note(reading, TUTORIAL_MENDED, 0,
                 "http was not redirected to https, so passwords went in clear text; now it is");
    if (!reading->has_default)
        add_note(reading, TUTORIAL_MENDED, 0,
                 "a host that nobody has got 503; now 404 (\"unknown_host\" tells another answer)");
    if (!reading->has_tunnel)
        add_note(reading, TUTORIAL_MENDED, 0,
                 "no timeout tunnel: WebSockets had a request's time; now 1 h of silence");
    if (reading->has_server && !reading->has_check)
        add_note(reading, TUTORIAL_MENDED, 0,
                 "no server was checked, and a dead one cost a client 2 minutes; now 5 s, and "
                 "\"backends\" with \"check\" watches");
}

/* -- Second pass: from conditions to tenants -------------------------------------------------- */

/* "[fd00::7]:3000" for HAProxy's "ipv6@fd00::7:3000", of which what is behind the last colon is the
 * port; others as they are. */
static char *server_address(struct slice text)
{
    struct ip ip;
    if (slice_starts_with(text, SLICE("ipv4@")) || slice_starts_with(text, SLICE("ipv6@")))
        text = slice_skip(text, 5);
    const char *colon = text.size > 0 ? memrchr(text.data, ':', text.size) : NULL;
    if (colon == NULL)
        return memory_copy_text(text);
    struct slice host = slice_head(text, (size_t)(colon - text.data));
    bool is_bare = ip_parse(host, &ip) && slice_has(host, ':');
    return memory_format(is_bare ? "[%.*s]%.*s" : "%.*s%.*s", SLICE_PRINT(host),
                         SLICE_PRINT(slice_skip(text, host.size)));
}

/* Why the server cannot be a tenant's upstream; NULL: it can. HAProxy took the certificate of any
 * host where it was told no name to verify. */
static const char *obstacle(const struct server *server)
{
    struct ip ip;
    uint16_t port;
    char *address = server_address(server->address);
    struct slice text = slice_of(address);
    bool is_name = !ip_parse_with_port(text, &ip, &port) && !ip_parse(text, &ip);
    bool is_socket = slice_starts_with(text, SLICE("/")) || slice_has(text, '@');
    bool verifies = server->options.tls && !server->options.no_verify;
    free(address);
    if (is_socket)
        return "its server is no host and port, as a tenant's upstream is";
    if (verifies && !is_name && server->options.name.size == 0)
        return "its server is an address, and nothing tells for which name its certificate has to "
               "be: put \"sni str(NAME)\" behind it (or \"verify none\"), and run this again";
    return NULL;
}

static struct tutorial_tenant *tenant_for(struct reading *reading, const struct server *server)
{
    struct tutorial *tutorial = reading->tutorial;
    for (size_t i = 0; i < tutorial->tenant_count; i++)
        if (slice_equal(slice_of(tutorial->tenants[i].backend), server->backend))
            return &tutorial->tenants[i];
    tutorial->tenants =
        memory_resize(tutorial->tenants, tutorial->tenant_count + 1, sizeof(*tutorial->tenants));
    struct tutorial_tenant *tenant = &tutorial->tenants[tutorial->tenant_count++];
    *tenant = (struct tutorial_tenant){
        .backend = memory_copy_text(server->backend),
        .server = server_address(server->address),
        .tls = server->options.tls,
        .no_verify = server->options.no_verify,
        .server_name =
            server->options.name.size > 0 ? memory_copy_text(server->options.name) : NULL,
    };
    return tenant;
}

static char *host_text(const char *before, struct slice value)
{
    char *text = memory_format("%s%.*s", before, SLICE_PRINT(value));
    ascii_lower_text(text);
    return text;
}

enum { HOSTS_OF_VALUE_MAX = 2 };

/* The hosts that a value means; what ends with a name without a dot is the name itself too. */
static size_t hosts_of(const struct acl *acl, struct slice value, char *hosts[HOSTS_OF_VALUE_MAX])
{
    size_t count = 0;
    value = slice_before(value, ':'); /* without a port */
    bool ends = acl->condition == ON_HOST_END;
    bool has_dot = slice_starts_with(value, SLICE("."));
    if (!ends || !has_dot)
        hosts[count++] = host_text("", value);
    if (ends)
        hosts[count++] = host_text("*.", slice_skip(value, has_dot ? 1 : 0));
    return count;
}

static void add_host(struct reading *reading, struct tutorial_tenant *tenant, char *host)
{
    bool is_there = false;
    for (size_t i = 0; i < tenant->host_count && !is_there; i++)
        is_there = strcmp(tenant->hosts[i], host) == 0;
    if (is_there || is_full(reading, tenant->host_count)) {
        free(host);
        return;
    }
    tenant->hosts = memory_resize(tenant->hosts, tenant->host_count + 1, sizeof(*tenant->hosts));
    tenant->hosts[tenant->host_count++] = host;
}

static void add_path(struct reading *reading, struct tutorial_tenant *tenant, const char *host,
                     struct slice prefix)
{
    for (size_t i = 0; i < tenant->path_count; i++) {
        const struct tutorial_path *path = &tenant->paths[i];
        bool same_host =
            host == NULL || path->host == NULL ? host == path->host : strcmp(host, path->host) == 0;
        if (same_host && slice_equal(prefix, slice_of(path->prefix)))
            return;
    }
    if (is_full(reading, tenant->path_count))
        return;
    tenant->paths = memory_resize(tenant->paths, tenant->path_count + 1, sizeof(*tenant->paths));
    tenant->paths[tenant->path_count++] =
        (struct tutorial_path){memory_copy_optional(host), memory_copy_text(prefix)};
}

/* The criteria of one term: an ACL's lines, or what stands in braces. */
struct term {
    struct acl *found;
    size_t count;
};

static struct acl *add_criterion(struct term *term, struct acl acl)
{
    term->found = memory_resize(term->found, term->count + 1, sizeof(*term->found));
    term->found[term->count] = acl;
    return &term->found[term->count++];
}

/* Reads the term at words[*at] and moves behind it; false for what cannot be carried over. */
static bool read_term(const struct reading *reading, const struct line *line, size_t *at,
                      struct term *term)
{
    struct slice word = line->words[*at];
    *term = (struct term){0};
    if (slice_equal(word, SLICE("{"))) {
        size_t end = *at + 1;
        while (end < line->count && !word_is(line, end, "}"))
            end++;
        read_criterion(line, *at + 1, end, add_criterion(term, (struct acl){0}));
        *at = end + 1;
    } else {
        for (size_t i = 0; i < reading->acl_count; i++)
            if (reading->acls[i].section == reading->section &&
                slice_equal(reading->acls[i].name, word))
                (void)add_criterion(term, reading->acls[i]);
        (*at)++;
    }
    bool good = term->count > 0;
    for (size_t i = 0; i < term->count; i++)
        good = good && term->found[i].condition < ON_WHOLE_PATH && term->found[i].value_count > 0;
    return good;
}

static void take_alternative(struct reading *reading, struct tutorial_tenant *tenant,
                             const struct acl *acl)
{
    char *hosts[HOSTS_OF_VALUE_MAX];
    for (size_t i = 0; i < acl->value_count; i++) {
        if (acl->condition == ON_PATH) {
            add_path(reading, tenant, NULL, acl->values[i]);
            continue;
        }
        size_t count = hosts_of(acl, acl->values[i], hosts);
        for (size_t j = 0; j < count; j++)
            add_host(reading, tenant, hosts[j]);
    }
}

static void take_paths(struct reading *reading, struct tutorial_tenant *tenant, const char *host,
                       const struct term *paths)
{
    for (size_t i = 0; i < paths->count; i++)
        for (size_t j = 0; j < paths->found[i].value_count; j++)
            add_path(reading, tenant, host, paths->found[i].values[j]);
}

/* A host and a path that must both fit: the path of that host. */
static void take_pair(struct reading *reading, struct tutorial_tenant *tenant,
                      const struct term *hosts, const struct term *paths)
{
    char *names[HOSTS_OF_VALUE_MAX];
    for (size_t i = 0; i < hosts->count; i++) {
        const struct acl *acl = &hosts->found[i];
        for (size_t j = 0; j < acl->value_count; j++) {
            size_t count = hosts_of(acl, acl->values[j], names);
            for (size_t k = 0; k < count; k++) {
                take_paths(reading, tenant, names[k], paths);
                free(names[k]);
            }
        }
    }
}

static bool is_all(const struct term *term, bool path)
{
    for (size_t i = 0; i < term->count; i++)
        if ((term->found[i].condition == ON_PATH) != path)
            return false;
    return true;
}

static bool is_challenge(const struct term *term)
{
    return term->count == 1 && term->found[0].condition == ON_PATH &&
           slice_starts_with(term->found[0].values[0], SLICE(ACME_PATH));
}

/* What must all hold. */
struct group {
    struct term terms[2];
    size_t count;
};

/* The terms up to "or" or the line's end; false for what cannot be carried over. */
static bool read_group(const struct reading *reading, const struct line *line, size_t *at,
                       struct group *group)
{
    bool good = true;
    while (*at < line->count && !word_is(line, *at, "or") && !word_is(line, *at, "||")) {
        struct term term;
        good = read_term(reading, line, at, &term) && good && group->count < COUNT_OF(group->terms);
        if (good)
            group->terms[group->count++] = term;
        else
            free(term.found);
    }
    return good && group->count > 0;
}

static bool take_group(struct reading *reading, const struct server *server,
                       const struct group *group, unsigned line)
{
    const struct term *first = &group->terms[0], *last = &group->terms[group->count - 1];
    if (is_challenge(first) || is_challenge(last)) {
        add_note(reading, TUTORIAL_MENDED, line,
                 "challenges went to certbot, which had to be run; the agent answers them, and "
                 "renews without a restart");
        return true;
    }
    if (group->count == 1) {
        for (size_t i = 0; i < first->count; i++)
            take_alternative(reading, tenant_for(reading, server), &first->found[i]);
        return true;
    }
    const struct term *hosts = is_all(first, false) ? first : last;
    const struct term *paths = hosts == first ? last : first;
    if (!is_all(hosts, false) || !is_all(paths, true))
        return false;
    take_pair(reading, tenant_for(reading, server), hosts, paths);
    return true;
}

static void group_fini(struct group *group)
{
    for (size_t i = 0; i < group->count; i++)
        free(group->terms[i].found);
}

static void take_use_backend(struct reading *reading, const struct line *line)
{
    const struct server *server = line->count > 1 ? find_server(reading, line->words[1]) : NULL;
    size_t at = 3;
    if (server == NULL || !word_is(line, 2, "if")) {
        add_note(reading, TUTORIAL_LEFT, line->number, "use_backend is not carried over: %s",
                 server == NULL ? "the backend has no server" : "it has no condition with \"if\"");
        return;
    }
    if (server->count > 1) {
        add_note(reading, TUTORIAL_LEFT, line->number,
                 "backend %.*s is not carried over: it has %zu servers, which belong into "
                 "\"haproxy\": {\"backends\": ...}",
                 SLICE_PRINT(server->backend), server->count);
        return;
    }
    const char *why = obstacle(server);
    if (why != NULL) {
        add_note(reading, TUTORIAL_LEFT, server->line, "backend %.*s is not carried over: %s",
                 SLICE_PRINT(server->backend), why);
        return;
    }
    while (at < line->count) {
        struct group group = {0};
        if (!read_group(reading, line, &at, &group) ||
            !take_group(reading, server, &group, line->number))
            add_note(reading, TUTORIAL_LEFT, line->number,
                     "use_backend %.*s: a condition is not carried over, because it is not about "
                     "host and path alone",
                     SLICE_PRINT(server->backend));
        group_fini(&group);
        at++; /* "or" */
    }
}

static void judge_routes(struct reading *reading, const struct line *line)
{
    if (word_is(line, 0, "acl") && line->count > 2) {
        enum condition condition = condition_of(line->words[2]);
        bool challenge =
            line->count > 3 && slice_starts_with(line->words[line->count - 1], SLICE(ACME_PATH));
        if (condition == ON_HOST)
            add_note(
                reading, TUTORIAL_MENDED, line->number,
                "a host with a port or a dot behind it did not match and got 503; now it does");
        else if (condition == ON_PATH && !challenge)
            add_note(reading, TUTORIAL_MENDED, line->number,
                     "Open WebUI has no base path (open-webui#25971): a path cannot serve its "
                     "pages; it can lead to the tenant's host (\"paths\")");
    } else if (word_is(line, 0, "use_backend")) {
        take_use_backend(reading, line);
    } else if (word_is(line, 0, "default_backend") && line->count > 1) {
        add_note(reading, TUTORIAL_LEFT, line->number,
                 "default_backend %.*s is not carried over: hosts that nobody has get 404; "
                 "\"unknown_host\" can name a tenant",
                 SLICE_PRINT(line->words[1]));
    }
}

static int compare_notes(const void *a, const void *b)
{
    const struct tutorial_note *left = a, *right = b;
    return left->line < right->line ? -1 : left->line > right->line;
}

static void enter_section(struct reading *reading, const struct line *line)
{
    if (word_is(line, 0, "defaults"))
        reading->usual_by_defaults = (struct server_options){0};
    reading->section = line->number;
    reading->section_name = word_at(line, 1);
    reading->usual = reading->usual_by_defaults;
    reading->has_frontend |= word_is(line, 0, "frontend") || word_is(line, 0, "listen");
    reading->is_defaults = word_is(line, 0, "defaults");
}

static void collect(struct reading *reading, const struct line *line)
{
    if (is_section(line)) {
        enter_section(reading, line);
    } else if (word_is(line, 0, "acl")) {
        take_acl(reading, line);
    } else if (word_is(line, 0, "default-server")) {
        read_server_options(line, 1, &reading->usual);
        if (reading->is_defaults)
            reading->usual_by_defaults = reading->usual;
    } else if (word_is(line, 0, "server")) {
        take_server(reading, line);
    } else if (word_is(line, 0, "default_backend")) {
        reading->has_default = true;
    }
}

void tutorial_read(struct slice text, struct tutorial *tutorial)
{
    struct reading reading = {.tutorial = tutorial};
    struct line line = {0};
    struct slice rest = text;

    *tutorial = (struct tutorial){0};
    while (next_line(&rest, &line))
        collect(&reading, &line);
    reading.has_more |= line.number == LINES_MAX && rest.size > 0;
    rest = text;
    line.number = 0;
    reading.section = 0;
    while (next_line(&rest, &line)) {
        if (is_section(&line))
            reading.section = line.number;
        judge(&reading, &line);
        judge_routes(&reading, &line);
    }
    judge_whole(&reading);
    if (tutorial->note_count > 0)
        qsort(tutorial->notes, tutorial->note_count, sizeof(*tutorial->notes), compare_notes);
    free(reading.acls);
    free(reading.servers);
}

char *tutorial_doors(struct slice text)
{
    struct line line = {0};
    char *doors = NULL;
    for (size_t count = 0; next_line(&text, &line);) {
        if (!word_is(&line, 0, "frontend") && !word_is(&line, 0, "listen"))
            continue;
        if (++count > DOORS_MAX)
            continue;
        char *longer = count == DOORS_MAX
                           ? memory_format("%s and others", doors)
                           : memory_format("%s%s%.*s %.*s", doors != NULL ? doors : "",
                                           doors != NULL ? ", " : "", SLICE_PRINT(line.words[0]),
                                           SLICE_PRINT(word_at(&line, 1)));
        free(doors);
        doors = longer;
    }
    return doors;
}

void tutorial_fini(struct tutorial *tutorial)
{
    for (size_t i = 0; i < tutorial->tenant_count; i++) {
        struct tutorial_tenant *tenant = &tutorial->tenants[i];
        for (size_t j = 0; j < tenant->host_count; j++)
            free(tenant->hosts[j]);
        for (size_t j = 0; j < tenant->path_count; j++) {
            free(tenant->paths[j].host);
            free(tenant->paths[j].prefix);
        }
        free(tenant->hosts);
        free(tenant->paths);
        free(tenant->backend);
        free(tenant->server);
        free(tenant->server_name);
    }
    for (size_t i = 0; i < tutorial->note_count; i++)
        free(tutorial->notes[i].text);
    free(tutorial->tenants);
    free(tutorial->notes);
    *tutorial = (struct tutorial){0};
}
