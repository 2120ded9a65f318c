/* Watches the configuration's folders: see watch.h.
 *
 * The kernel has so many inotify instances for each user, and so many watches; others may have used
 * them up. Each look tries again for what could not be had.
 */
#include "sources/watch.h"

#include "conf/configuration.h"
#include "core/clock.h"
#include "core/file_stamp.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/sorted.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SOON_MS = 2,        /* after the last event, to take what comes together together */
    SOON_LIMIT_MS = 10, /* after the first, however many follow */
    LATER_MS = 50,      /* what went away may be there again by then */
    LATER_LIMIT_MS = 80,
    MADE_MS = 1000,  /* what was made and not closed is looked at this often */
    STILL_MS = 4000, /* whoever writes for longer than that without a pause is waited for */
    LOOK_MS = 5000,  /* what changed without a word is noticed this often */
    EVENT_BYTES = 64 * 1024,
    MAX_READS = 16, /* of events, before others have their turn */
};

static const uint32_t EVENT_MASK = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE |
                                   IN_DELETE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF |
                                   IN_ONLYDIR;

/* What a change waits for before it is told. */
enum wait {
    WAIT_SOON,
    WAIT_LATER, /* for what went to be there again */
    WAIT_MADE,  /* for its writer to close it, unless it was linked and has lost its other name */
    WAIT_COUNT,
};

/* All that wait for the same are told at one time. */
struct batch {
    int64_t due_ms; /* 0: nothing */
    int64_t limit_ms;
};

struct change {
    char *path;
    enum wait wait;
};

/* Files of one kind that have changed, each once, sorted by path. */
struct changes {
    struct change *items;
    size_t count;
    size_t capacity;
};

struct folder {
    char *path;
    int descriptor; /* -1: not there */
    dev_t device;
    ino_t inode;
    bool is_told; /* that it cannot be watched */
};

/* A file that is looked at while nobody tells of its changes. */
struct looked_file {
    char *name; /* its last part */
    struct file_stamp stamp;
};

/* A named folder that is, or was, told of by this descriptor. */
struct told_folder {
    int descriptor;
    size_t folder; /* in watch->named_folders */
};

/* A file that tenants name. */
struct named_file {
    const char *path; /* in watch->named_paths */
    size_t folder;    /* in watch->named_folders */
    struct looked_file file;
};

struct watch {
    struct watch_events events;
    struct main_loop *main_loop;
    int fd;       /* -1: there is no inotify instance to be had */
    bool is_told; /* that there is none */
    struct main_watch *readable;
    struct main_timer *timer;
    struct main_timer *look_timer;
    struct folder global; /* where the global file is */
    struct folder tenants;
    struct folder parent; /* of the folder of tenants: sees that replaced */
    struct looked_file global_file;
    struct looked_file *parts; /* files beside the global one that it names */
    size_t part_count;
    struct file_stamp tenants_stamp; /* of which folder it is */
    char **named_paths;              /* sorted */
    struct named_file *named;        /* of the paths, sorted by folder and name */
    size_t named_count;
    struct folder *named_folders; /* sorted by path */
    size_t named_folder_count;
    struct told_folder *told_folders; /* as many, sorted by descriptor */
    bool are_told_folders_old;
    int *left; /* descriptors that a folder has no longer, but perhaps another one */
    size_t left_count;
    size_t left_capacity;
    bool must_follow; /* a folder may be another one than before */
    struct batch batches[WAIT_COUNT];
    struct changes changed_globals; /* the global file and its parts */
    struct changes changed_files;   /* in the folder of tenants */
    struct changes changed_named;
    bool is_folder_due;    /* the folder of tenants, soon */
    uint32_t moved_cookie; /* of the tenants' file that was last moved from its name; 0: of none */
    bool has_renamed;      /* one waits, under its new name, for its old one to be gone */
};

/* -- Batches ---------------------------------------------------------------------------------- */

static void arm_timer(struct watch *watch)
{
    int64_t due_ms = 0;
    for (size_t i = 0; i < WAIT_COUNT; i++) {
        int64_t batch_ms = watch->batches[i].due_ms;
        if (batch_ms != 0 && (due_ms == 0 || batch_ms < due_ms))
            due_ms = batch_ms;
    }
    int64_t delay_ms = due_ms - clock_mono_ms();
    if (due_ms == 0)
        main_timer_stop(watch->timer);
    else
        main_timer_once(watch->timer, delay_ms > 0 ? delay_ms : 0);
}

static void batch_touch(struct watch *watch, enum wait wait)
{
    static const int64_t DELAYS_MS[] = {SOON_MS, LATER_MS, MADE_MS};
    static const int64_t LIMITS_MS[] = {SOON_LIMIT_MS, LATER_LIMIT_MS, MADE_MS};
    struct batch *batch = &watch->batches[wait];
    int64_t now_ms = clock_mono_ms();
    if (batch->due_ms == 0)
        batch->limit_ms = now_ms + LIMITS_MS[wait];
    batch->due_ms = now_ms + DELAYS_MS[wait];
    if (batch->due_ms > batch->limit_ms)
        batch->due_ms = batch->limit_ms;
}

static const char *change_path(const void *list, size_t index)
{
    const struct change *items = list;
    return items[index].path;
}

/* NULL: it has not changed. */
static struct change *changes_find(const struct changes *changes, const char *path)
{
    bool is_there;
    size_t place = sorted_place(changes->items, changes->count, change_path, path, &is_there);
    return is_there ? &changes->items[place] : NULL;
}

static void changes_insert(struct changes *changes, const char *path, enum wait wait)
{
    size_t place = sorted_place(changes->items, changes->count, change_path, path, NULL);
    if (changes->count == changes->capacity) {
        changes->capacity = changes->capacity > 0 ? changes->capacity * 2 : 16;
        changes->items = memory_resize(changes->items, changes->capacity, sizeof(*changes->items));
    }
    struct change *change = &changes->items[place];
    memmove(change + 1, change, (changes->count - place) * sizeof(*change));
    *change = (struct change){.path = memory_copy_text(slice_of(path)), .wait = wait};
    changes->count++;
}

/* Whatever it waited for, it waits for this now. */
static void put(struct watch *watch, struct changes *changes, const char *path, enum wait wait)
{
    struct change *change = changes_find(changes, path);
    if (change != NULL)
        change->wait = wait;
    else
        changes_insert(changes, path, wait);
    batch_touch(watch, wait);
}

/* What may have changed without an event of its own. Half a file is not read for that. */
static void put_soon(struct watch *watch, struct changes *changes, const char *path)
{
    const struct change *change = changes_find(changes, path);
    if (change == NULL || change->wait != WAIT_MADE)
        put(watch, changes, path, WAIT_SOON);
}

static void changes_fini(struct changes *changes)
{
    for (size_t i = 0; i < changes->count; i++)
        free(changes->items[i].path);
    free(changes->items);
    *changes = (struct changes){0};
}

static void forget_changes(struct watch *watch)
{
    changes_fini(&watch->changed_globals);
    changes_fini(&watch->changed_files);
    changes_fini(&watch->changed_named);
    watch->has_renamed = false;
}

/* Whether somebody did a moment ago. By the time of the last change of any kind: that of writing
 * can be set, and a link takes it along. */
static bool is_being_written(const char *path)
{
    struct stat status;
    if (lstat(path, &status) != 0)
        return false;
    int64_t changed_ms =
        (int64_t)status.st_ctim.tv_sec * 1000 + status.st_ctim.tv_nsec / (1000 * 1000);
    int64_t age_ms = clock_wall_ms() - changed_ms;
    return age_ms > -STILL_MS && age_ms < STILL_MS; /* clocks may differ, but not for ever */
}

static bool is_due(struct watch *watch, const struct change *change, enum wait wait)
{
    if (change->wait != wait)
        return false;
    if (wait != WAIT_MADE || !is_being_written(change->path))
        return true;
    batch_touch(watch, wait);
    return false;
}

/* The paths of those that are due, which are no changes any more. */
static char **take_due(struct watch *watch, struct changes *changes, enum wait wait, size_t *count)
{
    char **paths = memory_new((changes->count + 1) * sizeof(*paths));
    size_t kept = 0;
    *count = 0;
    for (size_t i = 0; i < changes->count; i++) {
        if (is_due(watch, &changes->items[i], wait))
            paths[(*count)++] = changes->items[i].path;
        else
            changes->items[kept++] = changes->items[i];
    }
    changes->count = kept;
    return paths;
}

/* All is taken first: callbacks may change the folder of tenants, and what they put comes next. */
static void run_batch(struct watch *watch, enum wait wait)
{
    const struct watch_events *events = &watch->events;
    size_t global_count;
    size_t file_count;
    size_t named_count;
    watch->batches[wait] = (struct batch){0};
    char **globals = take_due(watch, &watch->changed_globals, wait, &global_count);
    char **files = take_due(watch, &watch->changed_files, wait, &file_count);
    char **named = take_due(watch, &watch->changed_named, wait, &named_count);
    bool is_folder_due = wait == WAIT_SOON && watch->is_folder_due;
    if (wait == WAIT_SOON)
        watch->is_folder_due = false;
    if (wait == WAIT_LATER)
        watch->has_renamed = false;
    if (file_count > 0 && !is_folder_due)
        events->on_files(events->context, files, file_count);
    if (named_count > 0)
        events->on_named(events->context, named, named_count);
    if (global_count > 0)
        events->on_global(events->context);
    if (is_folder_due)
        events->on_folder(events->context);
    memory_free_texts(globals, global_count);
    memory_free_texts(files, file_count);
    memory_free_texts(named, named_count);
}

/* -- Folders ---------------------------------------------------------------------------------- */

static void tell_unwatched(const struct folder *folder)
{
    struct error_text why;
    error_set_errno(&why, "cannot watch %s", folder->path);
    log_event(LOG_ERROR, "cannot_watch", LOG_TEXT("reason", why.text),
              LOG_TEXT("so", "changes are looked for every 5 s"));
}

static void tell_watched(const struct folder *folder)
{
    log_event(LOG_NOTICE, "watching", LOG_TEXT("folder", folder->path));
}

static int compare_told(const void *a, const void *b)
{
    const struct told_folder *one = a;
    const struct told_folder *other = b;
    return (one->descriptor > other->descriptor) - (one->descriptor < other->descriptor);
}

static void sort_told_folders(struct watch *watch)
{
    size_t count = watch->named_folder_count;
    watch->told_folders = memory_resize(watch->told_folders, count, sizeof(*watch->told_folders));
    for (size_t i = 0; i < count; i++)
        watch->told_folders[i] = (struct told_folder){watch->named_folders[i].descriptor, i};
    if (count > 0)
        qsort(watch->told_folders, count, sizeof(*watch->told_folders), compare_told);
    watch->are_told_folders_old = false;
}

/* The index of the first named folder in watch->told_folders that is told of by this descriptor. */
static size_t told_place(struct watch *watch, int descriptor)
{
    if (watch->are_told_folders_old)
        sort_told_folders(watch);
    size_t low = 0;
    size_t high = watch->named_folder_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (watch->told_folders[middle].descriptor < descriptor)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The next named folder from there on that has this descriptor. False: there is none. */
static bool next_told(const struct watch *watch, size_t *place, int descriptor, size_t *folder)
{
    while (*place < watch->named_folder_count &&
           watch->told_folders[*place].descriptor == descriptor) {
        *folder = watch->told_folders[(*place)++].folder;
        if (watch->named_folders[*folder].descriptor == descriptor) /* it was not lost since */
            return true;
    }
    return false;
}

/* The descriptor is not the folder's any more. */
static void leave(struct watch *watch, int descriptor)
{
    if (descriptor < 0)
        return;
    if (watch->left_count == watch->left_capacity) {
        watch->left_capacity = watch->left_capacity > 0 ? watch->left_capacity * 2 : 16;
        watch->left = memory_resize(watch->left, watch->left_capacity, sizeof(*watch->left));
    }
    watch->left[watch->left_count++] = descriptor;
}

static bool is_in_use(struct watch *watch, int descriptor)
{
    size_t folder;
    size_t place = told_place(watch, descriptor);
    return descriptor == watch->global.descriptor || descriptor == watch->tenants.descriptor ||
           descriptor == watch->parent.descriptor || next_told(watch, &place, descriptor, &folder);
}

/* All at once, when it is known who has which: thousands may have gone together. */
static void remove_left(struct watch *watch)
{
    for (size_t i = 0; i < watch->left_count; i++)
        if (!is_in_use(watch, watch->left[i]))
            inotify_rm_watch(watch->fd, watch->left[i]);
    watch->left_count = 0;
}

/* Watches what is at the path now. True when that is another folder than before. */
static bool folder_follow(struct watch *watch, struct folder *folder)
{
    struct stat status;
    int before = folder->descriptor;
    if (watch->fd < 0)
        return false;
    if (stat(folder->path, &status) != 0) {
        folder->descriptor = -1;
        leave(watch, before);
        return false;
    }
    if (folder->descriptor >= 0 && folder->device == status.st_dev &&
        folder->inode == status.st_ino)
        return false;
    folder->descriptor = inotify_add_watch(watch->fd, folder->path, EVENT_MASK);
    if (folder->descriptor < 0 && !folder->is_told)
        tell_unwatched(folder);
    if (folder->descriptor >= 0 && folder->is_told)
        tell_watched(folder);
    folder->is_told = folder->descriptor < 0;
    folder->device = status.st_dev;
    folder->inode = status.st_ino;
    leave(watch, before);
    return folder->descriptor >= 0;
}

static void put_global_soon(struct watch *watch)
{
    char *path = memory_format("%s/%s", watch->global.path, watch->global_file.name);
    put_soon(watch, &watch->changed_globals, path);
    free(path);
}

static void put_folder_soon(struct watch *watch)
{
    watch->is_folder_due = true;
    batch_touch(watch, WAIT_SOON);
}

static int compare_named(const void *a, const void *b)
{
    const struct named_file *one = a;
    const struct named_file *other = b;
    if (one->folder != other->folder)
        return one->folder < other->folder ? -1 : 1;
    return strcmp(one->file.name, other->file.name);
}

/* The index of the first that does not sort before this name in this folder. */
static size_t named_place(const struct watch *watch, size_t folder, const char *name)
{
    size_t low = 0;
    size_t high = watch->named_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct named_file *named = &watch->named[middle];
        if (named->folder < folder ||
            (named->folder == folder && strcmp(named->file.name, name) < 0))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* All files that are named in the folder of this place. */
static void put_named_soon(struct watch *watch, size_t folder)
{
    for (size_t i = named_place(watch, folder, "");
         i < watch->named_count && watch->named[i].folder == folder; i++)
        put_soon(watch, &watch->changed_named, watch->named[i].path);
}

/* What the files are now was not seen to change. */
static void follow_named(struct watch *watch)
{
    for (size_t i = 0; i < watch->named_folder_count; i++) {
        bool is_other = folder_follow(watch, &watch->named_folders[i]);
        watch->are_told_folders_old |= is_other;
        if (is_other)
            put_named_soon(watch, i);
    }
}

static void follow_all(struct watch *watch)
{
    watch->must_follow = false;
    if (folder_follow(watch, &watch->global))
        put_global_soon(watch);
    folder_follow(watch, &watch->parent);
    if (folder_follow(watch, &watch->tenants))
        put_folder_soon(watch);
    follow_named(watch);
    remove_left(watch);
}

/* -- Events ----------------------------------------------------------------------------------- */

/* A link is there at once, and has nobody who closes it. */
static bool is_linked(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 && (S_ISLNK(status.st_mode) || status.st_nlink > 1);
}

/* How the name came into the folder decides when it is looked at. A file that was just made is
 * waited for until its writer closes it, whatever its name was before. `before`: NULL is nothing.
 */
static enum wait wait_for(const struct change *before, const char *path, uint32_t mask)
{
    if ((mask & (IN_CLOSE_WRITE | IN_MOVED_TO)) != 0)
        return WAIT_SOON;
    if ((mask & IN_CREATE) != 0)
        return is_linked(path) ? WAIT_SOON : WAIT_MADE;
    /* Another mode does not say that what was waited for is there. */
    return (mask & IN_ATTRIB) != 0 && before != NULL ? before->wait : WAIT_LATER;
}

static void put_event(struct watch *watch, struct changes *changes, const char *path,
                      const struct inotify_event *event)
{
    put(watch, changes, path, wait_for(changes_find(changes, path), path, event->mask));
}

/* Whether it is a symbolic link that other names may lead through, such as Kubernetes' "..data". */
static bool notice_link(struct watch *watch, const struct folder *folder, const char *name)
{
    struct stat status;
    char *path = memory_format("%s/%s", folder->path, name);
    bool is = lstat(path, &status) == 0 && S_ISLNK(status.st_mode);
    watch->must_follow |= is;
    free(path);
    return is;
}

/* Parts are known by their names alone: reading the global file once too often does no harm. */
static bool is_of_global(const struct watch *watch, const char *name)
{
    for (size_t i = 0; i < watch->part_count; i++)
        if (strcmp(watch->parts[i].name, name) == 0)
            return true;
    return strcmp(watch->global_file.name, name) == 0;
}

/* Whether the file is one that is named in the folder of this place: "a" and "./a" are one. */
static bool touch_named(struct watch *watch, size_t folder, const struct inotify_event *event)
{
    size_t first = named_place(watch, folder, event->name);
    size_t i = first;
    for (; i < watch->named_count; i++) {
        const struct named_file *named = &watch->named[i];
        if (named->folder != folder || strcmp(named->file.name, event->name) != 0)
            break;
        put_event(watch, &watch->changed_named, named->path, event);
    }
    return i > first;
}

static bool is_of_tenants(const struct watch *watch, const struct inotify_event *event)
{
    return event->wd == watch->tenants.descriptor && tenant_file_name(event->name);
}

/* A file that gets another name waits for its old one to be gone, lest its tenants be taken for
 * those of two files; and whatever is moved while it waits is told with it, as two may swap names
 * by way of a third. One that was not told of by its old name was written aside. */
static void on_tenants_file(struct watch *watch, const struct inotify_event *event)
{
    char *path = memory_format("%s/%s", watch->tenants.path, event->name);
    const struct change *before = changes_find(&watch->changed_files, path);
    if ((event->mask & IN_MOVED_FROM) != 0)
        watch->moved_cookie = before == NULL || before->wait == WAIT_LATER ? event->cookie : 0;
    if ((event->mask & IN_MOVED_TO) != 0)
        watch->has_renamed |= event->cookie == watch->moved_cookie;
    if ((event->mask & IN_MOVED_TO) != 0 && watch->has_renamed)
        put(watch, &watch->changed_files, path, WAIT_LATER);
    else
        put_event(watch, &watch->changed_files, path, event);
    free(path);
}

static void on_tenants_event(struct watch *watch, const struct inotify_event *event)
{
    if (is_of_tenants(watch, event))
        on_tenants_file(watch, event);
    else if (notice_link(watch, &watch->tenants, event->name))
        put_folder_soon(watch);
}

static void on_global_event(struct watch *watch, const struct inotify_event *event)
{
    if (is_of_global(watch, event->name)) {
        char *path = memory_format("%s/%s", watch->global.path, event->name);
        put_event(watch, &watch->changed_globals, path, event);
        free(path);
    } else if (notice_link(watch, &watch->global, event->name) || (event->mask & IN_ISDIR) != 0) {
        /* The folder of tenants may have come, without which the global file was no good. */
        put_global_soon(watch);
    }
}

static void on_named_event(struct watch *watch, const struct inotify_event *event)
{
    size_t folder;
    for (size_t place = told_place(watch, event->wd);
         next_told(watch, &place, event->wd, &folder);) {
        if (!touch_named(watch, folder, event) && !is_of_tenants(watch, event) &&
            notice_link(watch, &watch->named_folders[folder], event->name))
            put_named_soon(watch, folder);
    }
}

/* Among what was lost may be that a folder is gone. Its number may be that of the next one, so no
 * look would tell. */
static void forget_descriptors(struct watch *watch)
{
    watch->global.descriptor = watch->tenants.descriptor = watch->parent.descriptor = -1;
    for (size_t i = 0; i < watch->named_folder_count; i++)
        watch->named_folders[i].descriptor = -1;
}

/* The kernel watches this folder no longer. */
static void lose(struct watch *watch, int descriptor)
{
    struct folder *const folders[] = {&watch->global, &watch->tenants, &watch->parent};
    for (size_t i = 0; i < COUNT_OF(folders); i++)
        if (folders[i]->descriptor == descriptor)
            folders[i]->descriptor = -1;
    size_t folder;
    for (size_t place = told_place(watch, descriptor);
         next_told(watch, &place, descriptor, &folder);)
        watch->named_folders[folder].descriptor = -1;
}

/* What else moves them is found by the look: to follow all costs each a stat(), which is dear where
 * each of many tenants has a folder. */
static bool may_move_folders(const struct watch *watch, const struct inotify_event *event)
{
    const uint32_t MOVES = IN_Q_OVERFLOW | IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_ISDIR;
    return (event->mask & MOVES) != 0 || event->wd == watch->parent.descriptor;
}

static void on_event(struct watch *watch, const struct inotify_event *event)
{
    watch->must_follow |= may_move_folders(watch, event);
    if ((event->mask & IN_Q_OVERFLOW) != 0) {
        log_event(LOG_NOTICE, "changes_missed", LOG_TEXT("so", "everything is looked through"));
        forget_descriptors(watch);
        forget_changes(watch); /* that a file was closed may be lost as well */
        put_global_soon(watch);
        put_folder_soon(watch); /* which looks at named files, too */
        return;
    }
    if ((event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)) != 0) {
        /* What is at the path from now on is looked for by follow_all(). */
        if ((event->mask & IN_IGNORED) != 0)
            lose(watch, event->wd);
        return;
    }
    if (event->len == 0)
        return;
    if (event->wd == watch->global.descriptor)
        on_global_event(watch, event);
    if (event->wd == watch->tenants.descriptor)
        on_tenants_event(watch, event);
    on_named_event(watch, event);
}

static void read_events(struct watch *watch)
{
    _Alignas(struct inotify_event) char buffer[EVENT_BYTES];

    for (int reads = 0; reads < MAX_READS; reads++) {
        ssize_t size = read(watch->fd, buffer, sizeof(buffer));
        if (size <= 0)
            break;
        for (const char *position = buffer; position < buffer + size;) {
            const struct inotify_event *event = (const void *)position;
            on_event(watch, event);
            position += sizeof(*event) + event->len;
        }
    }
    if (watch->must_follow)
        follow_all(watch);
}

static void on_readable(void *context)
{
    struct watch *watch = context;
    read_events(watch);
    arm_timer(watch);
}

/* What has happened since is read first: a file that went may be in the making by now. */
static void on_timer(void *context)
{
    struct watch *watch = context;
    read_events(watch);
    int64_t now_ms = clock_mono_ms();
    for (enum wait wait = 0; wait < WAIT_COUNT; wait++)
        if (watch->batches[wait].due_ms != 0 && now_ms >= watch->batches[wait].due_ms)
            run_batch(watch, wait);
    arm_timer(watch);
}

/* -- Looks ------------------------------------------------------------------------------------ */

static void begin_watching(struct watch *watch)
{
    struct error_text why;
    watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watch->fd >= 0) {
        watch->readable =
            main_watch_new(watch->main_loop, watch->fd, MAIN_READ, on_readable, watch);
        if (watch->is_told)
            log_event(LOG_NOTICE, "watching", LOG_TEXT("so", "changes are in force at once again"));
    } else if (!watch->is_told) {
        error_set_errno(&why, "cannot watch the configuration's folders");
        log_event(LOG_ERROR, "cannot_watch", LOG_TEXT("reason", why.text),
                  LOG_TEXT("so", "changes are looked for every 5 s"),
                  LOG_TEXT("hint", "raise fs.inotify.max_user_instances (sysctl)"));
    }
    watch->is_told = watch->fd < 0;
}

static bool is_unwatched(const struct watch *watch, const struct folder *folder)
{
    return watch->fd < 0 || folder->is_told;
}

static bool stamp_differs(struct file_stamp *stamp, const struct file_stamp *now)
{
    bool differs = !file_stamp_equal(stamp, now);
    *stamp = *now;
    return differs;
}

/* Whether it is another file than at the last look. */
static bool file_differs(const struct folder *folder, struct looked_file *file)
{
    char *path = memory_format("%s/%s", folder->path, file->name);
    struct file_stamp now = file_stamp_read(path);
    free(path);
    return stamp_differs(&file->stamp, &now);
}

/* A wrong file would be told of with each reading, so that it is read when it is another one, or
 * when the folder of tenants has come, without which it may have been no good. */
static void look_at_global(struct watch *watch)
{
    struct file_stamp tenants = file_stamp_read(watch->tenants.path);
    struct file_stamp now = {.device = tenants.device, .inode = tenants.inode};
    bool differs = file_differs(&watch->global, &watch->global_file);
    differs |= stamp_differs(&watch->tenants_stamp, &now);
    for (size_t i = 0; i < watch->part_count; i++)
        differs |= file_differs(&watch->global, &watch->parts[i]);
    if (differs)
        put_global_soon(watch);
}

static void look_at_named(struct watch *watch)
{
    for (size_t i = 0; i < watch->named_count; i++) {
        struct named_file *named = &watch->named[i];
        const struct folder *folder = &watch->named_folders[named->folder];
        if (is_unwatched(watch, folder) && file_differs(folder, &named->file))
            put_soon(watch, &watch->changed_named, named->path);
    }
}

static void look(struct watch *watch)
{
    if (watch->fd < 0)
        begin_watching(watch);
    follow_all(watch);
    if (is_unwatched(watch, &watch->tenants))
        put_folder_soon(watch); /* where files have stamps of their own */
    if (is_unwatched(watch, &watch->global))
        look_at_global(watch);
    look_at_named(watch);
    arm_timer(watch);
}

static void on_look(void *context)
{
    look(context);
}

char *watch_trouble(const struct watch *watch)
{
    const struct folder *const folders[] = {&watch->global, &watch->tenants, &watch->parent};
    if (watch->fd < 0)
        return memory_format("no folder of the configuration can be watched");
    for (size_t i = 0; i < COUNT_OF(folders); i++)
        if (folders[i]->is_told)
            return memory_format("%s cannot be watched", folders[i]->path);
    for (size_t i = 0; i < watch->named_folder_count; i++)
        if (watch->named_folders[i].is_told)
            return memory_format("%s cannot be watched", watch->named_folders[i].path);
    return NULL;
}

/* -- Life ------------------------------------------------------------------------------------- */

/* Splits "/a/b" into "/a" and "b", "b" into "." and "b". */
static void split_path(const char *path, char **folder, char **name)
{
    struct slice text = slice_of(path);
    while (text.size > 1 && text.data[text.size - 1] == '/')
        text.size--;
    size_t slash = text.size;
    while (slash > 0 && text.data[slash - 1] != '/')
        slash--;
    *name = memory_copy_text(slice_skip(text, slash));
    if (slash == 0)
        *folder = memory_copy_text(SLICE("."));
    else
        *folder = memory_copy_text(slice_head(text, slash > 1 ? slash - 1 : 1));
}

static void set_tenants_dir(struct watch *watch, const char *tenants_dir)
{
    char *name;
    free(watch->tenants.path);
    free(watch->parent.path);
    watch->tenants.path = memory_copy_text(slice_of(tenants_dir));
    split_path(tenants_dir, &watch->parent.path, &name);
    free(name);
}

static void free_parts(struct watch *watch)
{
    for (size_t i = 0; i < watch->part_count; i++)
        free(watch->parts[i].name);
    free(watch->parts);
}

/* All zero for one that was none before. */
static struct file_stamp part_stamp(const struct watch *watch, const char *name)
{
    for (size_t i = 0; i < watch->part_count; i++)
        if (strcmp(watch->parts[i].name, name) == 0)
            return watch->parts[i].stamp;
    return (struct file_stamp){0};
}

void watch_set_parts(struct watch *watch, char *const *paths, size_t count)
{
    struct looked_file *parts = memory_new((count + 1) * sizeof(*parts));
    for (size_t i = 0; i < count; i++) {
        char *folder;
        split_path(paths[i], &folder, &parts[i].name);
        parts[i].stamp = part_stamp(watch, parts[i].name);
        free(folder);
    }
    free_parts(watch);
    watch->parts = parts;
    watch->part_count = count;
}

static void free_named(struct watch *watch)
{
    for (size_t i = 0; i < watch->named_count; i++)
        free(watch->named[i].file.name);
    memory_free_texts(watch->named_paths, watch->named_count);
    for (size_t i = 0; i < watch->named_folder_count; i++)
        free(watch->named_folders[i].path);
    free(watch->named);
    free(watch->named_folders);
    free(watch->told_folders);
}

/* NULL: there is none of this path. */
static const struct folder *find_folder(const struct watch *watch, const char *path)
{
    if (watch->named_folder_count == 0) /* a path is what such a folder begins with */
        return NULL;
    return bsearch(&path, watch->named_folders, watch->named_folder_count,
                   sizeof(*watch->named_folders), memory_compare_texts);
}

/* Those of the paths. One that was watched before stays so. */
static void add_folders(struct watch *watch, const struct watch *before, char *const *paths,
                        size_t count)
{
    char **folders = memory_new((count + 1) * sizeof(*folders));
    for (size_t i = 0; i < count; i++) {
        char *name;
        split_path(paths[i], &folders[i], &name);
        free(name);
    }
    count = memory_sort_texts_once(folders, count);
    watch->named_folders = memory_new((count + 1) * sizeof(*watch->named_folders));
    watch->named_folder_count = count;
    for (size_t i = 0; i < count; i++) {
        const struct folder *old = find_folder(before, folders[i]);
        watch->named_folders[i] = old != NULL ? *old : (struct folder){.descriptor = -1};
        watch->named_folders[i].path = folders[i];
    }
    watch->told_folders = NULL;
    watch->are_told_folders_old = true;
    free(folders);
}

/* All zero for one that was not named before. */
static struct file_stamp named_stamp(const struct watch *before, const char *folder_path,
                                     const char *name)
{
    const struct folder *folder = find_folder(before, folder_path);
    if (folder == NULL)
        return (struct file_stamp){0};
    size_t index = (size_t)(folder - before->named_folders);
    size_t place = named_place(before, index, name);
    const struct named_file *named = &before->named[place];
    bool is_there = place < before->named_count && named->folder == index &&
                    strcmp(named->file.name, name) == 0;
    return is_there ? named->file.stamp : (struct file_stamp){0};
}

static void add_named(struct watch *watch, const struct watch *before, const char *path)
{
    char *folder;
    struct named_file *named = &watch->named[watch->named_count++];
    named->path = path;
    split_path(path, &folder, &named->file.name);
    named->folder = (size_t)(find_folder(watch, folder) - watch->named_folders);
    named->file.stamp = named_stamp(before, folder, named->file.name);
    free(folder);
}

static bool same_named(const struct watch *watch, char *const *paths, size_t count)
{
    bool same = count == watch->named_count;
    for (size_t i = 0; same && i < count; i++)
        same = strcmp(watch->named_paths[i], paths[i]) == 0;
    return same;
}

void watch_set_named(struct watch *watch, char **paths, size_t count)
{
    count = memory_sort_texts_once(paths, count);
    if (same_named(watch, paths, count)) {
        memory_free_texts(paths, count);
        return;
    }
    struct watch before = *watch;
    watch->named_paths = paths;
    watch->named = memory_new((count + 1) * sizeof(*watch->named));
    watch->named_count = 0;
    add_folders(watch, &before, paths, count);
    for (size_t i = 0; i < count; i++)
        add_named(watch, &before, paths[i]);
    qsort(watch->named, count, sizeof(*watch->named), compare_named);
    for (size_t i = 0; i < before.named_folder_count; i++)
        if (find_folder(watch, before.named_folders[i].path) == NULL)
            leave(watch, before.named_folders[i].descriptor);
    free_named(&before);
    follow_named(watch);
    remove_left(watch);
    arm_timer(watch);
}

void watch_set_tenants_dir(struct watch *watch, const char *tenants_dir)
{
    if (strcmp(watch->tenants.path, tenants_dir) == 0)
        return;
    set_tenants_dir(watch, tenants_dir);
    changes_fini(&watch->changed_files); /* they are no tenants' any more */
    look(watch);
}

struct watch *watch_new(struct main_loop *main_loop, const char *global_path,
                        const char *tenants_dir, const struct watch_events *events)
{
    struct watch *watch = memory_new(sizeof(*watch));
    watch->events = *events;
    watch->main_loop = main_loop;
    watch->fd = -1;
    forget_descriptors(watch);
    split_path(global_path, &watch->global.path, &watch->global_file.name);
    set_tenants_dir(watch, tenants_dir);
    watch->timer = main_timer_new(main_loop, on_timer, watch);
    watch->look_timer = main_timer_new(main_loop, on_look, watch);
    main_timer_every(watch->look_timer, LOOK_MS);
    /* Whatever changed since the files were read is found by looking once more. */
    look(watch);
    return watch;
}

void watch_free(struct watch *watch)
{
    if (watch == NULL)
        return;
    main_watch_free(watch->readable);
    main_timer_free(watch->timer);
    main_timer_free(watch->look_timer);
    forget_changes(watch);
    free(watch->global.path);
    free(watch->global_file.name);
    free(watch->tenants.path);
    free(watch->parent.path);
    free_parts(watch);
    free_named(watch);
    free(watch->left);
    if (watch->fd >= 0)
        close(watch->fd);
    free(watch);
}
