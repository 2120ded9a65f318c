/* A JSON document under inspection.
 *
 * Values carry no positions, so a node is a value that knows the way to itself, on the reader's
 * stack; where it stands in the text is looked up when something is wrong with it, or asked for. A
 * reader that finds something wrong reports it and goes on.
 */
#pragma once

#include "conf/diagnostics.h"
#include "news.h"
#include "json/json.h"

struct texts; /* see value.h */

struct document {
    const char *file; /* lives as long as the process */
    struct slice text;
    char *text_block;
    struct json *root;
    struct diagnostics *diagnostics;
    struct news *news;   /* NULL: the whole text was read */
    const char *subject; /* starts each message: "tenant \"acme\""; NULL: nothing */
    struct texts *named; /* where to put the names of files that tenants are read from, too */
    uint64_t zones_hash; /* of the zones' files that the tenant at hand has named; 0: none */
    /* How far the members of a container were last walked to find one of them: the next one that is
     * asked for is most often behind it. */
    const struct json *walked; /* NULL: none */
    struct json_walk walk;
    size_t walked_count;
};

/* Where a key and its value stand; for elements of arrays the key is the value. */
struct node_place {
    struct json_position key;
    struct json_position value;
};

struct node {
    const struct node *parent; /* NULL: the root */
    struct document *document;
    const struct json *value;
    struct slice key;               /* of a member; empty for elements and the root */
    size_t index;                   /* among all members or elements of the parent */
    const struct node_place *place; /* when it is known already */
};

/* Reads and parses; what fails is in the diagnostics. */
MUST_CHECK bool document_open(struct document *document, const char *path,
                              struct diagnostics *diagnostics);
/* The same for a file of tenants, leaving those that are known unread; document->news is then
 * there, unless nothing could be left. */
MUST_CHECK bool document_open_news(struct document *document, const char *path,
                                   const struct known_tenants *known,
                                   struct diagnostics *diagnostics);
/* The same of a text, borrowed, that is not in its file yet. */
MUST_CHECK bool document_open_text(struct document *document, const char *path, struct slice text,
                                   const struct known_tenants *known,
                                   struct diagnostics *diagnostics);
/* Of the text; 0: it could not be read. */
uint64_t document_hash(const struct document *document);
void document_close(struct document *document);
struct node document_root(struct document *document);

/* The members of an object without comments, or the elements of an array:
 *
 *     for (struct node_iterator i = node_children(parent); node_next(&i);) ... i.node ...
 *
 * node_children_placed() also keeps the place of each, in one pass over the text. */
struct node_iterator {
    struct node node;
    struct json_member member;
    struct json_walk walk;
    struct node_place place;
    size_t next;
    bool placed;
};
struct node_iterator node_children(const struct node *parent);
struct node_iterator node_children_placed(const struct node *parent);
MUST_CHECK bool node_next(struct node_iterator *iterator);

/* The member with this key; false when there is none. */
MUST_CHECK bool node_member(const struct node *object, const char *key, struct node *member);
/* "a key that starts with // or _" */
bool key_is_comment(struct slice key);

struct place node_key_place(const struct node *node);
struct place node_value_place(const struct node *node);

/* Reports what is wrong with the key or the value. Takes ownership of `hint`, which may be NULL;
 * memory_format() makes one. */
void node_report(const struct node *node, enum json_part part, enum code code, char *hint,
                 const char *format, ...) PRINTF_LIKE(5, 6);

/* That the file which the value names cannot be read, and why; with errno where `error` is
 * ERROR_SYSTEM. `hint` may be NULL. */
void node_report_unreadable(const struct node *node, const char *hint, enum error error,
                            const struct error_text *why);

/* "haproxy.http[0]": how messages name a value; the caller frees it. */
char *node_name(const struct node *node);

/* Equal for values that mean the same, whatever their formatting, order of keys and comments. */
uint64_t node_content_hash(const struct json *value);
