/* The files of `setup`: see setup_files.h. */
#include "setup_files.h"

#include "core/fd.h"
#include "core/memory.h"
#include "core/whole_file.h"
#include "terminal.h"

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
    LONG_LINES = 60
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

static void show_whole(const struct lines *lines)
{
    for (size_t i = 0; i < lines->count; i++)
        printf("    + %.*s\n", SLICE_PRINT(lines->items[i]));
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
            printf("    %c %.*s\n", changes[i].mark, SLICE_PRINT(changes[i].text));
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
    for (size_t i = 0; i < files->count; i++) {
        if (setup_file_changes(&files->items[i]))
            show(&files->items[i], all);
        else
            printf("\n  as is  %s\n", files->items[i].path);
    }
}

/* -- Writing ----------------------------------------------------------------------------------- */

void setup_give(int fd, const char *owner, const char *group)
{
    const struct passwd *user = owner != NULL ? getpwnam(owner) : NULL;
    uid_t uid = user != NULL ? user->pw_uid : (uid_t)-1;
    const struct group *found = group != NULL ? getgrnam(group) : NULL;
    gid_t gid = found != NULL ? found->gr_gid : (gid_t)-1;
    if (geteuid() == 0 && fchown(fd, uid, gid) != 0)
        terminal_complain("cannot give a file to %s: %s", group, strerror(errno));
}

enum error setup_folder(const char *path, mode_t mode, const char *owner, const char *group,
                        struct error_text *why)
{
    if (mkdir(path, 0700) != 0)
        return errno == EEXIST ? ERROR_OK : error_set_errno(why, "cannot make the folder %s", path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(why, "cannot open %s", path);
    setup_give(fd, owner, group);
    enum error error = fchmod(fd, mode) == 0 ? ERROR_OK : error_set_errno(why, "%s", path);
    close(fd);
    return error;
}

/* Owner and mode: those of the file that was there, or those of a new one. */
static enum error dress(int fd, const struct setup_file *file, struct error_text *why)
{
    struct stat status;
    mode_t mode = file->mode;
    if (stat(file->path, &status) == 0) {
        mode = status.st_mode & 07777;
        if (geteuid() == 0 && fchown(fd, status.st_uid, status.st_gid) != 0)
            return error_set_errno(why, "cannot keep the owner of %s", file->path);
    } else {
        setup_give(fd, NULL, file->group);
    }
    return fchmod(fd, mode) == 0 ? ERROR_OK : error_set_errno(why, "cannot set the mode");
}

static enum error back_up(const struct setup_file *file, struct error_text *why)
{
    char stamp[32];
    struct tm now;
    time_t seconds = time(NULL);
    if (file->previous == NULL)
        return ERROR_OK;
    strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", localtime_r(&seconds, &now));
    char *backup = memory_format("%s.before-%s", file->path, stamp);
    enum error error = ERROR_OK;
    if (link(file->path, backup) == 0)
        printf("  kept    %s\n", backup);
    else if (errno != EEXIST)
        error = error_set_errno(why, "cannot keep %s as %s", file->path, backup);
    free(backup);
    return error;
}

/* Aside, synced, renamed: nobody ever reads half a file. */
static enum error replace(const struct setup_file *file, bool keep, struct error_text *why)
{
    char *aside = memory_format("%s.new", file->path);
    enum error error = keep ? back_up(file, why) : ERROR_OK;
    int fd = -1;
    if (error == ERROR_OK) {
        fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        error = fd < 0 ? error_set_errno(why, "cannot create %s", aside)
                       : fd_write_synced(fd, slice_of(file->text), why);
    }
    if (error == ERROR_OK)
        error = dress(fd, file, why);
    if (fd >= 0)
        close(fd);
    if (error == ERROR_OK && rename(aside, file->path) != 0)
        error = error_set_errno(why, "cannot rename %s to %s", aside, file->path);
    if (error != ERROR_OK && fd >= 0)
        unlink(aside);
    free(aside);
    return error;
}

enum error setup_files_write(const struct setup_files *files, bool keep, struct error_text *why)
{
    for (size_t i = 0; i < files->count; i++) {
        if (!setup_file_changes(&files->items[i]))
            continue;
        enum error error = replace(&files->items[i], keep, why);
        if (error != ERROR_OK)
            return error;
        printf("  written %s\n", files->items[i].path);
    }
    return ERROR_OK;
}
