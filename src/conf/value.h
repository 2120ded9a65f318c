/* Typed reading of nodes. Each reader reports what is wrong, says false, and then leaves the output
 * as it was. */
#pragma once

#include "core/ip.h"
#include "node.h"

/* The keys of an object, each with the function that reads its value. Unknown keys are reported
 * with the nearest known one. */
struct option {
    const char *name;
    void (*read)(const struct node *node, void *target);
};
void options_read(const struct node *object, const struct option *options, size_t count,
                  void *target);

/* Readers of what every file may have: "$schema", for editors, and "schema", its version. */
void option_read_schema_url(const struct node *node, void *target);
void option_read_schema(const struct node *node, void *target);
/* Of a key that is read elsewhere. */
void option_read_nothing(const struct node *node, void *target);

MUST_CHECK bool node_is(const struct node *node, enum json_type type);
/* Of a header's name, as it can stand in HAProxy's configuration. */
bool value_is_header_byte(char c);
/* Whether a list or an object has no more than `most` entries: looked at before these are, since
 * each is compared with those before it. */
MUST_CHECK bool node_is_short(const struct node *node, size_t most);
MUST_CHECK bool node_text(const struct node *node, struct slice *text);
bool node_copy_text(const struct node *node, char **text); /* frees what was there */
/* The same, of what is compared, or told to somebody: no control bytes, no blanks at its ends. */
bool node_copy_plain(const struct node *node, char **text);
bool node_bool(const struct node *node, bool *boolean);
bool node_unsigned(const struct node *node, unsigned minimum, unsigned maximum, unsigned *number);
/* One that requests may be denied with. */
bool node_denial_status(const struct node *node, uint16_t *status);
/* "500ms", "30s", "10m", "1h", "1d" */
bool node_duration(const struct node *node, unsigned minimum_ms, unsigned maximum_ms,
                   unsigned *duration_ms);
bool node_network(const struct node *node, struct ip_network *network);
/* The same, for what may be longer than a number of 32 bits can tell. */
bool node_long_duration(const struct node *node, uint64_t minimum_ms, uint64_t maximum_ms,
                        uint64_t *duration_ms);
/* Of the number that a text with a unit begins with. */
enum { VALUE_MAX_DIGITS = 9 };
/* Absolute, or beside the file that names it; fit to stand in haproxy.cfg. Frees what was there. */
bool node_file_name(const struct node *node, char **name);
/* Of a user, group, backend: letters, digits, "_", "-", "."; frees what was there. */
bool node_plain_name(const struct node *node, char **name);
MUST_CHECK bool plain_name_is(struct slice text);

struct choice {
    const char *name;
    int value;
};
bool node_choice(const struct node *node, const struct choice *choices, size_t count, int *value);

/* A growing list of texts. */
struct texts {
    char **items;
    size_t count;
};
void texts_add(struct texts *texts, char *text); /* takes it */
void texts_fini(struct texts *texts);

/* What a list may have that has no limit of its own: nobody writes more by hand. */
enum { TEXTS_MAX = 1000 };

/* An array of `most` strings at most. `check` gives the form in which an element is kept, or NULL
 * when it has reported the element. Elements that are there twice are reported. When this is false,
 * `texts` may have what is good of it. */
typedef char *node_check_fn(const struct node *element, struct slice text);
bool node_texts(const struct node *node, size_t most, node_check_fn *check, struct texts *texts);
