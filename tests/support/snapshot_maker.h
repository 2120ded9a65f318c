/* What the agent decides by, for fuzz targets that ask it. */
#pragma once

#include "agent/snapshot.h"

/* The tenants of a global file, all of them good. For the process's life. */
void snapshot_make(struct slice global_file, struct snapshot *snapshot);
