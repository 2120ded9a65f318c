/* Files of the configuration: their bytes, and their names as long as diagnostics need them. */
#pragma once

#include "conf/text_file.h"

/* A copy of the name that lives as long as the process, the same one for the same name. For the
 * thread that reads configuration. */
const char *file_name_keep(const char *name);
