/* Registered domains: see acme/budget.h. The only file that includes libpsl.h. */
#include "acme/budget.h"
#include "core/ip.h"

#include <libpsl.h>

void registered_domain(const char *name, char domain[static ACME_NAME_SIZE])
{
    struct ip ip;
    const char *own = NULL;
    if (strncmp(name, "*.", 2) == 0)
        name += 2;
    /* The built-in list is part of the library and is not freed. */
    if (!ip_parse(slice_of(name), &ip))
        own = psl_registrable_domain(psl_builtin(), name);
    struct slice text = slice_of(own != NULL ? own : name);
    size_t size = size_min(text.size, ACME_NAME_SIZE - 1);
    memcpy(domain, text.data, size);
    domain[size] = '\0';
}
