/* Watches the configuration's folders: see watch.h. */
#include "sources/watch.h"

#include "conf/configuration.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"

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
    MADE_MS = 2500, /* and up to twice as long: for the writer of what was made to close it */
    LOOK_MS = 5000, /* folders that were replaced without a word are noticed this often */
    EVENT_BYTES = 64 * 1024,
    MAX_READS = 16, /* of events, before others have their turn */
};

static const uint32_t EVENT_MASK = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE |
                                   IN_DELETE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF |
                                   IN_ONLYDIR;

/* What is to be done at one time. */
struct batch {
    int64_t due_ms; /* 0: nothing */
    int64_t limit_ms;
    bool global;
    bool folder;
    bool named;   /* files that tenants name */
    char **names; /* of files in the folder of tenants; may repeat */
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

/* A file that tenants name. */
struct named_file {
    char *path;
    char *name;                /* its last part */
    size_t folder;             /* in watch->named_folders */
    bool is_due;               /* an event was about it */
    bool is_made, is_unclosed; /* it is in the batch of that name */
};

struct watch {
    struct watch_events events;
    int fd;
    struct main_watch *readable;
    struct main_timer *timer;
    struct main_timer *look_timer;
    struct folder global; /* where the global file is */
    struct folder tenants;
    struct folder parent; /* of the folder of tenants: sees that replaced */
    char *global_name;
    char **part_names; /* of files beside the global one that it names */
    size_t part_count;
    struct named_file *named; /* sorted by path */
    size_t named_count;
    struct folder *named_folders; /* sorted by path */
    size_t named_folder_count;
    struct batch soon;
    struct batch later;
    /* What is being written, or was linked and has lost its other name. */
    struct batch made;
    struct batch unclosed; /* and stayed so for a while */
};

/* -- Batches ---------------------------------------------------------------------------------- */

/* The earlier of two, of which 0 is none. */
static int64_t earlier(int64_t one_ms, int64_t other_ms)
{
    return one_ms == 0 || (other_ms != 0 && other_ms < one_ms) ? other_ms : one_ms;
}

static void arm_timer(struct watch *watch)
{
    int64_t due_ms = earlier(earlier(watch->soon.due_ms, watch->later.due_ms),
                             earlier(watch->made.due_ms, watch->unclosed.due_ms));
    int64_t delay_ms = due_ms - clock_mono_ms();
    if (due_ms == 0)
        main_timer_stop(watch->timer);
    else
        main_timer_once(watch->timer, delay_ms > 0 ? delay_ms : 0);
}

static void batch_touch(struct batch *batch, int64_t delay_ms, int64_t limit_ms)
{
    int64_t now_ms = clock_mono_ms();
    if (batch->due_ms == 0)
        batch->limit_ms = now_ms + limit_ms;
    batch->due_ms = now_ms + delay_ms;
    if (batch->due_ms > batch->limit_ms)
        batch->due_ms = batch->limit_ms;
}

static struct batch *soon(struct watch *watch)
{
    batch_touch(&watch->soon, SOON_MS, SOON_LIMIT_MS);
    return &watch->soon;
}

static struct batch *later(struct watch *watch)
{
    batch_touch(&watch->later, LATER_MS, LATER_LIMIT_MS);
    return &watch->later;
}

static struct batch *made(struct watch *watch)
{
    batch_touch(&watch->made, MADE_MS, MADE_MS);
    return &watch->made;
}

static void batch_add(struct batch *batch, const char *name)
{
    if (batch->count > 0 && strcmp(batch->names[batch->count - 1], name) == 0)
        return;
    if (batch->count == batch->capacity) {
        batch->capacity = batch->capacity > 0 ? batch->capacity * 2 : 16;
        batch->names = memory_resize(batch->names, batch->capacity, sizeof(*batch->names));
    }
    batch->names[batch->count++] = memory_copy_text(slice_of(name));
}

/* Begins with the last, which it mostly is. */
static void batch_take_out(struct batch *batch, const char *name)
{
    for (size_t i = batch->count; i-- > 0;) {
        if (strcmp(batch->names[i], name) != 0)
            continue;
        free(batch->names[i]);
        batch->names[i] = batch->names[--batch->count];
        return;
    }
}

static void batch_fini(struct batch *batch)
{
    memory_free_texts(batch->names, batch->count);
    *batch = (struct batch){0};
}

static void call_on_files(const struct watch *watch, const struct batch *batch)
{
    char **paths = memory_resize(NULL, batch->count, sizeof(*paths));
    size_t count = 0;
    qsort(batch->names, batch->count, sizeof(*batch->names), memory_compare_texts);
    for (size_t i = 0; i < batch->count; i++)
        if (i == 0 || strcmp(batch->names[i], batch->names[i - 1]) != 0)
            paths[count++] = memory_format("%s/%s", watch->tenants.path, batch->names[i]);
    watch->events.on_files(watch->events.context, paths, count);
    memory_free_texts(paths, count);
}

static void call_on_named(struct watch *watch, bool tells_unclosed)
{
    char **paths = memory_resize(NULL, watch->named_count + 1, sizeof(*paths));
    size_t count = 0;
    for (size_t i = 0; i < watch->named_count; i++) {
        struct named_file *named = &watch->named[i];
        if (!named->is_due && !(tells_unclosed && named->is_unclosed))
            continue;
        paths[count++] = memory_copy_text(slice_of(named->path));
        named->is_due = named->is_unclosed = false;
    }
    if (count > 0)
        watch->events.on_named(watch->events.context, paths, count);
    memory_free_texts(paths, count);
}

/* Callbacks may change the folder of tenants; what is in the batch then is about the old one. */
static void run_batch(struct watch *watch, struct batch *pending, int64_t now_ms)
{
    if (pending->due_ms == 0 || now_ms < pending->due_ms)
        return;
    struct batch batch = *pending;
    *pending = (struct batch){0};
    if (batch.count > 0 && !batch.folder)
        call_on_files(watch, &batch);
    if (batch.named)
        call_on_named(watch, pending == &watch->unclosed);
    if (batch.global)
        watch->events.on_global(watch->events.context);
    if (batch.folder)
        watch->events.on_folder(watch->events.context);
    batch_fini(&batch);
}

/* A file that was made at the last moment has as much time as the others. */
static void age_made(struct watch *watch, int64_t now_ms)
{
    if (watch->made.due_ms == 0 || now_ms < watch->made.due_ms)
        return;
    assert(watch->unclosed.due_ms == 0); /* it began before */
    watch->unclosed = watch->made;
    watch->unclosed.due_ms = now_ms + MADE_MS;
    watch->made = (struct batch){0};
    for (size_t i = 0; i < watch->named_count; i++) {
        watch->named[i].is_unclosed |= watch->named[i].is_made;
        watch->named[i].is_made = false;
    }
}

static void on_timer(void *context)
{
    struct watch *watch = context;
    int64_t now_ms = clock_mono_ms();
    run_batch(watch, &watch->soon, now_ms);
    run_batch(watch, &watch->later, now_ms);
    run_batch(watch, &watch->unclosed, now_ms);
    age_made(watch, now_ms);
    arm_timer(watch);
}

/* -- Folders ---------------------------------------------------------------------------------- */

static void tell_unwatched(const struct folder *folder)
{
    struct error_text why;
    error_set_errno(&why, "cannot watch %s", folder->path);
    log_event(LOG_ERROR, "cannot_watch", LOG_TEXT("reason", why.text),
              LOG_TEXT("so", "changes are looked for every 5 s"));
}

/* The descriptor is of no folder any more, unless another one has it too. */
static void leave(const struct watch *watch, int descriptor)
{
    if (descriptor < 0)
        return;
    bool is_shared = descriptor == watch->global.descriptor ||
                     descriptor == watch->tenants.descriptor ||
                     descriptor == watch->parent.descriptor;
    for (size_t i = 0; i < watch->named_folder_count; i++)
        is_shared |= descriptor == watch->named_folders[i].descriptor;
    if (!is_shared)
        inotify_rm_watch(watch->fd, descriptor);
}

/* Watches what is at the path now. True when that is another folder than before. */
static bool folder_follow(struct watch *watch, struct folder *folder)
{
    struct stat status;
    int before = folder->descriptor;
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
    folder->is_told = folder->descriptor < 0;
    folder->device = status.st_dev;
    folder->inode = status.st_ino;
    leave(watch, before);
    return folder->descriptor >= 0;
}

/* All files that are named in the folder of this place. */
static void make_due(struct watch *watch, size_t folder)
{
    for (size_t i = 0; i < watch->named_count; i++)
        watch->named[i].is_due |= watch->named[i].folder == folder;
    soon(watch)->named = true;
}

/* What the files are now was not seen to change. */
static void follow_named(struct watch *watch)
{
    for (size_t i = 0; i < watch->named_folder_count; i++)
        if (folder_follow(watch, &watch->named_folders[i]) || watch->named_folders[i].is_told)
            make_due(watch, i);
}

static void follow_all(struct watch *watch)
{
    if (folder_follow(watch, &watch->global))
        soon(watch)->global = true;
    folder_follow(watch, &watch->parent);
    if (folder_follow(watch, &watch->tenants))
        soon(watch)->folder = true;
    follow_named(watch);
}

static void on_look(void *context)
{
    struct watch *watch = context;
    follow_all(watch);
    if (watch->tenants.is_told)
        soon(watch)->folder = true;
    if (watch->global.is_told)
        soon(watch)->global = true;
    arm_timer(watch);
}

/* -- Events ----------------------------------------------------------------------------------- */

/* How the name came into the folder decides when it is looked at. A file that was just made is
 * waited for until its writer closes it; a link is there at once, and has nobody who closes it. */
static struct batch *batch_for(struct watch *watch, const struct folder *folder,
                               const struct inotify_event *event)
{
    if ((event->mask & (IN_CLOSE_WRITE | IN_MOVED_TO)) != 0)
        return soon(watch);
    if ((event->mask & IN_CREATE) == 0)
        return later(watch);
    struct stat status;
    char *path = memory_format("%s/%s", folder->path, event->name);
    bool is_linked = lstat(path, &status) == 0 && (S_ISLNK(status.st_mode) || status.st_nlink > 1);
    free(path);
    return is_linked ? soon(watch) : made(watch);
}

/* A symbolic link that other names may lead through, such as Kubernetes' "..data". */
static bool is_link(const struct folder *folder, const char *name)
{
    struct stat status;
    char *path = memory_format("%s/%s", folder->path, name);
    bool is = lstat(path, &status) == 0 && S_ISLNK(status.st_mode);
    free(path);
    return is;
}

static void on_tenants_event(struct watch *watch, const struct inotify_event *event)
{
    if (tenant_file_name(event->name)) {
        batch_take_out(&watch->made, event->name);
        batch_take_out(&watch->unclosed, event->name);
        batch_add(batch_for(watch, &watch->tenants, event), event->name);
    } else if (is_link(&watch->tenants, event->name)) {
        soon(watch)->folder = true;
    }
}

/* Parts are known by their names alone: reading the global file once too often does no harm. */
static bool is_of_global(const struct watch *watch, const char *name)
{
    for (size_t i = 0; i < watch->part_count; i++)
        if (strcmp(watch->part_names[i], name) == 0)
            return true;
    return strcmp(watch->global_name, name) == 0;
}

static void on_global_event(struct watch *watch, const struct inotify_event *event)
{
    if (is_of_global(watch, event->name)) {
        watch->made.global = watch->unclosed.global = false;
        batch_for(watch, &watch->global, event)->global = true;
    } else if (is_link(&watch->global, event->name) || (event->mask & IN_ISDIR) != 0) {
        /* The folder of tenants may have come, without which the global file was no good. */
        soon(watch)->global = true;
    }
}

/* Whether the file is one that is named in the folder of this place. */
static bool touch_named(struct watch *watch, size_t folder, const struct inotify_event *event)
{
    for (size_t i = 0; i < watch->named_count; i++) {
        struct named_file *named = &watch->named[i];
        if (named->folder != folder || strcmp(named->name, event->name) != 0)
            continue;
        struct batch *batch = batch_for(watch, &watch->named_folders[folder], event);
        batch->named = true;
        named->is_made = batch == &watch->made;
        named->is_due |= !named->is_made;
        return true;
    }
    return false;
}

static void on_named_event(struct watch *watch, const struct inotify_event *event)
{
    for (size_t i = 0; i < watch->named_folder_count; i++) {
        const struct folder *folder = &watch->named_folders[i];
        if (folder->descriptor == event->wd && !touch_named(watch, i, event) &&
            is_link(folder, event->name))
            make_due(watch, i);
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
    for (size_t i = 0; i < watch->named_folder_count; i++)
        if (watch->named_folders[i].descriptor == descriptor)
            watch->named_folders[i].descriptor = -1;
}

static void on_event(struct watch *watch, const struct inotify_event *event)
{
    if ((event->mask & IN_Q_OVERFLOW) != 0) {
        log_event(LOG_NOTICE, "changes_missed", LOG_TEXT("so", "everything is looked through"));
        forget_descriptors(watch);
        soon(watch)->global = true;
        soon(watch)->folder = true; /* which looks at named files, too */
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

static void on_readable(void *context)
{
    struct watch *watch = context;
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
    follow_all(watch);
    arm_timer(watch);
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
    memory_free_texts(watch->part_names, watch->part_count);
}

void watch_set_parts(struct watch *watch, char *const *paths, size_t count)
{
    free_parts(watch);
    watch->part_names = memory_new(count * sizeof(*watch->part_names));
    watch->part_count = count;
    for (size_t i = 0; i < count; i++) {
        char *folder;
        split_path(paths[i], &folder, &watch->part_names[i]);
        free(folder);
    }
}

static void free_named(struct watch *watch)
{
    for (size_t i = 0; i < watch->named_count; i++) {
        free(watch->named[i].path);
        free(watch->named[i].name);
    }
    for (size_t i = 0; i < watch->named_folder_count; i++)
        free(watch->named_folders[i].path);
    free(watch->named);
    free(watch->named_folders);
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
    free(folders);
}

/* What is known of a file that was named before. */
static struct named_file find_named(const struct watch *before, const char *path)
{
    const struct named_file *found = NULL;
    if (before->named_count > 0) /* a path is what such a file begins with */
        found = bsearch(&path, before->named, before->named_count, sizeof(*found),
                        memory_compare_texts);
    return found != NULL ? *found : (struct named_file){0};
}

/* Takes the path. What is due stays due. */
static void add_named(struct watch *watch, const struct watch *before, char *path)
{
    char *folder;
    struct named_file *named = &watch->named[watch->named_count++];
    *named = find_named(before, path);
    named->path = path;
    split_path(path, &folder, &named->name);
    named->folder = (size_t)(find_folder(watch, folder) - watch->named_folders);
    free(folder);
}

static bool same_named(const struct watch *watch, char *const *paths, size_t count)
{
    bool same = count == watch->named_count;
    for (size_t i = 0; same && i < count; i++)
        same = strcmp(watch->named[i].path, paths[i]) == 0;
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
    watch->named = memory_new(count * sizeof(*watch->named));
    watch->named_count = 0;
    add_folders(watch, &before, paths, count);
    for (size_t i = 0; i < count; i++)
        add_named(watch, &before, paths[i]);
    free(paths);
    for (size_t i = 0; i < before.named_folder_count; i++)
        if (find_folder(watch, before.named_folders[i].path) == NULL)
            leave(watch, before.named_folders[i].descriptor);
    free_named(&before);
    follow_named(watch);
    arm_timer(watch);
}

void watch_set_tenants_dir(struct watch *watch, const char *tenants_dir)
{
    if (strcmp(watch->tenants.path, tenants_dir) == 0)
        return;
    set_tenants_dir(watch, tenants_dir);
    follow_all(watch);
    arm_timer(watch);
}

struct watch *watch_new(struct main_loop *main_loop, const char *global_path,
                        const char *tenants_dir, const struct watch_events *events,
                        struct error_text *text)
{
    struct watch *watch = memory_new(sizeof(*watch));
    watch->events = *events;
    forget_descriptors(watch);
    watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watch->fd < 0) {
        error_set_errno(text, "cannot watch the configuration's folders");
        free(watch);
        return NULL;
    }
    split_path(global_path, &watch->global.path, &watch->global_name);
    set_tenants_dir(watch, tenants_dir);
    watch->timer = main_timer_new(main_loop, on_timer, watch);
    watch->look_timer = main_timer_new(main_loop, on_look, watch);
    watch->readable = main_watch_new(main_loop, watch->fd, MAIN_READ, on_readable, watch);
    main_timer_every(watch->look_timer, LOOK_MS);
    /* Whatever changed since the files were read is found by looking once more. */
    follow_all(watch);
    arm_timer(watch);
    return watch;
}

void watch_free(struct watch *watch)
{
    if (watch == NULL)
        return;
    main_watch_free(watch->readable);
    main_timer_free(watch->timer);
    main_timer_free(watch->look_timer);
    batch_fini(&watch->soon);
    batch_fini(&watch->later);
    batch_fini(&watch->made);
    batch_fini(&watch->unclosed);
    free(watch->global.path);
    free(watch->global_name);
    free(watch->tenants.path);
    free(watch->parent.path);
    free_parts(watch);
    free_named(watch);
    close(watch->fd);
    free(watch);
}
