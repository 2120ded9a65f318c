/* What `diff` asks about lists of labels (route/label_map.h). */
#pragma once

#include "conf/whole.h"
#include "probes.h"

/* Of a list with more lines that are not the same, the first so many are asked about. */
enum { DIFF_LABELS_MAX = 50 };

/* Adds a request for each label that one of the two has another upstream for, and to both what the
 * daemon would have for it. How many were left out. */
size_t diff_labels_add(struct whole *before, struct whole *after, struct probes *probes);
