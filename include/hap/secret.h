/* Passwords in lines of HAProxy's files, which are not to be shown to whoever looks over a
 * shoulder. */
#pragma once

#include "core/slice.h"

/* The beginning of the line that may be shown: all of it, or up to the word behind which a password
 * or the like may stand. That a word is taken for one in vain does no harm. */
struct slice hap_secret_cut(struct slice line);
