/* Runs a fuzz target without libFuzzer, on every compiler and in every ctest.
 *
 *     replay_NAME FOLDER|FILE...          each seed whole, cut short at every byte, and with some
 *                                         bytes changed (the same ones in every run); those that
 *                                         libFuzzer has found ("found-...") whole alone: they are
 *                                         many, and changes of one another
 *     replay_NAME --some FOLDER|FILE...   of cuts and changes only one of 16: for what takes long
 *     replay_NAME --write DIR FOLDER...   writes the seeds as binary files, for libFuzzer
 *
 * Each input is a block of its own, so that ASan sees one byte read too far.
 */
#include "fuzz/fuzz.h"
#include "support/chance.h"
#include "support/vector.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    CUTS_MAX = 2048,
    CHANGES_PER_SEED = 300,
    SEED_MAX_BYTES = 65536,
};

typedef void seed_fn(void *context, const char *name, struct slice seed);

static unsigned long inputs_run;
static unsigned stride = 1; /* of cuts and changes */

__attribute__((weak)) size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                                                     unsigned seed)
{
    (void)seed;
    return LLVMFuzzerMutate(data, size, max_size);
}

/* ---- Changing bytes ---- */

static uint64_t random_state;

static uint32_t next_random(void)
{
    return chance_next(&random_state);
}

static void overwrite(uint8_t *data, size_t at)
{
    static const uint8_t EDGES[] = {0, 1, 7, 0x7f, 0x80, 0xef, 0xf0, 0xff};
    if (next_random() % 2 == 0)
        data[at] = EDGES[next_random() % COUNT_OF(EDGES)];
    else
        data[at] = (uint8_t)next_random();
}

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
{
    if (size == 0)
        return 0;
    size_t at = next_random() % size;
    size_t count = 1 + next_random() % size_min(16, size - at);
    switch (next_random() % 4) {
    case 0: /* cut a piece out */
        memmove(data + at, data + at + count, size - at - count);
        return size - count;
    case 1: /* repeat a piece */
        count = size_min(count, max_size - size);
        memmove(data + at + count, data + at, size - at);
        return size + count;
    default: overwrite(data, at); return size;
    }
}

/* ---- Seeds ---- */

static bool is_seed(const char *name)
{
    return name[0] != '.' && !slice_ends_with(slice_of(name), SLICE(".expect"));
}

static void load_seed(const char *path, const char *name, seed_fn *on_seed, void *context)
{
    static uint8_t decoded[SEED_MAX_BYTES];
    size_t size;
    char *text = file_load(path, &size);
    struct slice seed = {text, size};
    if (slice_ends_with(slice_of(path), SLICE(".hex")))
        seed = slice_from(decoded, vector_decode(path, seed, decoded, sizeof(decoded)));
    on_seed(context, name, seed);
    free(text);
}

static void load_folder(const char *folder, seed_fn *on_seed, void *context)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
        if (is_seed(entries[i]->d_name))
            load_seed(path, entries[i]->d_name, on_seed, context);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

static void load_all(char **paths, seed_fn *on_seed, void *context)
{
    for (; *paths != NULL; paths++) {
        struct stat status;
        if (stat(*paths, &status) != 0) {
            perror(*paths);
            exit(EXIT_FAILURE);
        }
        if (S_ISDIR(status.st_mode))
            load_folder(*paths, on_seed, context);
        else
            load_seed(*paths, *paths, on_seed, context);
    }
}

/* ---- The two uses ---- */

static void run_one(const uint8_t *data, size_t size)
{
    uint8_t *block = malloc(size);
    if (block == NULL && size > 0)
        abort();
    if (size > 0)
        memcpy(block, data, size);
    LLVMFuzzerTestOneInput(block, size);
    free(block);
    inputs_run++;
}

static void replay(void *context, const char *name, struct slice seed)
{
    static uint8_t changed[2 * SEED_MAX_BYTES];
    (void)context;
    const uint8_t *data = (const uint8_t *)seed.data;
    printf("%s\n", name);
    fflush(stdout); /* names the seed when the next line is the crash */
    run_one(data, seed.size);
    if (slice_starts_with(slice_of(name), SLICE("found-")))
        return;
    for (size_t size = 0; size < size_min(seed.size, CUTS_MAX); size += stride)
        run_one(data, size);
    random_state = 0x9e3779b97f4a7c15ULL + seed.size;
    for (unsigned i = 0; i < CHANGES_PER_SEED; i += stride) {
        size_t size = size_min(seed.size, SEED_MAX_BYTES);
        memcpy(changed, data, size);
        for (unsigned n = 1 + next_random() % 4; n > 0; n--)
            size = LLVMFuzzerCustomMutator(changed, size, sizeof(changed), next_random());
        run_one(changed, size);
    }
}

static void write_seed(void *context, const char *name, struct slice seed)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", (const char *)context, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(seed.data, 1, seed.size, file) != seed.size || fclose(file) != 0) {
        perror(path);
        exit(EXIT_FAILURE);
    }
}

static void make_folder(const char *path)
{
    char part[4096];
    snprintf(part, sizeof(part), "%s", path);
    for (char *p = part + 1; p[-1] != '\0'; p++) {
        char c = *p;
        if (c != '/' && c != '\0')
            continue;
        *p = '\0';
        if (mkdir(part, 0777) != 0 && errno != EEXIST) {
            perror(part);
            exit(EXIT_FAILURE);
        }
        *p = c;
    }
}

int main(int count, char **arguments)
{
    if (count > 3 && strcmp(arguments[1], "--write") == 0) {
        make_folder(arguments[2]);
        load_all(arguments + 3, write_seed, arguments[2]);
        return EXIT_SUCCESS;
    }
    bool some = count > 1 && strcmp(arguments[1], "--some") == 0;
    stride = some ? 16 : 1;
    load_all(arguments + 1 + some, replay, NULL);
    printf("%lu inputs\n", inputs_run);
    return inputs_run > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
