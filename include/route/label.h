/* A pattern that the label matched by a wildcard host must satisfy. Matching neither allocates nor
 * backtracks without bound. The sole user of PCRE2. */
#pragma once

#include "core/error.h"
#include "core/slice.h"

struct label_pattern;

/* The pattern is anchored at both ends. NULL on a bad one, with the offset told in `text`. */
struct label_pattern *label_pattern_new(struct slice source, struct error_text *text);
struct label_pattern *label_pattern_ref(struct label_pattern *pattern);
void label_pattern_unref(struct label_pattern *pattern); /* NULL is fine */
bool label_pattern_matches(const struct label_pattern *pattern, struct slice label);
