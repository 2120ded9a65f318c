/* Keys, certificates, accounts and memory on disk.
 *
 *     STATE/lock                           held while the store is open: one agent per folder
 *     STATE/accounts/CA.key, CA.json       CA is a name made from the directory's URL
 *     STATE/pending/NAME.key, NAME.json    an order on its way: its key, its URL
 *     STATE/schedule/NAME.json             back-off and windows
 *     STATE/facts/NAME.json                what was read from CERTS/NAME, and of which file
 *     STATE/ours/NAME.json                 which certificates were put into CERTS/NAME from here
 *     STATE/left/NAME.json                 the same of what was taken out of CERTS/NAME from here
 *     STATE/history/NAME/DATE-SERIAL.pem   what was in service before
 *     STATE/trash/                         what could not be read, for people: the last hundred
 *     CERTS/NAME                           key and chain, as HAProxy loads them
 *     STAGING/                             where files for CERTS are written, then renamed
 *
 * STATE/ours/NAME.json with no certificate in it: what was from here has left CERTS/NAME, and
 * HAProxys may have it yet.
 *
 * NAME is a file name that HAProxy may load: "chat.example.com.pem", "x.pem.ecdsa", "x.pem.rsa".
 * What is in service is known from CERTS alone; there is no flag that could say otherwise. Every
 * file changes by a new one that is written, synced, renamed, and the folder synced. Mode 0600.
 *
 * A disk that is full or read-only costs nothing that was there: the reason names path and errno.
 */
#pragma once

#include "core/file_stamp.h"
#include "crypto/crypto.h"

struct json;

struct store_settings {
    const char *state; /* made if missing, mode 0700 */
    const char *certs; /* made if missing */
    /* On the file system of `certs`. NULL: ".staging" below it, where HAProxy, which does not go
     * into folders, looks no more than anywhere else. A folder beside it would not do: a service
     * that systemd confines has each writable path as a mount of its own, and nothing can be
     * renamed from one to the other. */
    const char *staging;
    int owner;           /* of the files in `certs`; -1: ourselves */
    int group;           /* -1: our own */
    unsigned certs_mode; /* 0 means 0600 */
    unsigned history;    /* pairs to keep per name; 0 means 3 */
    unsigned rest_ms;    /* see store_certificate(); 0 means 10 s */
};

struct store;

enum { STORE_NAME_SIZE = 256, STORE_PEM_MAX_BYTES = 15700 /* what a Runtime API payload takes */ };

/* Refuses a folder that another process has open, and a staging folder on another file system. */
MUST_CHECK struct store *store_open(const struct store_settings *settings, struct error_text *why);
void store_close(struct store *store); /* NULL is fine */

/* Whether a name can be a file name here: letters in lower case, digits, ".", "-", "_", and no
 * leading dot. */
MUST_CHECK bool store_name_valid(struct slice name);

/* -- Accounts -- */

/* The account's key for a CA, made and written when there is none, or none that is one. NULL also
 * when it cannot be looked at: a new key would be another account. */
MUST_CHECK struct crypto_key *store_account_key(struct store *store, const char *directory_url,
                                                struct error_text *why);
/* Puts `key` in place of the one that was there (key rollover). */
MUST_CHECK enum error store_account_set_key(struct store *store, const char *directory_url,
                                            const struct crypto_key *key, struct error_text *why);
/* Sets a key that the CA refuses aside, so that the next call above makes a new one. */
MUST_CHECK enum error store_account_burn(struct store *store, const char *directory_url,
                                         struct error_text *why);
/* An account stays bound to the external account that it was made with, "" for none: puts the one
 * that is bound to `from` aside, and the one to `to` in its place when there has been one. */
MUST_CHECK enum error store_account_change(struct store *store, const char *directory_url,
                                           struct slice from, struct slice to,
                                           struct error_text *why);
/* The thumbprint of that key, without opening the store in `state`, which another process may have
 * open. ERROR_NOT_FOUND when there is no key yet. */
MUST_CHECK enum error store_account_thumbprint(const char *state, const char *directory_url,
                                               char text[static CRYPTO_THUMBPRINT_LENGTH + 1],
                                               struct error_text *why);
/* What is known about the account; NULL when nothing is. For json_free(). */
MUST_CHECK struct json *store_account_load(struct store *store, const char *directory_url);
MUST_CHECK enum error store_account_save(struct store *store, const char *directory_url,
                                         const struct json *account, struct error_text *why);
/* What the CA's limits still allow; NULL when nothing is known. */
MUST_CHECK struct json *store_budget_load(struct store *store, const char *directory_url);
MUST_CHECK enum error store_budget_save(struct store *store, const char *directory_url,
                                        const struct json *budget, struct error_text *why);

/* -- Orders on their way -- */

/* The key of the certificate to come: the one of an order that was interrupted, else a new one,
 * which is on disk when this returns. */
MUST_CHECK struct crypto_key *store_pending_key(struct store *store, const char *name,
                                                enum crypto_key_type type, struct error_text *why);
/* The same in two halves, for keys that are made elsewhere: NULL when there is none of this type.
 */
MUST_CHECK struct crypto_key *store_pending_key_find(struct store *store, const char *name,
                                                     enum crypto_key_type type);
MUST_CHECK enum error store_pending_key_put(struct store *store, const char *name,
                                            const struct crypto_key *key, struct error_text *why);
MUST_CHECK struct json *store_order_load(struct store *store, const char *name);
MUST_CHECK enum error store_order_save(struct store *store, const char *name,
                                       const struct json *order, struct error_text *why);
/* The order came to nothing; its key will be used by the next one. */
void store_order_forget(struct store *store, const char *name);
/* The order and its key: both have done their work. */
void store_pending_forget(struct store *store, const char *name);
/* Forgets them when the key is in service already: the process ended while store_install() did. */
void store_pending_settle(struct store *store, const char *name);

/* -- Certificates -- */

/* Puts key and chain in service: the pair before goes to the history, the new one to CERTS, and
 * what was pending is forgotten. `issuer` is the directory of the CA that it is from, NULL: not
 * known. ERROR_BUSY as with store_certificate(). */
MUST_CHECK enum error store_install(struct store *store, const char *name,
                                    const struct crypto_key *key, struct slice chain,
                                    const char *issuer, struct error_text *why);
/* The file in service, whole. */
MUST_CHECK enum error store_read(struct store *store, const char *name, struct bytes *pem,
                                 struct error_text *why);
/* The certificate in service; ERROR_NOT_FOUND when there is none, ERROR_UNSUPPORTED when its key
 * cannot be read, ERROR_INVALID when nothing could load it. ERROR_BUSY when it is one of the
 * two and the file has changed within the last `rest_ms`: somebody may be copying it there. */
MUST_CHECK enum error store_certificate(struct store *store, const char *name,
                                        struct crypto_certificate *certificate,
                                        struct error_text *why);
/* Takes a file that nothing could load out of CERTS, because one bad file keeps HAProxy from
 * starting. `why` holds what is wrong with it, and gets where it is now. False: it stays where it
 * is, because somebody may still be writing it, or it cannot be kept. */
bool store_set_aside(struct store *store, const char *name, struct error_text *why);
/* What tells the file in service from another, without reading it; none when it is not there. */
struct file_stamp store_stamp(const struct store *store, const char *name);
/* Takes it out of service, whosever it is; the pair goes to the history, from where
 * store_rollback() puts it back. It is remembered that it was there, until store_forget_removed().
 */
MUST_CHECK enum error store_remove(struct store *store, const char *name, struct error_text *why);
/* Reads what store_rollback() would put back; `certificate` is filled on success and must then be
 * freed. */
MUST_CHECK enum error store_before(struct store *store, const char *name,
                                   struct crypto_certificate *certificate, struct error_text *why);
/* The same of what store_remove() took out, and store_install() had put there: ERROR_NOT_FOUND when
 * there is none, or something has been there since. */
MUST_CHECK enum error store_left(struct store *store, const char *name,
                                 struct crypto_certificate *certificate, struct error_text *why);
/* Puts the pair back that was the last to leave, and what was in service into the history. What was
 * from here is so again. */
MUST_CHECK enum error store_rollback(struct store *store, const char *name, struct error_text *why);
/* Whether what is in service was put there by store_install(), by this process or one before it.
 * What cannot be proved so is somebody's own. */
MUST_CHECK bool store_is_ours(struct store *store, const char *name);
/* The issuer that store_install() was told, for free(); NULL: none was. */
char *store_issuer(struct store *store, const char *name,
                   const struct crypto_certificate *certificate);
/* The names in CERTS. */
typedef void store_name_fn(void *context, const char *name);
void store_each(struct store *store, store_name_fn *found, void *context);
/* The names of what was in CERTS from here and is there no more: HAProxys may have it yet. */
void store_each_removed(struct store *store, store_name_fn *found, void *context);
/* They have it no more. Does nothing where something is in service again. */
void store_forget_removed(struct store *store, const char *name);
/* The path of a file in CERTS, which is its name for HAProxy's Runtime API too. For free(). */
char *store_path(const struct store *store, const char *name);

/* -- Memory -- */

/* NULL when there is none, or none that can be read (it is then set aside). */
MUST_CHECK struct json *store_schedule_load(struct store *store, const char *name);
MUST_CHECK enum error store_schedule_save(struct store *store, const char *name,
                                          const struct json *schedule, struct error_text *why);
/* All that is remembered of what nobody wants any more, an order on its way and its key among it.
 * What is in service stays, what is known of whose it is, and the history. */
void store_forget(struct store *store, const char *name);
