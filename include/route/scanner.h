/* Paths that only scanners ask for. Open WebUI answers 200 with its start page to all of them,
 * which keeps scanners coming and hides them in logs. */
#pragma once

#include "core/slice.h"

/* `path` is in normal form. Outside Open WebUI's own trees (/api, /_app, /static, ...):
 *
 *     a segment that begins with "." but is not ".well-known": /.env, /.git/config
 *     a segment that ends with .php, .phtml, .asp, .aspx, .jsp, .jspx, .cgi, .sql or .bak
 *     the first segment is a known product's: wp-admin, phpmyadmin, cgi-bin, actuator, ...
 */
bool path_is_scanners(struct slice path);
