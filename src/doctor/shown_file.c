/* Which file is shown: see shown_file.h. */
#include "shown_file.h"

#include "core/memory.h"
#include "core/whole_file.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

enum { PEM_MAX_BYTES = 64 * 1024 };

static bool has_it(const char *path, const struct crypto_certificate *shown)
{
    struct crypto_certificate about;
    char *pem;
    size_t size;
    if (whole_file_read(path, PEM_MAX_BYTES, &pem, &size, NULL) != ERROR_OK)
        return false;
    bool is_read = crypto_certificate_read(slice_from(pem, size), &about, NULL) == ERROR_OK;
    bool has_it = is_read && memcmp(about.sha256, shown->sha256, sizeof(about.sha256)) == 0;
    if (is_read)
        crypto_certificate_free(&about);
    memory_wipe(pem, size); /* there is a key in it */
    free(pem);
    return has_it;
}

char *shown_file_find(const char *folder, const struct crypto_certificate *shown)
{
    DIR *entries = opendir(folder);
    const struct dirent *entry;
    char *found = NULL;
    while (entries != NULL && found == NULL && (entry = readdir(entries)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        char *path = memory_format("%s/%s", folder, entry->d_name);
        if (has_it(path, shown))
            found = path;
        else
            free(path);
    }
    if (entries != NULL)
        closedir(entries);
    return found;
}
