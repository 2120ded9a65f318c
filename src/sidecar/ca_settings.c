/* The settings of a CA, copied: see ca_settings.h. */
#include "ca_settings.h"

#include "core/memory.h"

#include <stdlib.h>

static void drop(const void *ours)
{
    free((void *)(uintptr_t)ours);
}

void ca_settings_copy(struct acme_ca_settings *to, const struct acme_ca_settings *from)
{
    const char **contacts = memory_new(from->contact_count * sizeof(*contacts));
    for (size_t i = 0; i < from->contact_count; i++)
        contacts[i] = memory_copy_optional(from->contacts[i]);
    *to = *from;
    to->directory_url = memory_copy_optional(from->directory_url);
    to->ca_file = memory_copy_optional(from->ca_file);
    to->contacts = contacts;
    to->external_kid = memory_copy_optional(from->external_kid);
    to->external_secret = memory_copy_optional(from->external_secret);
    to->profile = memory_copy_optional(from->profile);
    to->preferred_chain = memory_copy_optional(from->preferred_chain);
}

void ca_settings_fini(struct acme_ca_settings *settings)
{
    for (size_t i = 0; i < settings->contact_count; i++)
        drop(settings->contacts[i]);
    if (settings->external_secret != NULL)
        memory_wipe((void *)(uintptr_t)settings->external_secret,
                    strlen(settings->external_secret));
    drop(settings->contacts);
    drop(settings->directory_url);
    drop(settings->ca_file);
    drop(settings->external_kid);
    drop(settings->external_secret);
    drop(settings->profile);
    drop(settings->preferred_chain);
    *settings = (struct acme_ca_settings){0};
}
