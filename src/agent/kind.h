/* What of Open WebUI a request asks for, wherever the tenant's prefix puts it. */
#pragma once

#include "agent/answer.h"
#include "route/owui_path.h"

/* The path without the prefix, whether that is cut off or one that Open WebUI knows. */
struct slice kind_path(const struct decision *decision);
enum owui_path kind_of(const struct decision *decision);
/* Whether people see it: all else is fetched by scripts and programs, which no other page helps. */
bool kind_is_page(const struct decision *decision);
