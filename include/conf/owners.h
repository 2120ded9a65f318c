/* Which file has a name that several files claim, over a restart.
 *
 * While the daemon runs, a host, a path or a tenant's name belongs to the file that had it first. A
 * start would know no more than the order of the files' names: who may write a file that sorts
 * earlier could take over what is another's. So the daemon keeps, of what is claimed twice and of
 * nothing else, which file has it, in STATE/owners.json:
 *
 *     {"claims": {"chat.example.com": "sales.json", "example.com/owui": "sales.json"},
 *      "tenants": {"chat": "sales.json"}}
 *
 * What is not there, or cannot be read, goes to the first file, as ever.
 */
#pragma once

#include "route/table.h"

enum { OWNERS_MAX_BYTES = 4 * 1024 * 1024 };

struct owners;

/* "STATE/owners.json"; for free(). */
char *owners_path(const char *state_dir) __attribute__((returns_nonnull));
/* NULL when nothing is remembered, or nothing that can be read; and for NULL. */
struct owners *owners_load(const char *state_dir);
struct owners *owners_parse(struct slice text);
void owners_free(struct owners *owners); /* NULL is fine, here and below */

/* The name that a tenant's file has there. */
const char *owners_file_of(const struct tenant *tenant);
/* route_prefer_fn: whether who comes later had it before. */
bool owners_prefer(void *owners, const struct route_conflict *conflict);
/* The same of two tenants with one name. */
bool owners_prefer_tenant(const struct owners *owners, const struct tenant *first,
                          const struct tenant *later);
/* Whether the file had this name, of those that several claim; and whether another one had it. */
bool owners_has_tenant(const struct owners *owners, const char *path, const char *name);
bool owners_another_has_tenant(const struct owners *owners, const char *path, const char *name);
