/* Paths of files as text: see core/file_path.h. */
#include "core/file_path.h"

#include "core/memory.h"

struct slice file_path_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return SLICE(".");
    while (slash > path && slash[-1] == '/')
        slash--;
    return slash == path ? SLICE("/") : slice_from(path, (size_t)(slash - path));
}

const char *file_path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

char *file_path_beside(const char *beside, struct slice name)
{
    size_t folder_bytes = (size_t)(file_path_name(beside) - beside);
    if (slice_starts_with(name, SLICE("/")))
        folder_bytes = 0;
    return memory_format("%.*s%.*s", (int)folder_bytes, beside, SLICE_PRINT(name));
}
