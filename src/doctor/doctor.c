/* `owui-spoa doctor`: questions, findings, and what is printed. See doctor.h. */
#include "doctor.h"

#include "admin/admin_client.h"
#include "agent/answer.h"
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/terminal.h"
#include "cli/view.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/sorted.h"
#include "sidecar/loopback.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    PROBES_AT_ONCE = 32,
    PROBE_MS = 5000,
    SECONDS_DEFAULT = 20,
    SECONDS_MAX = 3600,
    TOKEN_MAX_BYTES = 8192,
    DNS_TRY_MS = 1500,
    DNS_TRIES = 2,
};

/* -- Memory ------------------------------------------------------------------------------------ */

struct kept {
    struct kept *next;
    void *block;
};

static void *keep(struct doctor *doctor, void *block)
{
    struct kept *kept = memory_new(sizeof(*kept));
    kept->block = block;
    kept->next = doctor->kept;
    doctor->kept = kept;
    return block;
}

void *doctor_keep(struct doctor *doctor, size_t size)
{
    return keep(doctor, memory_new(size));
}

char *doctor_format(struct doctor *doctor, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = memory_format_list(format, arguments);
    va_end(arguments);
    return keep(doctor, text);
}

static void forget(struct doctor *doctor)
{
    while (doctor->kept != NULL) {
        struct kept *kept = doctor->kept;
        doctor->kept = kept->next;
        free(kept->block);
        free(kept);
    }
}

/* -- Questions --------------------------------------------------------------------------------- */

struct probe_job {
    struct doctor *doctor;
    const struct http_probe *probe;
    const struct http_look *look; /* instead of `probe` */
    http_probed_fn *on_probed;
    void *context;
    struct probe_job *next;
};

void doctor_begin(struct doctor *doctor)
{
    doctor->under_way++;
}

void doctor_end(struct doctor *doctor)
{
    if (--doctor->under_way == 0)
        main_loop_stop(doctor->loop);
}

static void ask_next(struct doctor *doctor);

static void on_job_probed(void *context, const struct http_probe_answer *answer)
{
    struct probe_job *job = context;
    struct doctor *doctor = job->doctor;
    doctor->asking--;
    job->on_probed(job->context, answer);
    ask_next(doctor);
    doctor_end(doctor);
}

static void start(struct probe_job *job)
{
    struct http_client *client = job->doctor->client;
    const struct http_probe_answer none = {.result = HTTP_PROBE_BROKEN,
                                           .failure = "there is no memory for it"};
    struct http_exchange *exchange =
        job->look != NULL ? http_client_look(client, job->look, on_job_probed, job)
                          : http_client_probe(client, job->probe, on_job_probed, job);
    job->doctor->asking++;
    if (exchange == NULL)
        on_job_probed(job, &none);
}

static void ask_next(struct doctor *doctor)
{
    while (doctor->first_job != NULL && doctor->asking < PROBES_AT_ONCE) {
        struct probe_job *job = doctor->first_job;
        doctor->first_job = job->next;
        if (job->next == NULL)
            doctor->last_job = &doctor->first_job;
        start(job);
    }
}

static void enqueue(struct doctor *doctor, const struct probe_job *wanted)
{
    struct probe_job *job = doctor_keep(doctor, sizeof(*job));
    *job = *wanted;
    job->doctor = doctor;
    *doctor->last_job = job;
    doctor->last_job = &job->next;
    doctor_begin(doctor);
    ask_next(doctor);
}

void doctor_probe(struct doctor *doctor, const struct http_probe *probe, http_probed_fn *on_probed,
                  void *context)
{
    enqueue(doctor,
            &(struct probe_job){.probe = probe, .on_probed = on_probed, .context = context});
}

void doctor_look(struct doctor *doctor, const struct http_look *look, http_probed_fn *on_probed,
                 void *context)
{
    enqueue(doctor, &(struct probe_job){.look = look, .on_probed = on_probed, .context = context});
}

/* -- Findings ---------------------------------------------------------------------------------- */

void doctor_find(struct doctor *doctor, enum doctor_severity severity, enum doctor_check check,
                 const char *tenant, const char *about, char *fix, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    doctor->findings =
        memory_resize(doctor->findings, doctor->finding_count + 1, sizeof(*doctor->findings));
    doctor->findings[doctor->finding_count++] = (struct finding){
        .severity = severity,
        .check = check,
        .tenant = memory_copy_optional(tenant),
        .about = memory_copy_optional(about),
        .message = memory_format_list(format, arguments),
        .fix = fix,
    };
    va_end(arguments);
}

void doctor_made(struct doctor *doctor, enum doctor_check check)
{
    doctor->made[check]++;
}

char *doctor_place(const struct tenant *tenant)
{
    return memory_format("%s:%u", tenant->place.file, (unsigned)tenant->place.line);
}

/* What concerns everybody first; then by tenant, host and kind, whoever was answered first. */
static int compare_findings(const void *a, const void *b)
{
    const struct finding *x = a;
    const struct finding *y = b;
    int order = strcmp(x->tenant != NULL ? x->tenant : "", y->tenant != NULL ? y->tenant : "");
    if (order == 0)
        order = (int)x->check - (int)y->check;
    if (order == 0)
        order = strcmp(x->about != NULL ? x->about : "", y->about != NULL ? y->about : "");
    return order != 0 ? order : strcmp(x->message, y->message);
}

static const char *doctor_severity_name(enum doctor_severity severity)
{
    static const char *const NAMES[] = {"note", "warning", "error"};
    return NAMES[severity];
}

static const char *check_name(size_t check)
{
    static const char *const NAMES[] = {
#define X(NAME, TEXT, ABOUT) TEXT,
        DOCTOR_CHECK_TABLE(X)
#undef X
    };
    return NAMES[check];
}

static const char *check_about(size_t check)
{
    static const char *const ABOUTS[] = {
#define X(NAME, TEXT, ABOUT) ABOUT,
        DOCTOR_CHECK_TABLE(X)
#undef X
    };
    return ABOUTS[check];
}

/* -- The configuration and the daemon ---------------------------------------------------------- */

static void look_at_configuration(struct doctor *doctor, const struct diagnostics *diagnostics)
{
    doctor_made(doctor, DOCTOR_CONFIGURATION);
    doctor->sees_part = diagnostics_tell_of_permission(diagnostics);
    if (doctor->sees_part)
        doctor_find(doctor, DOCTOR_NOTE, DOCTOR_CONFIGURATION, NULL, doctor->configuration_path,
                    memory_format("sudo owui-spoa doctor"),
                    "not all of it may be read by you: what is there besides is not looked at");
    else if (diagnostics->errors > 0)
        doctor_find(doctor, DOCTOR_ERROR, DOCTOR_CONFIGURATION, NULL, doctor->configuration_path,
                    memory_format("owui-spoa check -c %s", doctor->configuration_path),
                    "%zu mistake%s: what is wrong is not served, or as it last was right",
                    diagnostics->errors, plural_s(diagnostics->errors));
    else if (route_table_tenant_count(doctor->whole.table) == 0)
        doctor_find(doctor, DOCTOR_WARNING, DOCTOR_CONFIGURATION, NULL, doctor->configuration_path,
                    memory_format("owui-spoa setup HOST --upstream ADDRESS"), "there is no tenant");
}

static bool is_same_file(struct slice told, const char *path)
{
    char *other = memory_copy_text(told);
    bool is_same = file_is_same(other, path);
    free(other);
    return is_same;
}

static void look_at_status(struct doctor *doctor, const struct json *status, const char *socket)
{
    bool serving = false;
    if (json_read_bool(json_get(status, "serving"), &serving) && !serving)
        doctor_find(doctor, DOCTOR_ERROR, DOCTOR_DAEMON, NULL, socket,
                    memory_format("journalctl -u owui-spoa"),
                    "the daemon is starting or stopping, and serves nobody");
    if (!is_same_file(json_get_text(status, "configuration"), doctor->configuration_path))
        doctor_find(doctor, DOCTOR_NOTE, DOCTOR_DAEMON, NULL, socket,
                    memory_format("owui-spoa doctor -c %.*s",
                                  SLICE_PRINT(json_get_text(status, "configuration"))),
                    "the daemon reads %.*s, and this was asked about %s",
                    SLICE_PRINT(json_get_text(status, "configuration")),
                    doctor->configuration_path);
}

/* What waits for somebody, in the daemon's words. Of HAProxy's files there is a check of its own.
 */
static void look_at_notices(struct doctor *doctor, const struct json *notices, const char *socket)
{
    for (size_t i = 0; i < json_count(notices); i++) {
        const struct json *notice = json_at(notices, i);
        struct slice message = json_get_text(notice, "message");
        if (message.size > 0 &&
            !slice_equal(json_get_text(notice, "kind"), SLICE("haproxy_config_differs")))
            doctor_find(doctor, DOCTOR_WARNING, DOCTOR_DAEMON, NULL, socket,
                        memory_copy_text(json_get_text(notice, "hint")), "%.*s",
                        SLICE_PRINT(message));
    }
}

/* What it knows of certificates is compared with what is shown; without it there is less to say. */
static void look_at_daemon(struct doctor *doctor)
{
    const char *socket = doctor->whole.configuration->admin_socket;
    struct error_text why;
    unsigned code = 0;
    struct json *status = admin_request(socket, "GET", "/v1/status", NULL, &code, &why);
    doctor_made(doctor, DOCTOR_DAEMON);
    if (status == NULL) {
        bool denied = access(socket, W_OK) != 0 && errno == EACCES;
        doctor_find(doctor, denied ? DOCTOR_NOTE : DOCTOR_ERROR, DOCTOR_DAEMON, NULL, socket,
                    memory_format(denied ? "sudo owui-spoa doctor"
                                         : "systemctl start owui-spoa; journalctl -u owui-spoa"),
                    "the daemon cannot be asked: %s", why.text);
        return;
    }
    look_at_status(doctor, status, socket);
    look_at_notices(doctor, json_get(status, "notices"), socket);
    json_free(status);
    doctor->certificates = admin_request(socket, "GET", "/v1/certificates", NULL, &code, &why);
    if (doctor->certificates != NULL && code >= 400) {
        json_free(doctor->certificates);
        doctor->certificates = NULL;
    }
}

/* -- Tenants ----------------------------------------------------------------------------------- */

static const char *name_at(const void *doctor, size_t index)
{
    return ((const struct doctor *)doctor)->path_hosts[index];
}

/* Once, of a host on which tenants have paths alone. */
static void look_at_path_host(struct doctor *doctor, const struct tenant *tenant, const char *host)
{
    struct route_match match;
    bool is_there;
    size_t place = sorted_place(doctor, doctor->path_host_count, name_at, host, &is_there);
    route_table_find(doctor->whole.table, slice_of(host), SLICE("/"), &match);
    if (is_there || match.tenant != NULL)
        return;
    size_t count = doctor->path_host_count++;
    if ((count & (count + 1)) == 0)
        doctor->path_hosts =
            memory_resize(doctor->path_hosts, count * 2 + 2, sizeof(*doctor->path_hosts));
    memmove(doctor->path_hosts + place + 1, doctor->path_hosts + place,
            (count - place) * sizeof(*doctor->path_hosts));
    doctor->path_hosts[place] = host;
    doctor_path_host(doctor, tenant, host);
}

static void look_at_tenant(void *context, const struct tenant *tenant)
{
    struct doctor *doctor = context;
    if (doctor->only_tenant != NULL && strcmp(doctor->only_tenant, tenant->name) != 0)
        return;
    for (size_t i = 0; i < tenant->host_count; i++)
        if (tenant->hosts[i].wildcard)
            doctor_wildcard(doctor, tenant, tenant->hosts[i].name);
        else
            doctor_host(doctor, tenant, tenant->hosts[i].name);
    for (size_t i = 0; i < tenant->path_count; i++)
        if (!tenant->paths[i].wildcard)
            look_at_path_host(doctor, tenant, tenant->paths[i].host);
    /* Those of a tenant that is suspended may be off for as long. */
    for (size_t i = 0; tenant->suspended == NULL && i < tenant_upstream_count(tenant); i++)
        doctor_server(doctor, tenant, tenant_upstream_peek(tenant, i));
}

/* -- All of it --------------------------------------------------------------------------------- */

static void on_end(void *context)
{
    struct doctor *doctor = context;
    doctor->is_late = true;
    main_loop_stop(doctor->loop);
}

static bool open_doctor(struct doctor *doctor)
{
    const struct configuration *configuration = doctor->whole.configuration;
    const struct hap_config *haproxy = &configuration->haproxy;
    const struct http_client_settings http = {
        .ca_file = haproxy->upstream_ca_file,
        .timeout_ms = PROBE_MS,
        .connect_ms = PROBE_MS,
        .at_once = PROBES_AT_ONCE,
    };
    const struct dns_client_settings dns = {
        .nameservers = (const char *const *)configuration->nameservers,
        .nameserver_count = configuration->nameserver_count,
        .try_ms = DNS_TRY_MS,
        .tries = DNS_TRIES,
        .whole_names = true,
    };
    struct error_text why;
    doctor->last_job = &doctor->first_job;
    doctor->http = loopbacks_of_binds(haproxy->http, haproxy->http_count);
    doctor->https = loopbacks_of_binds(haproxy->https, haproxy->https_count);
    doctor->loop = main_loop_new(&why);
    if (doctor->loop != NULL)
        doctor->client = http_client_new(doctor->loop, &http, &why);
    if (doctor->client != NULL)
        doctor->dns = dns_client_new(doctor->loop, &dns, &why);
    if (doctor->dns == NULL) {
        terminal_complain("%s", why.text);
        return false;
    }
    doctor->end = main_timer_new(doctor->loop, on_end, doctor);
    return true;
}

static void close_doctor(struct doctor *doctor)
{
    dns_client_free(doctor->dns);
    http_client_free(doctor->client);
    doctor_haproxy_close(doctor);
    main_timer_free(doctor->end);
    main_loop_free(doctor->loop);
    for (size_t i = 0; i < doctor->finding_count; i++) {
        free(doctor->findings[i].tenant);
        free(doctor->findings[i].about);
        free(doctor->findings[i].message);
        free(doctor->findings[i].fix);
    }
    free(doctor->findings);
    free(doctor->path_hosts);
    loopbacks_free(doctor->http);
    loopbacks_free(doctor->https);
    json_free(doctor->certificates);
    forget(doctor);
    whole_fini(&doctor->whole);
}

static void examine(struct doctor *doctor, unsigned seconds)
{
    doctor_begin(doctor); /* so that nothing ends before all has begun */
    look_at_daemon(doctor);
    doctor_haproxy(doctor);
    route_table_each_tenant(doctor->whole.table, look_at_tenant, doctor);
    if (doctor->under_way > 1) {
        doctor->under_way--;
        main_timer_once(doctor->end, (int64_t)seconds * 1000);
        main_loop_run(doctor->loop);
    }
    if (doctor->is_late)
        doctor_find(doctor, DOCTOR_WARNING, DOCTOR_DAEMON, NULL, NULL,
                    memory_format("owui-spoa doctor --seconds %u", seconds * 3),
                    "time was up after %u s, and %zu questions were not answered", seconds,
                    doctor->under_way);
    if (doctor->finding_count > 0)
        qsort(doctor->findings, doctor->finding_count, sizeof(*doctor->findings), compare_findings);
}

/* -- For people -------------------------------------------------------------------------------- */

static void print_finding(const struct finding *finding, unsigned columns, bool has_colours)
{
    static const enum terminal_style STYLES[] = {TERMINAL_PLAIN, TERMINAL_YELLOW, TERMINAL_RED};
    enum { INDENT = 9 };
    char *first = memory_format("%s%-*s%s", terminal_style(STYLES[finding->severity], has_colours),
                                INDENT, doctor_severity_name(finding->severity),
                                terminal_style(TERMINAL_PLAIN, has_colours));
    char *text =
        memory_format("%s%s%s: %s", check_name(finding->check), finding->about != NULL ? ", " : "",
                      finding->about != NULL ? finding->about : "", finding->message);
    terminal_wrap(first, INDENT, text, columns);
    if (finding->fix != NULL)
        terminal_wrap("      -> ", INDENT, finding->fix, columns);
    free(first);
    free(text);
}

/* Those that are about one tenant, or about none, lie side by side. */
static size_t count_alike(const struct doctor *doctor, size_t first, enum doctor_severity *worst)
{
    const struct finding *findings = doctor->findings;
    size_t count = 0;
    *worst = DOCTOR_NOTE;
    for (; first + count < doctor->finding_count; count++) {
        const struct finding *one = &findings[first + count];
        const char *tenant = findings[first].tenant;
        if ((tenant == NULL) != (one->tenant == NULL) ||
            (tenant != NULL && strcmp(tenant, one->tenant) != 0))
            break;
        if (one->severity > *worst)
            *worst = one->severity;
    }
    return count;
}

/* Tenants with errors come before those with warnings. Of thousands with the same trouble, a screen
 * full is enough. */
static void print_findings(const struct doctor *doctor)
{
    enum { TENANTS_MAX = 20 };
    unsigned columns = terminal_columns();
    bool has_colours = terminal_has_colours();
    size_t shown = 0, hidden = 0;
    for (int severity = DOCTOR_ERROR; severity >= DOCTOR_NOTE; severity--) {
        enum doctor_severity worst;
        for (size_t i = 0, count; i < doctor->finding_count; i += count) {
            const char *tenant = doctor->findings[i].tenant;
            count = count_alike(doctor, i, &worst);
            /* What is about no tenant comes before all others, whatever it is. */
            if (tenant == NULL ? severity != DOCTOR_ERROR : (int)worst != severity)
                continue;
            if (tenant != NULL && shown == TENANTS_MAX) {
                hidden++;
                continue;
            }
            if (tenant != NULL)
                printf("%s%s%s%s\n", i > 0 || shown > 0 ? "\n" : "",
                       terminal_style(TERMINAL_BOLD, has_colours), tenant,
                       terminal_style(TERMINAL_PLAIN, has_colours));
            shown += tenant != NULL;
            for (size_t j = 0; j < count; j++)
                print_finding(&doctor->findings[i + j], columns, has_colours);
        }
    }
    if (hidden > 0)
        printf("\nand %zu tenants more: owui-spoa doctor TENANT, or --json for all\n", hidden);
}

static void count_findings(const struct doctor *doctor, size_t counts[static 3])
{
    counts[DOCTOR_NOTE] = counts[DOCTOR_WARNING] = counts[DOCTOR_ERROR] = 0;
    for (size_t i = 0; i < doctor->finding_count; i++)
        counts[doctor->findings[i].severity]++;
}

static void print_summary(const struct doctor *doctor)
{
    size_t counts[3];
    count_findings(doctor, counts);
    if (doctor->finding_count > 0)
        printf("\n%zu error%s, %zu warning%s, %zu note%s. ", counts[DOCTOR_ERROR],
               plural_s(counts[DOCTOR_ERROR]), counts[DOCTOR_WARNING],
               plural_s(counts[DOCTOR_WARNING]), counts[DOCTOR_NOTE],
               plural_s(counts[DOCTOR_NOTE]));
    else
        fputs("Nothing was found. ", stdout);
    puts("Looked at:\n");
    for (size_t i = 0; i < COUNT_OF(doctor->made); i++)
        if (doctor->made[i] > 0)
            printf("  %-14s %4zu  %s\n", check_name(i), doctor->made[i], check_about(i));
}

/* -- For scripts ------------------------------------------------------------------------------- */

static void print_json(const struct doctor *doctor)
{
    struct json *root = json_new_object();
    struct json *findings = json_new_array();
    struct json *checks = json_new_object();
    for (size_t i = 0; i < doctor->finding_count; i++) {
        const struct finding *finding = &doctor->findings[i];
        struct json *one = json_new_object();
        json_put_text(one, "severity", slice_of(doctor_severity_name(finding->severity)));
        json_put_text(one, "check", slice_of(check_name(finding->check)));
        if (finding->tenant != NULL)
            json_put_text(one, "tenant", slice_of(finding->tenant));
        if (finding->about != NULL)
            json_put_text(one, "about", slice_of(finding->about));
        json_put_text(one, "message", slice_of(finding->message));
        if (finding->fix != NULL)
            json_put_text(one, "fix", slice_of(finding->fix));
        json_append(findings, one);
    }
    for (size_t i = 0; i < COUNT_OF(doctor->made); i++)
        json_put_integer(checks, check_name(i), (int64_t)doctor->made[i]);
    json_put(root, "findings", findings);
    json_put(root, "checks", checks);
    ask_print_json(root);
    json_free(root);
}

/* -- The command ------------------------------------------------------------------------------- */

struct wish {
    const char *configuration;
    const char *tenant;
    const char *token_file;
    unsigned seconds;
    bool json;
};

/* It goes to the tenant and nowhere else. False, told, when it cannot be read. */
static bool read_token(struct doctor *doctor, const char *path)
{
    char *line = doctor_keep(doctor, TOKEN_MAX_BYTES);
    FILE *file = path != NULL ? fopen(path, "re") : NULL;
    errno = file != NULL ? 0 : errno;
    bool good = path == NULL || (file != NULL && fgets(line, TOKEN_MAX_BYTES, file) != NULL &&
                                 strcspn(line, " \r\n") > 0);
    if (!good)
        terminal_complain("--token-file %s: there is no token in it: %s", path,
                          errno != 0 ? strerror(errno) : "it is empty");
    if (file != NULL)
        fclose(file);
    if (!good)
        return false;
    line[strcspn(line, " \r\n")] = '\0';
    doctor->token = path != NULL ? line : NULL;
    return true;
}

static int tell(const struct doctor *doctor, bool as_json)
{
    size_t counts[3];
    count_findings(doctor, counts);
    if (as_json) {
        print_json(doctor);
    } else {
        print_findings(doctor);
        print_summary(doctor);
    }
    return counts[DOCTOR_ERROR] + counts[DOCTOR_WARNING] > 0 ? EXIT_BAD : EXIT_GOOD;
}

static bool knows_tenant(const struct doctor *doctor)
{
    if (doctor->only_tenant == NULL ||
        route_table_tenant(doctor->whole.table, slice_of(doctor->only_tenant)) != NULL)
        return true;
    terminal_complain("there is no tenant \"%s\", or it is wrong; `owui-spoa tenants` lists them, "
                      "`owui-spoa check` tells what is wrong",
                      doctor->only_tenant);
    return false;
}

static int perform(const struct wish *wish)
{
    struct doctor doctor = {.configuration_path = wish->configuration, .only_tenant = wish->tenant};
    struct diagnostics diagnostics = {0};
    int code = EXIT_WRONG;
    bool good = whole_load(wish->configuration, answer_prepare, &doctor.whole, &diagnostics);
    if (doctor.whole.configuration == NULL) {
        configuration_free(ask_configuration(wish->configuration)); /* which tells why */
    } else if (knows_tenant(&doctor) && read_token(&doctor, wish->token_file) &&
               open_doctor(&doctor)) {
        (void)good; /* what is wrong is one of the findings */
        look_at_configuration(&doctor, &diagnostics);
        examine(&doctor, wish->seconds);
        code = tell(&doctor, wish->json);
    }
    close_doctor(&doctor);
    diagnostics_fini(&diagnostics);
    return code;
}

static const struct command_usage USAGE = {
    .forms = {"[TENANT]"},
    .about = "Looks from this machine at what the CA and browsers meet: the configuration, the "
             "daemon, HAProxy (version, its way to the agent, its files), and of each tenant its "
             "names in DNS, the way of challenges, the certificate that is shown, /health and "
             "WebSocket through HAProxy, what Open WebUI is set to (origins, redirect_uri, "
             "cookies), and its servers. Changes nothing. Some of it only root can see.",
    .exit_codes = {"nothing was found, or notes alone", "warnings or errors",
                   "wrong usage or configuration"},
    .examples = {"sudo owui-spoa doctor", "sudo owui-spoa doctor chat --token-file token",
                 "owui-spoa doctor --json | jq -r '.findings[] | .message'"},
    .max_words = 1,
};

int doctor_command(struct command_line *line)
{
    struct wish wish = {.configuration = DEFAULT_CONFIGURATION, .seconds = SECONDS_DEFAULT};
    const struct command_option options[] = {
        {"token-file", 0, "FILE",
         "a user's own token, localStorage.token in a page of the tenant: the flags of the cookie "
         "that holds it are looked at, too",
         .text = &wish.token_file},
        {"seconds", 0, "N", "how long, at most (20)", .number = &wish.seconds, .min = 1,
         .max = SECONDS_MAX},
        command_option_config(&wish.configuration),
        command_option_json(&wish.json),
        {0},
    };
    if (!command_line_read(line, &USAGE, options))
        return line->code;
    wish.tenant = command_line_next(line);
    if (wish.token_file != NULL && wish.tenant == NULL)
        return command_line_misused(line, "--token-file: of which tenant?");
    return perform(&wish);
}
