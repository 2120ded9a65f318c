/* A configuration in a temporary folder: write files, load them, look at what was said. */
#pragma once

#include "conf/whole.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

struct fixture {
    char folder[64];
    struct diagnostics diagnostics;
    struct whole whole;
    bool good;
};

struct fixture *fixture_new(void);
void fixture_free(struct fixture *fixture);

/* `name` is relative to the folder; tenants' files are "tenants.d/NAME.json". */
void fixture_write(const struct fixture *fixture, const char *name, const char *text);
/* Loads "owui-spoa.json" with what belongs to it. */
void fixture_load(struct fixture *fixture);
/* Both, for a global file alone. */
struct fixture *fixture_of(const char *global);

bool fixture_said(const struct fixture *fixture, enum code code);
/* All diagnostics as text, without the folder's name; to be freed. */
char *fixture_text(const struct fixture *fixture);
const struct tenant *fixture_tenant(const struct fixture *fixture, const char *name);
