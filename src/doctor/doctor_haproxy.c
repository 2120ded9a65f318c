/* HAProxy: whether it runs, in which version, whether it reaches the agent, and whether its files
 * are those of this configuration. See doctor.h. */
#include "doctor.h"

#include "acme/store.h"
#include "cli/person.h"
#include "core/clock.h"
#include "core/memory.h"
#include "core/whole_file.h"
#include "serving/haproxy_files.h"
#include "sidecar/runtime_client.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ANSWER_MS = 3000 };

struct haproxy_look {
    struct doctor *doctor;
    struct runtime_target target;
    struct runtime_exchange *exchange;
    struct haproxy_look *next;
};

/* -- Its files --------------------------------------------------------------------------------- */

/* Whether `text` is what is written for some version of HAProxy. */
static bool is_spoe_file(const struct hap_config *config, const char *text)
{
    bool is_ours = false;
    for (unsigned version = 0; version < HAP_VERSION__MAX && !is_ours; version++) {
        char *wanted = hap_spoe_write(config, (enum hap_version)version);
        is_ours = strcmp(wanted, text) == 0;
        free(wanted);
    }
    return is_ours;
}

static bool is_haproxy_cfg_as(struct hap_config config, const char *text, char *thumbprint)
{
    bool is_ours = false;
    config.thumbprint = thumbprint;
    for (unsigned version = 0; version < HAP_VERSION__MAX && !is_ours; version++) {
        char *wanted = hap_config_write(&config, (enum hap_version)version, slice_of(text), NULL);
        is_ours = wanted != NULL && strcmp(wanted, text) == 0;
        free(wanted);
    }
    return is_ours;
}

/* With the account's thumbprint, or without one, where it could not be read or was not wanted. */
static bool is_haproxy_cfg(const struct configuration *configuration, const char *text)
{
    const struct acme_settings *acme = &configuration->acme;
    char thumbprint[CRYPTO_THUMBPRINT_LENGTH + 1];
    struct error_text why;
    if (is_haproxy_cfg_as(configuration->haproxy, text, NULL))
        return true;
    return acme->directory != NULL && acme->directory[0] != '\0' && acme->state_dir != NULL &&
           store_account_thumbprint(acme->state_dir, acme->directory, thumbprint, &why) ==
               ERROR_OK &&
           is_haproxy_cfg_as(configuration->haproxy, text, thumbprint);
}

/* The path is told beside it. */
static const char *reason_of(enum error error)
{
    return error == ERROR_INVALID   ? "it is no regular file"
           : error == ERROR_TOO_BIG ? "it is too big to be HAProxy's"
                                    : strerror(errno);
}

static void look_at_file(struct doctor *doctor, const char *path, bool is_spoe)
{
    const struct configuration *configuration = doctor->whole.configuration;
    char *text;
    enum error error = whole_file_read(path, HAPROXY_FILE_MAX_BYTES, &text, NULL, NULL);
    bool is_forbidden = error == ERROR_SYSTEM && errno == EACCES;
    const char *reason = reason_of(error);
    doctor_made(doctor, DOCTOR_FILES);
    if (error != ERROR_OK)
        doctor_find(doctor, is_forbidden ? DOCTOR_NOTE : DOCTOR_ERROR, DOCTOR_FILES, NULL, path,
                    is_forbidden ? memory_format("sudo owui-spoa doctor")
                                 : haproxy_files_fix(configuration),
                    "it cannot be read: %s", reason);
    else if (!is_spoe && !hap_config_is_ours(slice_of(text)))
        doctor_find(doctor, DOCTOR_WARNING, DOCTOR_FILES, NULL, path,
                    memory_format("owui-spoa haproxy-config prints what it is to hold; with --out "
                                  "it sets this one aside, with all that it serves"),
                    "it was written by somebody else");
    else if (!doctor->sees_part && (is_spoe ? !is_spoe_file(&configuration->haproxy, text)
                                            : !is_haproxy_cfg(configuration, text)))
        doctor_find(
            doctor, DOCTOR_WARNING, DOCTOR_FILES, NULL, path, haproxy_files_fix(configuration),
            "it is not what this configuration needs: changed by hand outside of the marks, "
            "or written before something changed");
    free(text);
}

/* A file that is newer than the process that should have read it. */
static void look_at_age(const struct haproxy_look *look, struct slice uptime)
{
    char *path = hap_config_path(&look->doctor->whole.configuration->haproxy);
    struct stat status;
    char digits[24];
    snprintf(digits, sizeof(digits), "%.*s", SLICE_PRINT(uptime));
    int64_t started_s = clock_wall_s() - strtoll(digits, NULL, 10);
    doctor_made(look->doctor, DOCTOR_FILES);
    if (uptime.size > 0 && stat(path, &status) == 0 && status.st_mtime > started_s + 1)
        doctor_find(look->doctor, DOCTOR_WARNING, DOCTOR_FILES, NULL, path,
                    memory_format("systemctl reload haproxy"),
                    "HAProxy was started before it was last written");
    free(path);
}

/* -- The way to the agent ---------------------------------------------------------------------- */

static void find_rights(struct doctor *doctor, const char *path, const struct person *person,
                        const struct stat *status, const char *what)
{
    const struct passwd *owner = getpwuid(status->st_uid);
    char *name = memory_copy_text(slice_of(owner != NULL ? owner->pw_name : "?"));
    const struct group *group = getgrgid(status->st_gid);
    doctor_find(doctor, DOCTOR_ERROR, DOCTOR_SPOE, NULL, path,
                memory_format("\"listen_group\": \"%s\" in %s, or the folder's group and mode",
                              doctor->whole.configuration->haproxy.group != NULL
                                  ? doctor->whole.configuration->haproxy.group
                                  : person->name,
                              doctor->configuration_path),
                "HAProxy's user %s may not %s (%s:%s, mode %04o)", person->name, what, name,
                group != NULL ? group->gr_name : "?", (unsigned)status->st_mode & 07777);
    free(name);
}

/* HAProxy has the group that it is told, and gives up all others of its user, the first one too. */
static void be_of_group(struct person *person, const char *name)
{
    const struct group *group = name != NULL ? getgrnam(name) : NULL;
    if (group == NULL)
        return;
    person->groups[0] = group->gr_gid;
    person->group_count = 1;
}

/* Every folder on the way has to be open to HAProxy's user, and the socket writable. */
static void look_at_way(struct doctor *doctor, const char *path, const struct person *person)
{
    struct stat status;
    char *barred = person_barred(person, path, 2, &status);
    if (barred != NULL)
        find_rights(doctor, barred, person, &status,
                    S_ISDIR(status.st_mode) ? "enter this folder" : "write to this socket");
    free(barred);
}

static void look_at_listener(struct doctor *doctor, const char *address)
{
    const char *user = doctor->whole.configuration->haproxy.user;
    const char *path = address + SLICE("unix:").size;
    struct person person;
    struct stat status;
    if (!slice_starts_with(slice_of(address), SLICE("unix:/")))
        return;
    doctor_made(doctor, DOCTOR_SPOE);
    if (stat(path, &status) != 0)
        doctor_find(
            doctor, errno == EACCES ? DOCTOR_NOTE : DOCTOR_ERROR, DOCTOR_SPOE, NULL, path,
            memory_format(errno == EACCES ? "sudo owui-spoa doctor" : "systemctl start owui-spoa"),
            "the agent's socket cannot be seen: %s", strerror(errno));
    else if (!S_ISSOCK(status.st_mode))
        doctor_find(doctor, DOCTOR_ERROR, DOCTOR_SPOE, NULL, path, memory_format("rm %s", path),
                    "this is where the agent listens, and is no socket");
    else if (user != NULL && person_find(user, &person)) {
        be_of_group(&person, doctor->whole.configuration->haproxy.group);
        look_at_way(doctor, path, &person);
    }
}

static void look_at_agent(const struct haproxy_look *look, struct slice name, struct slice status,
                          struct slice check)
{
    if (slice_starts_with(status, SLICE("UP")) || slice_equal(status, SLICE("no check")))
        return;
    doctor_find(look->doctor, DOCTOR_ERROR, DOCTOR_SPOE, NULL, look->target.path,
                memory_format("systemctl status owui-spoa; \"listen\" and \"haproxy\": "
                              "{\"agents\"} in %s",
                              look->doctor->configuration_path),
                "HAProxy has %.*s as %.*s%s%.*s: what it cannot ask about is answered with 503",
                SLICE_PRINT(name), SLICE_PRINT(status), check.size > 0 ? ", " : "",
                SLICE_PRINT(check));
}

static void find_away(const struct haproxy_look *look, bool denied, const char *reason)
{
    doctor_find(look->doctor, denied ? DOCTOR_NOTE : DOCTOR_ERROR, DOCTOR_HAPROXY, NULL,
                look->target.path,
                denied ? memory_format("sudo owui-spoa doctor")
                       : memory_format("systemctl start haproxy; \"haproxy\": {\"runtime\"} in %s",
                                       look->doctor->configuration_path),
                "its Runtime API cannot be asked: %s", reason);
}

static void on_stat(void *context, enum error error, const char *reason, struct slice answer)
{
    struct haproxy_look *look = context;
    struct doctor *doctor = look->doctor;
    struct slice head = {0};
    struct slice row;
    size_t agents = 0;
    look->exchange = NULL;
    if (error != ERROR_OK) {
        find_away(look, false, reason);
        doctor_end(doctor);
        return;
    }
    if (!runtime_next_line(&answer, &head))
        head = (struct slice){0};
    while (runtime_next_line(&answer, &row)) {
        struct slice server = runtime_field(head, row, "svname");
        if (!slice_equal(runtime_field(head, row, "pxname"), SLICE("owui_agents")) ||
            slice_equal(server, SLICE("BACKEND")))
            continue;
        agents++;
        look_at_agent(look, server, runtime_field(head, row, "status"),
                      runtime_field(head, row, "check_desc"));
    }
    doctor_made(doctor, DOCTOR_SPOE);
    if (agents == 0)
        doctor_find(doctor, DOCTOR_ERROR, DOCTOR_SPOE, NULL, look->target.path,
                    haproxy_files_fix(doctor->whole.configuration),
                    "this HAProxy has another configuration: there is no agent in it");
    doctor_end(doctor);
}

/* -- What it says of itself -------------------------------------------------------------------- */

static void look_at_version(const struct haproxy_look *look, struct slice version)
{
    const struct haproxy_fault *fault = haproxy_fault_of(version);
    if (fault != NULL)
        doctor_find(look->doctor, fault->severity, DOCTOR_HAPROXY, NULL, look->target.path,
                    memory_format("%s", fault->fix), "HAProxy %.*s %s", SLICE_PRINT(version),
                    fault->what);
}

/* What it takes into memory is also read from the disk, when it is started. */
static void look_at_buffer(const struct haproxy_look *look, size_t room)
{
    if (room == RUNTIME_COMMAND_MAX_BYTES)
        return;
    char *path = hap_config_path(&look->doctor->whole.configuration->haproxy);
    doctor_find(look->doctor, DOCTOR_WARNING, DOCTOR_HAPROXY, NULL, path,
                memory_format("take tune.bufsize out of it, or set it to %d; systemctl reload "
                              "haproxy",
                              RUNTIME_BUFFER_BYTES),
                "its tune.bufsize allows commands of %zu bytes: a certificate that needs a longer "
                "one is not served before HAProxy's next start",
                room);
    free(path);
}

static void on_info(void *context, enum error error, const char *reason, struct slice answer)
{
    struct haproxy_look *look = context;
    bool denied = error == ERROR_SYSTEM && errno == EACCES;
    doctor_made(look->doctor, DOCTOR_HAPROXY);
    if (error != ERROR_OK) {
        look->exchange = NULL;
        find_away(look, denied, reason);
        doctor_end(look->doctor);
        return;
    }
    look_at_version(look, runtime_value(answer, "Version"));
    look_at_age(look, runtime_value(answer, "Uptime_sec"));
    look_at_buffer(look, runtime_room(answer));
    char *command = memory_format("%.*sshow stat\n", SLICE_PRINT(look->target.prefix));
    look->exchange = runtime_exchange_new(look->doctor->loop, &look->target, slice_of(command),
                                          ANSWER_MS, NULL, on_stat, look);
    free(command);
}

static void ask_haproxy(struct doctor *doctor, const char *target)
{
    struct haproxy_look *look = doctor_keep(doctor, sizeof(*look));
    look->doctor = doctor;
    if (runtime_target_parse(slice_of(target), &look->target, NULL) != ERROR_OK)
        return;
    look->next = doctor->haproxys;
    doctor->haproxys = look;
    char *command = runtime_target_commands(&look->target, "show info", RUNTIME_SHOW_BUFFER);
    doctor_begin(doctor);
    look->exchange = runtime_exchange_new(doctor->loop, &look->target, slice_of(command), ANSWER_MS,
                                          NULL, on_info, look);
    free(command);
}

void doctor_haproxy(struct doctor *doctor)
{
    const struct configuration *configuration = doctor->whole.configuration;
    char *haproxy_cfg = hap_config_path(&configuration->haproxy);
    for (size_t i = 0; i < configuration->haproxy.runtime_count; i++)
        ask_haproxy(doctor, configuration->haproxy.runtime[i]);
    for (size_t i = 0; i < configuration->listen_count; i++)
        look_at_listener(doctor, configuration->listen[i]);
    look_at_file(doctor, haproxy_cfg, false);
    look_at_file(doctor, hap_spoe_path(&configuration->haproxy), true);
    free(haproxy_cfg);
}

void doctor_haproxy_close(struct doctor *doctor)
{
    for (struct haproxy_look *look = doctor->haproxys; look != NULL; look = look->next) {
        runtime_exchange_free(look->exchange);
        runtime_target_fini(&look->target);
    }
}
