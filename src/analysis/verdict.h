/* A decision as a flat list of what it means for the client and for the upstream, so that two can
 * be told apart: for `diff` and `replay`. */
#pragma once

#include "agent/answer.h"
#include "conf/whole.h"
#include "json/json.h"

/* Loads a configuration for decisions without looking names up: every upstream that has a name, and
 * one instance of each that has its label in it, is at one and the same address. False when it
 * cannot serve. */
MUST_CHECK bool verdict_load(const char *path, const struct whole_changes *changes,
                             struct whole *whole, struct diagnostics *diagnostics);
/* Prints the errors to stderr, and forgets all. */
void verdict_print_errors(struct diagnostics *diagnostics);

/* What the label of the tenant's wildcard hosts is then: the first of some that its pattern takes,
 * or one that it does not. */
const char *verdict_label(const struct tenant *tenant);

/* What the daemon has for a label that was asked for; NULL: nothing. For tenant_free(). */
struct tenant *verdict_instance(const struct tenant *parent, struct slice label);

/* Names and texts: "decision", "tenant", "upstream", "header X-Team"; for json_free(). */
struct json *verdict_of(const struct whole *whole, const struct request *request);

/* The members that are not the same: {"KEY": {"before": "...", "after": "..."}}; NULL when all are.
 */
struct json *verdict_compare(const struct json *before, const struct json *after);
void verdict_print_difference(const struct json *difference);
