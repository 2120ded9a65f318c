/* HAProxy's files: see haproxy_files.h. */
#include "serving/haproxy_files.h"

#include "core/file_path.h"
#include "core/file_stamp.h"
#include "core/memory.h"
#include "core/whole_file.h"
#include "serving/certificates.h"
#include "serving/haproxy_wanted.h"
#include "serving/map_file.h"

#include <stdlib.h>

struct haproxy_files {
    struct file_stamp config, spoe;
    uint64_t content_hash; /* of what was in force then */
    char *missing;
};

char *haproxy_files_fix(const struct configuration *configuration)
{
    struct slice folder = file_path_folder(hap_spoe_path(&configuration->haproxy));
    bool is_usual = strcmp(configuration->path, DEFAULT_CONFIGURATION) == 0;
    return memory_format("owui-spoa haproxy-config --out %.*s%s%s && systemctl reload haproxy",
                         SLICE_PRINT(folder), is_usual ? "" : " -c ",
                         is_usual ? "" : configuration->path);
}

enum error haproxy_files_ensure(const struct configuration *configuration, struct error_text *why)
{
    const char *const maps[] = {configuration->haproxy.fallback_map,
                                configuration->haproxy.decision_map};
    struct error_text reason;
    enum error error = certificates_placeholder(configuration, &reason);
    for (size_t i = 0; i < COUNT_OF(maps); i++) {
        enum error own = maps[i] != NULL ? map_file_ensure(maps[i], &reason) : ERROR_OK;
        error = own != ERROR_OK ? own : error;
    }
    if (error != ERROR_OK)
        error_set(why, error, "%s; HAProxy starts when the service has made it", reason.text);
    return error;
}

/* NULL where it cannot be read: what is there is then for `doctor` to tell. */
static char *read_file(const char *path)
{
    char *text;
    bool is_read = whole_file_read(path, HAPROXY_FILE_MAX_BYTES, &text, NULL, NULL) == ERROR_OK;
    return is_read ? text : NULL;
}

static char *compare(const struct configuration *configuration, const struct snapshot *snapshot,
                     const char *config_path, const char *spoe_path)
{
    struct haproxy_wanted wanted;
    char *missing = NULL;
    char *config = read_file(config_path);
    char *spoe = read_file(spoe_path);
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
    const char *spoe_path = hap_spoe_path(&configuration->haproxy);
    char *path = hap_config_path(&configuration->haproxy);
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

static int64_t modified_ms(const char *path)
{
    struct file_stamp stamp = file_stamp_read(path);
    return (int64_t)stamp.modified.tv_sec * 1000 + stamp.modified.tv_nsec / 1000000;
}

int64_t haproxy_files_written_ms(const struct hap_config *config)
{
    char *path = hap_config_path(config);
    int64_t config_ms = modified_ms(path);
    int64_t spoe_ms = modified_ms(hap_spoe_path(config));
    free(path);
    return config_ms > spoe_ms ? config_ms : spoe_ms;
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
