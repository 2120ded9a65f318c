/* Memory that ends at an unreadable page: see support/guard.h. */
#include "support/guard.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *guard_new(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t readable = (size + page - 1) / page * page;
    char *start =
        mmap(NULL, readable + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED || mprotect(start + readable, page, PROT_NONE) != 0)
        abort();
    return start + (readable - size);
}

struct slice guard_copy(struct slice bytes)
{
    void *copy = guard_new(bytes.size);
    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    return slice_from(copy, bytes.size);
}
