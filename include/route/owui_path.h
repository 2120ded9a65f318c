/* What Open WebUI has at a path of its own root. It has no base path, so these are also the paths
 * that it takes from a host that it shares. */
#pragma once

#include "core/slice.h"

enum owui_path {
    OWUI_PAGE,   /* of its single-page application: what people see */
    OWUI_API,    /* JSON for programs, its own page among them */
    OWUI_ASSET,  /* scripts, pictures, manifests */
    OWUI_SOCKET, /* WebSockets */
    OWUI_OTHER,  /* none of its known paths; it answers with its start page */
};

/* The paths ("/api", and all below it) that a host shares with Open WebUI, one after the other;
 * empty behind the last. Its start page and health checks are not among them: these are the host's
 * own. */
struct slice owui_path_shared(size_t index);

/* `path` is in normal form. */
enum owui_path owui_path_kind(struct slice path);
/* What monitors ask for, by whatever name and port they know; likewise. */
bool owui_path_is_health(struct slice path);
