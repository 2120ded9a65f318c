/* Certificates of another client: see import.h. */
#include "import.h"

#include "core/clock.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/sorted.h"
#include "sidecar_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINEAGE_FILE_MAX_BYTES = CRYPTO_CHAIN_MAX_BYTES };

static const char *const FILES[] = {"fullchain.pem", "privkey.pem"};

/* One lineage, read. */
struct lineage {
    const char *name;
    struct bytes chain;
    struct crypto_key *key;
    struct crypto_certificate leaf;
    bool read; /* `leaf` is there */
};

static void lineage_fini(struct lineage *lineage)
{
    bytes_free(&lineage->chain);
    crypto_key_free(lineage->key);
    if (lineage->read)
        crypto_certificate_free(&lineage->leaf);
}

/* -- Reading ----------------------------------------------------------------------------------- */

/* "FOLDER/live" if there, else the folder itself. */
static enum error open_live(struct folder *live, const char *folder, struct error_text *why)
{
    live->path = memory_format("%s/live", folder);
    live->fd = open(live->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (live->fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        free(live->path);
        live->path = memory_copy_text(slice_of(folder));
        live->fd = open(live->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (live->fd >= 0)
        return ERROR_OK;
    enum error error = error_set_errno(
        why, "cannot open %s (the daemon reads it, as the user that it runs as)", live->path);
    free(live->path);
    return error;
}

static enum error read_one(const struct folder *live, const char *lineage, const char *file,
                           struct bytes *content, struct error_text *why)
{
    char *name = memory_format("%s/%s", lineage, file);
    enum error error = file_read(live, name, LINEAGE_FILE_MAX_BYTES, content, why);
    free(name);
    return error;
}

/* Key and chain, which must belong together and be of use. */
static enum error lineage_read(struct lineage *lineage, const struct folder *live,
                               struct error_text *why)
{
    struct bytes chain = {0}, key = {0};
    enum error error = read_one(live, lineage->name, FILES[0], &chain, why);
    if (error == ERROR_OK)
        error = read_one(live, lineage->name, FILES[1], &key, why);
    if (error == ERROR_OK)
        error = crypto_key_from_pem(bytes_slice(&key), &lineage->key, why);
    if (error == ERROR_OK)
        error = crypto_chain_tidy(bytes_slice(&chain), lineage->key, &lineage->chain,
                                  &lineage->leaf, why);
    lineage->read = error == ERROR_OK;
    if (lineage->read && lineage->leaf.not_after_s <= clock_wall_s())
        error = error_set(why, ERROR_INVALID, "it has expired");
    bytes_free(&key);
    bytes_free(&chain);
    return error;
}

/* -- Whose it is ------------------------------------------------------------------------------- */

/* What is somebody else's is not ours to write. */
static bool may_take(const struct sidecar *sidecar, const struct certificate *certificate,
                     const struct crypto_certificate *leaf)
{
    return !certificate->is_given && certificate_fits_key(sidecar, certificate, leaf);
}

static bool may_own(const struct sidecar *sidecar, const struct certificate *certificate,
                    const struct crypto_certificate *leaf)
{
    return certificate_covered_hosts(certificate, leaf) > 0 && may_take(sidecar, certificate, leaf);
}

static struct certificate *owner_of(const struct sidecar *sidecar,
                                    const struct crypto_certificate *leaf)
{
    const struct certificate_list *list = sidecar->list;
    for (size_t i = 0; i < leaf->name_count; i++)
        for (size_t j = 0; j < list->count; j++)
            if (certificate_has_host(list->items[j], leaf->names[i]) &&
                may_take(sidecar, list->items[j], leaf))
                return list->items[j];
    for (size_t j = 0; j < list->count; j++)
        if (may_own(sidecar, list->items[j], leaf))
            return list->items[j];
    return NULL;
}

/* -- Taking over ------------------------------------------------------------------------------- */

enum verdict { IMPORTED, UNCHANGED, SKIPPED };

/* What became of a lineage. */
struct outcome {
    enum verdict verdict;
    struct certificate *owner; /* NULL: nobody */
    struct error_text why;     /* it was skipped */
    bool may_pass;             /* ... for what has an end without a change of its files */
};

/* Rights that are not given yet, a full disk, somebody who writes where it belongs. */
static bool may_pass(enum error error)
{
    return error == ERROR_SYSTEM || error == ERROR_NO_MEMORY || error == ERROR_BUSY;
}

/* Whether the lineage is better than what is in service. */
static enum verdict compare(const struct sidecar *sidecar, const struct certificate *certificate,
                            const struct lineage *lineage, struct error_text *why)
{
    struct crypto_certificate present;
    if (store_certificate(sidecar->store, certificate->name, &present, NULL) != ERROR_OK)
        return IMPORTED;
    enum verdict verdict = IMPORTED;
    size_t now = certificate_covered_hosts(certificate, &present),
           then = certificate_covered_hosts(certificate, &lineage->leaf);
    if (memcmp(present.sha256, lineage->leaf.sha256, sizeof(present.sha256)) == 0) {
        verdict = UNCHANGED;
    } else if (then < now) {
        verdict = SKIPPED;
        error_set(why, ERROR_EXISTS, "what is in service is for more of the hosts of %s",
                  certificate->tenant);
    } else if (then == now && lineage->leaf.not_after_s <= present.not_after_s) {
        verdict = SKIPPED;
        error_set(why, ERROR_EXISTS, "what is in service for %s lasts as long",
                  certificate->tenant);
    }
    crypto_certificate_free(&present);
    return verdict;
}

static enum verdict take_over(struct sidecar *sidecar, const struct lineage *lineage,
                              struct outcome *outcome)
{
    struct certificate *certificate = owner_of(sidecar, &lineage->leaf);
    outcome->owner = certificate;
    if (certificate == NULL) {
        error_set(&outcome->why, ERROR_NOT_FOUND, "no tenant has any of its names (%s%s)",
                  lineage->leaf.name_count > 0 ? lineage->leaf.names[0] : "none",
                  lineage->leaf.name_count > 1 ? ", ..." : "");
        return SKIPPED;
    }
    enum verdict verdict = compare(sidecar, certificate, lineage, &outcome->why);
    if (verdict != IMPORTED)
        return verdict;
    enum error error = store_install(sidecar->store, certificate->name, lineage->key,
                                     bytes_slice(&lineage->chain), NULL, &outcome->why);
    outcome->may_pass = may_pass(error);
    if (error != ERROR_OK)
        return SKIPPED;
    sidecar_certificate_changed(sidecar, certificate);
    return IMPORTED;
}

static void import_lineage(struct sidecar *sidecar, const struct folder *live,
                           struct lineage *lineage, struct outcome *outcome)
{
    *outcome = (struct outcome){.verdict = SKIPPED};
    enum error error = lineage_read(lineage, live, &outcome->why);
    outcome->may_pass = may_pass(error);
    if (error == ERROR_OK)
        outcome->verdict = take_over(sidecar, lineage, outcome);
    if (outcome->verdict == IMPORTED)
        log_event(LOG_INFO, "imported", LOG_TEXT("certificate", outcome->owner->name),
                  LOG_TEXT("from", live->path), LOG_TEXT("lineage", lineage->name),
                  LOG_TEXT("serial", lineage->leaf.serial));
}

static void import_and_tell(struct sidecar *sidecar, const struct folder *live, const char *name,
                            struct json *const told[static 3])
{
    struct lineage lineage = {.name = name};
    struct outcome outcome;
    struct json *object = json_new_object();
    import_lineage(sidecar, live, &lineage, &outcome);
    json_put_text(object, "lineage", slice_of(name));
    if (outcome.owner != NULL)
        json_put_text(object, "certificate", slice_of(outcome.owner->name));
    if (outcome.verdict == SKIPPED)
        json_put_text(object, "reason", slice_of(outcome.why.text));
    json_append(told[outcome.verdict], object);
    lineage_fini(&lineage);
}

static bool is_lineage(const struct folder *live, const char *name)
{
    struct stat facts;
    return fstatat(live->fd, name, &facts, 0) == 0 && S_ISDIR(facts.st_mode);
}

struct json *import_folder(struct sidecar *sidecar, const char *folder, struct error_text *why)
{
    struct folder live;
    char **names;
    struct json *const told[] = {json_new_array(), json_new_array(), json_new_array()};
    struct json *answer = json_new_object();
    json_put(answer, "imported", told[IMPORTED]);
    json_put(answer, "unchanged", told[UNCHANGED]);
    json_put(answer, "skipped", told[SKIPPED]);
    if (open_live(&live, folder, why) != ERROR_OK) {
        json_free(answer);
        return NULL;
    }
    size_t count = folder_list(&live, &names);
    for (size_t i = 0; i < count; i++)
        if (is_lineage(&live, names[i]))
            import_and_tell(sidecar, &live, names[i], told);
    memory_free_texts(names, count);
    folder_close(&live);
    return answer;
}

/* -- The watched folder ------------------------------------------------------------------------ */

/* One lineage in it, as it was last seen. */
struct watched {
    char *name;
    bool is_there;
    uint64_t stamp;    /* of its files at the last look, */
    uint64_t imported; /* and when they were last read; 0: they are to be read */
    uint64_t told;     /* of them and the reason why they were skipped; 0: none */
    bool has_expired;  /* by the clock when they were read, which may have been wrong */
    struct crypto_certificate leaf; /* `names` is NULL when there was none of use */
};

static void watched_fini(struct watched *watched)
{
    crypto_certificate_free(&watched->leaf);
    free(watched->name);
}

void import_free(struct sidecar *sidecar)
{
    for (size_t i = 0; i < sidecar->watched_count; i++)
        watched_fini(&sidecar->watched[i]);
    free(sidecar->watched);
}

/* Symbolic links into an archive are what changes, so files are looked at, not the folder. */
static uint64_t stamp_of(const struct folder *live, const char *lineage)
{
    uint64_t stamp = 1;
    for (size_t i = 0; i < COUNT_OF(FILES); i++) {
        struct stat facts;
        char *name = memory_format("%s/%s", lineage, FILES[i]);
        if (fstatat(live->fd, name, &facts, 0) == 0) {
            const int64_t told[] = {(int64_t)facts.st_ino, facts.st_size, facts.st_mtim.tv_sec,
                                    facts.st_mtim.tv_nsec};
            stamp = hash_content(slice_from(told, sizeof(told)), stamp);
        }
        free(name);
    }
    return stamp;
}

/* Once, however often it is tried again. */
static void tell_skipped(struct watched *watched, const struct error_text *why)
{
    uint64_t told = hash_content(slice_of(why->text), watched->stamp);
    if (told != watched->told)
        log_event(LOG_NOTICE, "not_imported", LOG_TEXT("lineage", watched->name),
                  LOG_TEXT("reason", why->text));
    watched->told = told;
}

static void import_watched(struct sidecar *sidecar, const struct folder *live,
                           struct watched *watched)
{
    struct lineage lineage = {.name = watched->name};
    struct outcome outcome;
    import_lineage(sidecar, live, &lineage, &outcome);
    if (outcome.verdict == SKIPPED)
        tell_skipped(watched, &outcome.why);
    else
        watched->told = 0;
    watched->imported = outcome.may_pass ? 0 : watched->stamp;
    watched->has_expired = lineage.read && lineage.leaf.not_after_s <= clock_wall_s();
    crypto_certificate_free(&watched->leaf);
    watched->leaf = lineage.read ? lineage.leaf : (struct crypto_certificate){0};
    lineage.read = false;
    lineage_fini(&lineage);
}

/* The clock that said so has been set right. */
static bool is_good_again(const struct watched *watched)
{
    return watched->has_expired && watched->leaf.not_after_s > clock_wall_s();
}

/* Once it has come to rest. */
static void look_at(struct sidecar *sidecar, const struct folder *live, struct watched *watched)
{
    uint64_t stamp = stamp_of(live, watched->name);
    bool at_rest = stamp == watched->stamp;
    watched->stamp = stamp;
    if (at_rest && (stamp != watched->imported || is_good_again(watched)))
        import_watched(sidecar, live, watched);
}

static const char *name_at(const void *list, size_t index)
{
    return ((const struct watched *)list)[index].name;
}

static void add(struct sidecar *sidecar, const char *name)
{
    bool is_known;
    size_t place = sorted_place(sidecar->watched, sidecar->watched_count, name_at, name, &is_known);
    if (!is_known) {
        sidecar->watched = memory_resize(sidecar->watched, sidecar->watched_count + 1,
                                         sizeof(sidecar->watched[0]));
        memmove(&sidecar->watched[place + 1], &sidecar->watched[place],
                (sidecar->watched_count++ - place) * sizeof(sidecar->watched[0]));
        sidecar->watched[place] = (struct watched){.name = memory_copy_text(slice_of(name))};
    }
    sidecar->watched[place].is_there = true;
}

/* What is in the folder, and nothing else. */
static void list_watched(struct sidecar *sidecar, const struct folder *live)
{
    char **names;
    size_t count = folder_list(live, &names), kept = 0;
    for (size_t i = 0; i < count; i++)
        if (is_lineage(live, names[i]))
            add(sidecar, names[i]);
    memory_free_texts(names, count);
    for (size_t i = 0; i < sidecar->watched_count; i++) {
        struct watched watched = sidecar->watched[i];
        if (watched.is_there)
            sidecar->watched[kept++] = watched;
        else
            watched_fini(&watched);
    }
    for (size_t i = 0; i < kept; i++)
        sidecar->watched[i].is_there = false; /* until the next look */
    sidecar->watched_count = kept;
}

static bool open_watched(struct sidecar *sidecar, struct folder *live)
{
    struct error_text why;
    bool is_open = open_live(live, sidecar->certbot_live, &why) == ERROR_OK;
    if (!is_open && !sidecar->certbot_closed)
        log_event(LOG_WARNING, "not_imported", LOG_TEXT("reason", why.text));
    sidecar->certbot_closed = !is_open;
    return is_open;
}

/* What is in the list stays where it is until the next pass. */
static void begin_pass(struct sidecar *sidecar, const struct folder *live)
{
    list_watched(sidecar, live);
    sidecar->import_at = 0;
}

/* At least one at each turn. False when it has come to its end. */
static bool go_on(struct sidecar *sidecar, struct folder *live, int64_t now_ms)
{
    if (!sidecar->importing)
        begin_pass(sidecar, live);
    while (sidecar->import_at < sidecar->watched_count) {
        look_at(sidecar, live, &sidecar->watched[sidecar->import_at++]);
        if (sidecar_turn_is_over(now_ms))
            break;
    }
    folder_close(live);
    return sidecar->import_at < sidecar->watched_count;
}

bool import_watch(struct sidecar *sidecar)
{
    struct folder live;
    int64_t now_ms = clock_mono_ms();
    bool is_due = sidecar->importing || now_ms >= sidecar->import_due_ms;
    if (sidecar->certbot_live == NULL || sidecar->list->count == 0 || !is_due)
        return false;
    if (!sidecar->importing)
        sidecar->import_due_ms = now_ms + sidecar->look_every_ms;
    sidecar->importing = open_watched(sidecar, &live) && go_on(sidecar, &live, now_ms);
    sidecar->import_passes += !sidecar->importing;
    return sidecar->importing;
}

/* By the second whole pass from now what was new in the first one has come to rest. */
void import_wanted(struct sidecar *sidecar, struct certificate *certificate)
{
    if (sidecar->certbot_live != NULL)
        certificate->wanted_at = sidecar->import_passes + 2 + sidecar->importing;
    for (size_t i = 0; i < sidecar->watched_count; i++)
        if (may_own(sidecar, certificate, &sidecar->watched[i].leaf))
            sidecar->watched[i].imported = 0;
}
