/* HAProxy's files: see haproxy_files.h. */
#include "haproxy_files.h"

#include "core/file_stamp.h"
#include "core/memory.h"
#include "haproxy_wanted.h"

#include <stdio.h>
#include <stdlib.h>

enum { FILE_MAX_BYTES = 4 * 1024 * 1024 };

struct haproxy_files {
    struct file_stamp config, spoe;
    uint64_t content_hash; /* of what was in force then */
    char *missing;
};

char *haproxy_files_path(const char *spoe_path)
{
    const char *spoe = spoe_path != NULL ? spoe_path : "/etc/haproxy/owui.spoe.cfg";
    const char *slash = strrchr(spoe, '/');
    return memory_format("%.*shaproxy.cfg", slash != NULL ? (int)(slash - spoe) + 1 : 0, spoe);
}

char *haproxy_files_read(const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return NULL;
    char *text = memory_new(FILE_MAX_BYTES + 1);
    size_t size = fread(text, 1, FILE_MAX_BYTES, file);
    text[size] = '\0';
    fclose(file);
    return memory_resize(text, size + 1, 1);
}

static char *compare(const struct configuration *configuration, const struct snapshot *snapshot,
                     const char *config_path, const char *spoe_path)
{
    struct haproxy_wanted wanted;
    char *missing = NULL;
    char *config = haproxy_files_read(config_path);
    char *spoe = haproxy_files_read(spoe_path);
    if (config != NULL) {
        haproxy_wanted_init(&wanted, configuration, snapshot);
        missing = hap_config_missing(&wanted.config, slice_of(config), slice_of(spoe));
        haproxy_wanted_fini(&wanted);
    }
    free(config);
    free(spoe);
    return missing;
}

const char *haproxy_files_missing(struct haproxy_files *files,
                                  const struct configuration *configuration,
                                  const struct snapshot *snapshot)
{
    const char *spoe_path = configuration->haproxy.spoe_path;
    char *path = haproxy_files_path(spoe_path);
    struct file_stamp config = file_stamp_read(path);
    struct file_stamp spoe = file_stamp_read(spoe_path);
    if (!file_stamp_equal(&config, &files->config) || !file_stamp_equal(&spoe, &files->spoe) ||
        files->content_hash != snapshot->content_hash) {
        free(files->missing);
        files->missing = compare(configuration, snapshot, path, spoe_path);
        files->config = config;
        files->spoe = spoe;
        files->content_hash = snapshot->content_hash;
    }
    free(path);
    return files->missing;
}

int64_t haproxy_files_written_s(const struct haproxy_files *files)
{
    return files->config.modified.tv_sec;
}

struct haproxy_files *haproxy_files_new(void)
{
    return memory_new(sizeof(struct haproxy_files));
}

void haproxy_files_free(struct haproxy_files *files)
{
    if (files == NULL)
        return;
    free(files->missing);
    free(files);
}
