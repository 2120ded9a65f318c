/* The files of `setup`: see setup_files.h. */
#include "setup_files.h"

#include "cli/host_file.h"
#include "cli/person.h"
#include "core/memory.h"
#include "core/whole_file.h"
#include "hap/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    TEXT_MAX_BYTES = 4 * 1024 * 1024,
    CONTEXT_LINES = 2,
    DIFF_MAX_LINES = 2000,
    LONG_LINES = 60,
    KEPT_A_SECOND = 9,
};

/* -- Reading and noting ------------------------------------------------------------------------ */

enum error setup_file_read(const char *path, char **text, struct error_text *why)
{
    enum error error = whole_file_read(path, TEXT_MAX_BYTES, text, NULL, why);
    return error == ERROR_NOT_FOUND ? ERROR_OK : error;
}

enum error setup_files_add(struct setup_files *files, char *path, char *text, mode_t mode,
                           const char *group, struct error_text *why)
{
    struct setup_file file = {.path = path, .text = text, .mode = mode, .group = group};
    enum error error = setup_file_read(path, &file.previous, why);
    if (error != ERROR_OK) {
        free(path);
        free(text);
        return error;
    }
    files->items = memory_resize(files->items, files->count + 1, sizeof(*files->items));
    files->items[files->count++] = file;
    return ERROR_OK;
}

void setup_files_fini(struct setup_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        free(files->items[i].path);
        free(files->items[i].text);
        free(files->items[i].previous);
        free(files->items[i].kept);
    }
    free(files->items);
    *files = (struct setup_files){0};
}

bool setup_file_changes(const struct setup_file *file)
{
    return file->previous == NULL || strcmp(file->previous, file->text) != 0;
}

size_t setup_files_changing(const struct setup_files *files)
{
    size_t count = 0;
    for (size_t i = 0; i < files->count; i++)
        count += setup_file_changes(&files->items[i]);
    return count;
}

/* -- Showing ----------------------------------------------------------------------------------- */

struct lines {
    struct slice *items;
    size_t count;
};

static struct lines cut_lines(const char *text)
{
    struct lines lines = {0};
    for (const char *at = text; *at != '\0';) {
        size_t size = strcspn(at, "\n");
        lines.items = memory_resize(lines.items, lines.count + 1, sizeof(*lines.items));
        lines.items[lines.count++] = slice_from(at, size);
        at += size + (at[size] == '\n');
    }
    return lines;
}

/* Without passwords: terminals are recorded, shared and scrolled through. */
static void show_line(char mark, struct slice line)
{
    struct slice shown = hap_secret_cut(line);
    printf("    %c %.*s%s\n", mark, SLICE_PRINT(shown), shown.size < line.size ? " ***" : "");
}

static void show_whole(const struct lines *lines)
{
    for (size_t i = 0; i < lines->count; i++)
        show_line('+', lines->items[i]);
}

/* common[i][j]: how many lines the rests from i and j have in common, in order. */
static uint16_t *measure(const struct lines *old, const struct lines *new)
{
    size_t width = new->count + 1;
    uint16_t *common = memory_new((old->count + 1) * width * sizeof(*common));
    for (size_t i = old->count; i-- > 0;) {
        for (size_t j = new->count; j-- > 0;) {
            uint16_t down = common[(i + 1) * width + j], right = common[i * width + j + 1];
            common[i * width + j] = slice_equal(old->items[i], new->items[j])
                                        ? (uint16_t)(common[(i + 1) * width + j + 1] + 1)
                                    : down > right ? down
                                                   : right;
        }
    }
    return common;
}

/* One line of a difference; ' ' is in both. */
struct change {
    char mark;
    struct slice text;
};

static size_t compare(const struct lines *old, const struct lines *new, struct change *changes)
{
    uint16_t *common = measure(old, new);
    size_t width = new->count + 1, i = 0, j = 0, count = 0;
    while (i < old->count || j < new->count) {
        bool same = i < old->count && j < new->count &&slice_equal(old->items[i], new->items[j]);
        bool gone = !same && i < old->count &&
                    (j == new->count || common[(i + 1) * width + j] >= common[i * width + j + 1]);
        changes[count++] = (struct change){same   ? ' '
                                           : gone ? '-'
                                                  : '+',
                                           same || gone ? old->items[i] : new->items[j]};
        i += same || gone;
        j += same || !gone;
    }
    free(common);
    return count;
}

/* Whether one of the lines around is a change. */
static bool is_near_change(const struct change *changes, size_t count, size_t index)
{
    size_t first = index > CONTEXT_LINES ? index - CONTEXT_LINES : 0;
    for (size_t i = first; i < count && i <= index + CONTEXT_LINES; i++)
        if (changes[i].mark != ' ')
            return true;
    return false;
}

static void show_difference(const struct lines *old, const struct lines *new, bool all)
{
    struct change *changes = memory_new((old->count + new->count + 1) * sizeof(*changes));
    size_t count = compare(old, new, changes), changed = 0;
    bool skipping = false;
    for (size_t i = 0; i < count; i++)
        changed += changes[i].mark != ' ';
    if (changed > LONG_LINES && !all) {
        printf("    (%zu lines differ; --dry-run shows them)\n", changed);
        count = 0;
    }
    for (size_t i = 0; i < count; i++) {
        if (is_near_change(changes, count, i))
            show_line(changes[i].mark, changes[i].text);
        else if (!skipping)
            puts("      ...");
        skipping = !is_near_change(changes, count, i);
    }
    free(changes);
}

static void show(const struct setup_file *file, bool all)
{
    struct lines old = cut_lines(file->previous != NULL ? file->previous : "");
    struct lines new = cut_lines(file->text);
    printf("\n  %s %s, %zu lines\n", file->previous != NULL ? "change" : "new   ", file->path,
           new.count);
    if (file->previous != NULL && old.count <= DIFF_MAX_LINES && new.count <= DIFF_MAX_LINES)
        show_difference(&old, &new, all);
    else if (new.count <= LONG_LINES || all)
        show_whole(&new);
    else
        puts("    (--dry-run shows it)");
    free(old.items);
    free(new.items);
}

void setup_files_show(const struct setup_files *files, bool all)
{
    bool after_text = true;
    for (size_t i = 0; i < files->count; i++) {
        bool changes = setup_file_changes(&files->items[i]);
        if (changes)
            show(&files->items[i], all);
        else
            printf("%s  as is  %s\n", after_text ? "\n" : "", files->items[i].path);
        after_text = changes;
    }
}

/* -- Writing ----------------------------------------------------------------------------------- */

/* Such a certificate, for one, would never come to be, and only the log would say why. */
static enum error judge_folder(const char *path, const struct stat *status, mode_t mode,
                               const char *owner, const char *group, struct error_text *why)
{
    struct person service;
    bool writes = owner != NULL;
    if (geteuid() != 0 || !person_find(SETUP_SERVICE_USER, &service) ||
        person_may(&service, status, writes ? 7 : 5))
        return ERROR_OK;
    const struct passwd *user = getpwuid(status->st_uid);
    const struct group *found = getgrgid(status->st_gid);
    return error_set(why, ERROR_INVALID,
                     "%s belongs to %s:%s (mode %04o), and the service, which runs as %s, may not "
                     "%s there: chown %s:%s %s && chmod %04o %s",
                     path, user != NULL ? user->pw_name : "?", found != NULL ? found->gr_name : "?",
                     (unsigned)status->st_mode & 07777, service.name, writes ? "write" : "read",
                     writes ? owner : "", group, path, (unsigned)mode, path);
}

enum error setup_folder(const char *path, mode_t mode, const char *owner, const char *group,
                        struct error_text *why)
{
    struct stat status;
    bool is_there = mkdir(path, 0700) != 0;
    if (is_there && errno != EEXIST)
        return error_set_errno(why, "cannot make the folder %s", path);
    if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode))
        return error_set(why, ERROR_INVALID,
                         "%s is to be a folder, and is none, or a link that leads nowhere: move it "
                         "out of the way",
                         path);
    if (is_there)
        return judge_folder(path, &status, mode, owner, group, why);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(why, "cannot open %s", path);
    host_file_give(fd, owner, group);
    enum error error = fchmod(fd, mode) == 0 ? ERROR_OK : error_set_errno(why, "%s", path);
    close(fd);
    return error;
}

/* It was read some time ago, and somebody may have had to answer a question since. */
static enum error still_as_shown(const struct setup_file *file, struct error_text *why)
{
    char *now;
    enum error error = setup_file_read(file->path, &now, why);
    if (error != ERROR_OK)
        return error;
    bool same = now == NULL || file->previous == NULL ? now == file->previous
                                                      : strcmp(now, file->previous) == 0;
    free(now);
    return same ? ERROR_OK
                : error_set(why, ERROR_BUSY,
                            "%s has changed since it was looked at, and nothing was written: run "
                            "this again",
                            file->path);
}

static enum error keep(struct host_file *write, struct error_text *why)
{
    char stamp[32], ending[64];
    struct tm now;
    time_t seconds = time(NULL);
    enum error error = ERROR_EXISTS;
    strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", localtime_r(&seconds, &now));
    for (unsigned i = 1; i <= KEPT_A_SECOND && error == ERROR_EXISTS; i++) {
        if (i == 1)
            snprintf(ending, sizeof(ending), "before-%s", stamp);
        else
            snprintf(ending, sizeof(ending), "before-%s-%u", stamp, i);
        error = host_file_keep(write, ending, why);
    }
    return error;
}

static enum error prepare(const struct setup_file *file, struct host_file *write,
                          struct error_text *why)
{
    if (!setup_file_changes(file))
        return ERROR_OK;
    enum error error = still_as_shown(file, why);
    return error != ERROR_OK ? error
                             : host_file_write(write, file->path, slice_of(file->text), file->mode,
                                               file->group, why);
}

static enum error place(const struct setup_file *file, struct host_file *write, bool keeps,
                        struct error_text *why)
{
    enum error error = keeps && file->previous != NULL ? keep(write, why) : ERROR_OK;
    return error == ERROR_OK ? host_file_place(write, why) : error;
}

static void tell_placed(struct setup_file *file, const struct host_file *write)
{
    if (write->kept != NULL) {
        printf("  kept    %s\n", write->kept);
        free(file->kept);
        file->kept = memory_copy_text(slice_of(write->kept));
    }
    printf("  written %s\n", file->path);
}

/* All are written beside before one is put in place: a full disk changes nothing. What still keeps
 * one from its place takes the others back. */
enum error setup_files_write(struct setup_files *files, bool keeps, struct error_text *why)
{
    struct host_file *writes = memory_new((files->count + 1) * sizeof(*writes));
    enum error error = ERROR_OK;
    for (size_t i = 0; i < files->count && error == ERROR_OK; i++)
        error = prepare(&files->items[i], &writes[i], why);
    for (size_t i = 0; i < files->count && error == ERROR_OK; i++)
        if (writes[i].beside != NULL)
            error = place(&files->items[i], &writes[i], keeps, why);
    for (size_t i = 0; i < files->count; i++) {
        if (error != ERROR_OK)
            host_file_take_back(&writes[i]);
        else if (writes[i].path != NULL)
            tell_placed(&files->items[i], &writes[i]);
        host_file_fini(&writes[i]);
    }
    free(writes);
    return error;
}
