/* What the subcommands that talk to the daemon share: where its socket is, one question, and the
 * reading and printing of answers. */
#pragma once

#include "conf/configuration.h"
#include "json/json.h"

/* The global file; NULL, with what is wrong with it told on stderr, when it cannot be read. For
 * configuration_free(). */
struct configuration *ask_configuration(const char *path);
/* The admin socket: `socket` if told, else that of the configuration, which is told on stderr when
 * it is wrong, and is then that of the daemon that goes by what it said before. NULL, told on
 * stderr, when there is no telling; for free(). */
char *ask_socket(const char *socket, const char *configuration);
/* The same; `*others` is where HAProxy finds other agents than the one that is asked, which know
 * nothing of what is changed here (own_address_others()), as far as a configuration tells. */
char *ask_socket_of_several(const char *socket, const char *configuration, char **others);
/* The daemon's answer; NULL when there is none or it is a refusal, which is then told on stderr,
 * with the exit code in `*code`. */
struct json *ask(const char *socket, const char *method, const char *path, const struct json *body,
                 int *code);
/* The same, only if what is there has this ETag; NULL: in any case. */
struct json *ask_if(const char *socket, const char *method, const char *path, const char *if_match,
                    const struct json *body, int *code);
/* An item in a path: no name of ours needs percent-encoding, and others must not become one. */
MUST_CHECK bool ask_item_valid(const char *name);

int64_t ask_number(const struct json *object, const char *key); /* 0 when not there */
void ask_print_json(const struct json *answer);
