/* The admin interface: what has to read all of the configuration's files to be answered. With
 * 100,000 tenants that takes seconds, so it is done in a thread beside the main one. */
#pragma once

#include "admin/admin_server.h"
#include "conf/configuration.h"

struct admin_files;

/* NULL for a NULL server. */
struct admin_files *admin_files_new(struct admin_server *server,
                                    const struct configuration *configuration);
/* What is being read is not read to its end, and nothing is from now on: the daemon stops. */
void admin_files_give_up(struct admin_files *files);
/* NULL is fine, here and above. */
void admin_files_free(struct admin_files *files);
