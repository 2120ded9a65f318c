/* What several files claim, and which of them has it: see conf/owners.h.
 *
 * A conflict is noted when it is told, and forgotten when somebody asks and it is none any more: so
 * nothing is looked through while there is none, and nothing but conflicts when there are some. A
 * name is claimed by a tenant that is wrong, too: so files that have some are looked through.
 */
#include "sources_shared.h"

#include "core/memory.h"
#include "core/sorted.h"
#include "json/json.h"

#include <stdlib.h>

enum { CONTESTS_MAX = 10000 }; /* what is beyond goes by the files' names at the next start */

static const char *key_at(const void *sources, size_t index)
{
    return ((const struct sources *)sources)->contests[index];
}

void sources_note_contest(struct sources *sources, struct slice key)
{
    bool is_there;
    if (sources->contest_count == CONTESTS_MAX)
        return;
    char *text = memory_copy_text(key);
    size_t place = sorted_place(sources, sources->contest_count, key_at, text, &is_there);
    if (is_there) {
        free(text);
        return;
    }
    sources->contests =
        memory_resize(sources->contests, sources->contest_count + 1, sizeof(*sources->contests));
    memmove(sources->contests + place + 1, sources->contests + place,
            (sources->contest_count - place) * sizeof(*sources->contests));
    sources->contests[place] = text;
    sources->contest_count++;
}

static void tell_claims(struct sources *sources, struct json *claims)
{
    size_t kept = 0;
    for (size_t i = 0; i < sources->contest_count; i++) {
        char *key = sources->contests[i];
        const struct tenant *holder = route_registry_contest(sources->registry, slice_of(key));
        if (holder == NULL) {
            free(key);
            continue;
        }
        sources->contests[kept++] = key;
        json_put_text(claims, key, slice_of(owners_file_of(holder)));
    }
    sources->contest_count = kept;
}

static void tell_name(const struct sources *sources, const struct source *source, const char *name,
                      struct json *names)
{
    const struct tenant *holder = route_registry_find(sources->registry, slice_of(name));
    if (holder != NULL && !source_has(source, holder) && json_count(names) < CONTESTS_MAX)
        json_put_text(names, name, slice_of(owners_file_of(holder)));
}

static void tell_names(const struct sources *sources, const struct source *source,
                       struct json *names)
{
    if (source == NULL)
        return;
    for (size_t i = 0; i < source->shadowed.count; i++)
        tell_name(sources, source, source->shadowed.items[i].name, names);
    for (size_t i = 0; source->refused > 0 && i < source->names.count; i++)
        if (source->names.items[i].is_broken)
            tell_name(sources, source, source->names.items[i].name, names);
}

struct json *sources_contests(struct sources *sources)
{
    struct json *root = json_new_object();
    struct json *claims = json_new_object(), *names = json_new_object();
    json_put(root, "claims", claims);
    json_put(root, "tenants", names);
    tell_claims(sources, claims);
    tell_names(sources, sources->inline_source, names);
    for (size_t i = 0; i < sources->file_count; i++)
        tell_names(sources, sources->files[i], names);
    if (json_count(claims) + json_count(names) > 0)
        return root;
    json_free(root);
    return NULL;
}
