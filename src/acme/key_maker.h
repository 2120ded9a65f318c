/* Keys that take long to make (RSA: a tenth of a second to several) are made in a thread of their
 * own, so that nobody waits for them but the order that needs one. */
#pragma once

#include "crypto/crypto.h"
#include "net/main_loop.h"

struct key_maker;

/* Called once, from the loop, with the key (to be freed) or NULL and the reason. The maker may be
 * freed in it. */
typedef void key_made_fn(void *context, struct crypto_key *key, const char *reason);

MUST_CHECK struct key_maker *key_maker_new(struct main_loop *loop, enum crypto_key_type type,
                                           key_made_fn *on_made, void *context,
                                           struct error_text *why);
/* Does not wait: a key on its way is thrown away when it is made. NULL is fine. */
void key_maker_free(struct key_maker *maker);
