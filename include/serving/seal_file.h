/* The file with the keys that cookies are sealed with: the service's alone, and renewed by itself.
 *
 * A text of one line per key, the newest first: when it was made, and 64 hexadecimal digits. After
 * thirty days, which is how long a cookie is good, a new one is made and the one before is kept for
 * as long again. Several agents may share the file: a new key is believed at once, and sealed with
 * when all have read it. One of the future is as good as any, and followed thirty days after the
 * time that it tells: no clock that is behind drops a key.
 */
#pragma once

#include "agent/seal.h"

enum { SEAL_FILE_LOOK_S = 60 }; /* who seals or believes by the file looks at it this often */

/* Reads them, the newest first. An error when the file is not there, anybody else can read it, or
 * it holds something else. */
MUST_CHECK enum error seal_file_read(const char *path, struct seal_keys *keys,
                                     struct error_text *why);
/* The same in the order of struct seal_keys, and whether the file is to be renewed: also when it is
 * not there. */
MUST_CHECK enum error seal_file_look(const char *path, int64_t now_s, struct seal_keys *keys,
                                     bool *due, struct error_text *why);
/* The same, but makes the file or a new key where that is due, which takes as long as the disk
 * does. Waits for nobody: ERROR_BUSY when it is due and somebody else has the file's lock. Where it
 * could not be done, `keys` are what the file holds, perhaps none. */
MUST_CHECK enum error seal_file_renew(const char *path, int64_t now_s, struct seal_keys *keys,
                                      struct error_text *why);
