/* Watches the configuration's folders, so that a change is in force right after its file is closed.
 *
 * Folders are watched, not files: editors and deployments replace files by renaming, and Kubernetes
 * swaps a symbolic link ("..data") under all of them at once. What is acted on:
 *
 *     a file closed after writing, or moved in      at once
 *     one that went, or came without being written  a moment later, because an editor may be about
 *                                                   to write it anew
 *     one whose name in the folder was another one  with that, when it went
 *     one that was made, and nobody has closed      once it was left alone for some seconds, for it
 *                                                   may be a link whose other name is gone
 *     anything else that came or went               the whole folder is looked through
 *     more events than the kernel keeps             everything is looked through
 *     a folder that the kernel does not watch       looked at every few seconds
 *
 * Main thread only.
 */
#pragma once

#include "net/main_loop.h"

struct watch;

struct watch_events {
    void (*on_global)(void *context);
    void (*on_files)(void *context, char *const *paths, size_t count);
    void (*on_folder)(void *context);
    void (*on_named)(void *context, char *const *paths, size_t count);
    void *context;
};

struct watch *watch_new(struct main_loop *main_loop, const char *global_path,
                        const char *tenants_dir, const struct watch_events *events)
    __attribute__((returns_nonnull));
/* The files that the global one names: those beside it count as parts of it. */
void watch_set_parts(struct watch *watch, char *const *paths, size_t count);
/* The files that tenants name, in whatever folder; takes the list, in any order, with repeats. */
void watch_set_named(struct watch *watch, char **paths, size_t count);
/* From now on another folder of tenants; no-op when it is the same. */
void watch_set_tenants_dir(struct watch *watch, const char *tenants_dir);
/* What the kernel does not watch at present, for free(): "/etc/owui-spoa cannot be watched". NULL:
 * all is watched. */
char *watch_trouble(const struct watch *watch);
void watch_free(struct watch *watch);
