/* Setting OpenSSL up, and what the layer's files share: see openssl.h. */
#include "openssl.h"

#include "core/memory.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>

static _Thread_local bool ran_out;
static _Thread_local bool is_being_set_up;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* OpenSSL sets itself up piece by piece, each when it is first wanted. What fails then fails for as
 * long as the process lives: good keys are told to be none, and at places it crashes. So all is
 * wanted at once, and the program ends where there is no memory for it. */
static void set_up(void)
{
    is_being_set_up = true;
    (void)OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CRYPTO_STRINGS | OPENSSL_INIT_ADD_ALL_CIPHERS |
                                  OPENSSL_INIT_ADD_ALL_DIGESTS | OPENSSL_INIT_LOAD_CONFIG,
                              NULL);
    EVP_KEYMGMT_free(EVP_KEYMGMT_fetch(NULL, "EC", NULL)); /* starts its provider */
    ERR_clear_error();
    is_being_set_up = false;
}

void crypto_set_up(void)
{
    pthread_once(&once, set_up);
}

void openssl_begin(void)
{
    crypto_set_up();
    ran_out = false;
}

bool openssl_ran_out(void)
{
    return ran_out;
}

/* OpenSSL wipes a key when it is freed, but not what its decoders and encoders have made of it on
 * the way: text, DER, copies of DER. So every block of its memory is wiped. */
static void free_wiped(void *block, const char *file, int line)
{
    (void)file, (void)line;
    memory_wipe(block, malloc_usable_size(block));
    free(block);
}

static void *allocate(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    void *block = size > 0 ? malloc(size) : NULL;
    if (block != NULL || size == 0)
        return block;
    if (is_being_set_up)
        memory_give_up(size);
    ran_out = true;
    return NULL;
}

static void *resize_wiped(void *block, size_t size, const char *file, int line)
{
    void *resized = allocate(size, file, line);
    if (resized != NULL && block != NULL)
        memcpy(resized, block, size_min(size, malloc_usable_size(block)));
    if (resized != NULL || size == 0)
        free_wiped(block, file, line);
    return resized;
}

/* Runs before OpenSSL's first allocation; if another library was faster, what OpenSSL wipes by
 * itself has to suffice. Without NO_ATEXIT it would free its state when the process exits, under
 * the hands of a thread that is just making a key (key_maker.c). */
__attribute__((constructor)) static void set_memory_up(void)
{
    (void)CRYPTO_set_mem_functions(allocate, resize_wiped, free_wiped);
    is_being_set_up = true;
    OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
    is_being_set_up = false;
}

enum error openssl_fail(struct error_text *why, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    enum error error = ran_out ? ERROR_NO_MEMORY : ERROR_INVALID;
    if (reason == NULL || ran_out)
        reason = ran_out ? error_name(error) : "not valid";
    error_set(why, error, "%s: %s", what, reason);
    ERR_clear_error();
    return error;
}

BIO *openssl_bio(struct slice text)
{
    const char *data = text.size > 0 ? text.data : "";
    return text.size > OPENSSL_PEM_MAX_BYTES ? NULL : BIO_new_mem_buf(data, (int)text.size);
}

int openssl_no_passphrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer, (void)size, (void)writing, (void)context;
    return -1;
}

enum error openssl_take_written(BIO *bio, int written, struct bytes *output, const char *what,
                                struct error_text *why)
{
    enum error error = ERROR_OK;
    char *data = NULL;
    if (bio == NULL || written != 1) {
        error = openssl_fail(why, what);
    } else {
        long size = BIO_get_mem_data(bio, &data);
        if (!bytes_set(output, slice_from(data, (size_t)size)))
            error = error_set(why, ERROR_NO_MEMORY, "out of memory");
    }
    BIO_free(bio);
    return error;
}

enum error openssl_take_der(uint8_t *data, int size, struct bytes *der, const char *what,
                            struct error_text *why)
{
    if (data == NULL || size <= 0)
        return openssl_fail(why, what);
    bool done = bytes_set(der, slice_from(data, (size_t)size));
    OPENSSL_free(data);
    return done ? ERROR_OK : error_set(why, ERROR_NO_MEMORY, "out of memory");
}
