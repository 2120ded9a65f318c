/* Writes down which file has what several claim, so that the next start knows: see conf/owners.h.
 * Main thread only. The file is not synced: it is whole or as it was, and costs no waiting. */
#pragma once

struct json;
struct main_loop;
struct owner_keeper;

/* NULL, logged, when the folder cannot be had: the next start goes by the files' names. */
struct owner_keeper *owner_keeper_new(struct main_loop *main_loop, const char *state_dir);
void owner_keeper_free(struct owner_keeper *keeper); /* NULL is fine, here and below */
/* When files have been read: what publisher_contests() tells, which is freed. What cannot be
 * written is tried again. */
void owner_keeper_look(struct owner_keeper *keeper, struct json *contests);
