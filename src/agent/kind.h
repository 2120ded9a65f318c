/* What of Open WebUI a request asks for, wherever the tenant's prefix puts it. */
#pragma once

#include "agent/answer.h"
#include "route/owui_path.h"

enum owui_path kind_of(const struct decision *decision);
/* Whether people see it: all else is fetched by scripts and programs, which no other page helps. */
bool kind_is_page(const struct decision *decision);
