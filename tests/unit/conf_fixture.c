/* See conf_fixture.h. */
#include "conf_fixture.h"

#include "core/memory.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture *fixture_new(void)
{
    struct fixture *fixture = memory_new(sizeof(*fixture));
    snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/conf-XXXXXX");
    cr_assert(mkdtemp(fixture->folder) != NULL);
    char *tenants = memory_format("%s/tenants.d", fixture->folder);
    cr_assert(eq(int, mkdir(tenants, 0700), 0));
    free(tenants);
    return fixture;
}

static int remove_one(const char *path, const struct stat *status, int flag, struct FTW *walk)
{
    (void)status;
    (void)flag;
    (void)walk;
    return remove(path);
}

void fixture_free(struct fixture *fixture)
{
    nftw(fixture->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    whole_fini(&fixture->whole);
    diagnostics_fini(&fixture->diagnostics);
    free(fixture);
}

void fixture_write(const struct fixture *fixture, const char *name, const char *text)
{
    char *path = memory_format("%s/%s", fixture->folder, name);
    FILE *file = fopen(path, "w");
    cr_assert(file != NULL, "%s", path);
    fputs(text, file);
    cr_assert(eq(int, fclose(file), 0));
    free(path);
}

void fixture_load(struct fixture *fixture)
{
    char *path = memory_format("%s/owui-spoa.json", fixture->folder);
    fixture->good = whole_load(path, NULL, &fixture->whole, &fixture->diagnostics);
    free(path);
}

struct fixture *fixture_of(const char *global)
{
    struct fixture *fixture = fixture_new();
    fixture_write(fixture, "owui-spoa.json", global);
    fixture_load(fixture);
    return fixture;
}

bool fixture_said(const struct fixture *fixture, enum code code)
{
    for (size_t i = 0; i < fixture->diagnostics.count; i++)
        if (fixture->diagnostics.items[i].code == code)
            return true;
    return false;
}

char *fixture_text(const struct fixture *fixture)
{
    size_t folder_size = strlen(fixture->folder) + 1;
    char *all = memory_copy_text(SLICE(""));
    for (size_t i = 0; i < fixture->diagnostics.count; i++) {
        char *one = diagnostic_print(&fixture->diagnostics.items[i]);
        for (char *at = strstr(one, fixture->folder); at != NULL; at = strstr(at, fixture->folder))
            memmove(at, at + folder_size, strlen(at + folder_size) + 1);
        char *both = memory_format("%s%s", all, one);
        free(all);
        free(one);
        all = both;
    }
    return all;
}

const struct tenant *fixture_tenant(const struct fixture *fixture, const char *name)
{
    return route_registry_find(fixture->whole.registry, slice_of(name));
}
