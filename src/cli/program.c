/* Programs by their names: see program.h. */
#include "cli/program.h"

#include "core/memory.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_program(const char *file)
{
    struct stat status;
    return stat(file, &status) == 0 && S_ISREG(status.st_mode) && access(file, X_OK) == 0;
}

/* In one of the folders of a list as PATH is one. An empty one would be the folder that we are in,
 * which root should not run programs from. */
static char *find_in(const char *folders, const char *name)
{
    for (const char *at = folders;; at++) {
        size_t size = strcspn(at, ":");
        char *file = memory_format("%.*s/%s", (int)size, at, name);
        if (size > 0 && is_program(file))
            return file;
        free(file);
        at += size;
        if (*at == '\0')
            return NULL;
    }
}

char *program_find(const char *name, bool or_roots)
{
    const char *path = getenv("PATH");
    if (strchr(name, '/') != NULL)
        return is_program(name) ? memory_copy_text(slice_of(name)) : NULL;
    char *file = find_in(path != NULL ? path : "/bin:/usr/bin", name);
    if (file == NULL && or_roots)
        file = find_in("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", name);
    return file;
}
