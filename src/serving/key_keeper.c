/* The keys of those who issue tokens: see key_keeper.h. */
#include "serving/key_keeper.h"

#include "core/clock.h"
#include "core/file.h"
#include "core/file_stamp.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/whole_file.h"
#include "http/http_client.h"
#include "key_schedule.h"

#include <stdlib.h>

enum {
    LOOK_AFTER_MS = 20,
    NEWS_AFTER_MS = 20,
    TICK_MS = 1000,
    FETCH_TIMEOUT_MS = 15000,
    FETCHES_AT_ONCE = 64, /* issuers that hang do not hold others up */
};

struct source {
    char *name;
    struct jwk_set *set;
    uint64_t text_hash; /* of what the set was parsed from */
    bool is_new;        /* it has not been asked for yet */
    char *problem;      /* why it cannot be had; NULL: it can, or nobody has tried yet */
    /* a file */
    struct file_stamp stamp;
    bool is_unread; /* it could not be read, which may pass without a change of it */
    /* a URL */
    struct http_exchange *exchange;
    struct key_keeper *keeper;
    struct key_schedule schedule;
    bool is_kept; /* what was fetched is on disk */
};

struct key_keeper {
    struct key_keeper_host host;
    struct main_loop *main_loop;
    struct jwks_settings settings; /* copies */
    struct http_client *client;    /* there when the first URL is */
    struct main_timer *look_timer;
    struct main_timer *tick_timer;
    struct main_timer *news_timer;
    bool look_is_due;
    bool news_is_due;
    bool is_ticking;
    uint64_t looked_hash;    /* of the tenants that were looked at */
    struct source **sources; /* sorted by name; each stays where it is: an exchange knows it */
    size_t count;
    uint64_t generation;
    bool has_news; /* a set that no table holds */
};

static bool is_url(const char *name)
{
    return slice_starts_with(slice_of(name), SLICE("https://"));
}

/* -- Disk ------------------------------------------------------------------------------------- */

static char *cache_name(const char *url)
{
    return memory_format("%016llx.json", (unsigned long long)hash_content(slice_of(url), 0));
}

static enum error read_cached(const struct jwks_settings *settings, const char *url, char **text,
                              size_t *size, struct error_text *why)
{
    char *name = cache_name(url);
    char *path = memory_format("%s/%s", settings->cache_dir, name);
    enum error error = whole_file_read(path, JWK_SET_MAX_BYTES, text, size, why);
    free(path);
    free(name);
    return error;
}

/* Lost with the power, it is fetched again. */
static bool write_cached(const struct key_keeper *keeper, const char *url, struct slice text)
{
    const struct file_mode mode = {.mode = 0600, .owner = -1, .group = -1, .lazy = true};
    struct error_text why;
    struct folder folder;
    char *name = cache_name(url);
    enum error error = folder_open(&folder, keeper->settings.cache_dir, 0700, &why);
    if (error == ERROR_OK) {
        error = file_replace(&folder, &folder, name, text, &mode, &why);
        folder_close(&folder);
    }
    if (error != ERROR_OK)
        log_event(
            LOG_WARNING, "jwks_not_kept", LOG_TEXT("url", url), LOG_TEXT("reason", why.text),
            LOG_TEXT("consequence", "after a restart tokens are refused until it is fetched"));
    free(name);
    return error == ERROR_OK;
}

struct jwk_set *key_keeper_read(const struct jwks_settings *settings, const char *source,
                                struct error_text *why)
{
    char *text;
    size_t size;
    struct jwk_set *set = NULL;
    enum error error = is_url(source)
                           ? read_cached(settings, source, &text, &size, why)
                           : whole_file_read(source, JWK_SET_MAX_BYTES, &text, &size, why);
    if (error == ERROR_OK)
        set = jwk_set_parse(slice_from(text, size), why);
    free(text);
    return set;
}

/* -- Sets ------------------------------------------------------------------------------------- */

/* Told to who asks until it is over. */
static void set_problem(struct source *source, const char *reason)
{
    free(source->problem);
    source->problem = memory_copy_optional(reason);
}

static void log_failure(const struct source *source, const char *reason)
{
    log_event(LOG_WARNING, "jwks_failed", LOG_TEXT("source", source->name),
              LOG_TEXT("reason", reason),
              LOG_TEXT("consequence", source->set != NULL ? "the last good keys stay in force"
                                                          : "tokens of this issuer are refused"));
}

/* Takes a text over, if it is a good one. */
static bool take_text(struct source *source, struct slice text, struct error_text *why)
{
    uint64_t hash = hash_content(text, 0);
    if (source->set != NULL && hash == source->text_hash)
        return true;
    struct jwk_set *set = jwk_set_parse(text, why);
    if (set == NULL)
        return false;
    jwk_set_unref(source->set);
    source->set = set;
    source->text_hash = hash;
    source->keeper->has_news = true;
    log_event(LOG_INFO, "jwks", LOG_TEXT("source", source->name), LOG_NUMBER("keys", set->count),
              LOG_NUMBER("skipped", set->skipped));
    return true;
}

static void publish_news(struct key_keeper *keeper)
{
    if (!keeper->has_news)
        return;
    keeper->has_news = false;
    struct jwk_source *sources = memory_new(keeper->count * sizeof(*sources));
    for (size_t i = 0; i < keeper->count; i++)
        sources[i] =
            (struct jwk_source){.name = keeper->sources[i]->name, .set = keeper->sources[i]->set};
    keeper->host.set_keys(keeper->host.context,
                          jwk_table_new(sources, keeper->count, ++keeper->generation));
    free(sources);
}

/* Many may come together, and each table has all of them. */
static void publish_soon(struct key_keeper *keeper)
{
    if (keeper->has_news && !keeper->news_is_due)
        main_timer_once(keeper->news_timer, NEWS_AFTER_MS);
    keeper->news_is_due |= keeper->has_news;
}

static void on_news(void *context)
{
    struct key_keeper *keeper = context;
    keeper->news_is_due = false;
    publish_news(keeper);
}

/* -- Files ------------------------------------------------------------------------------------ */

/* A file that stays as it is, stays away or stays unreadable is told of once. */
static void look_at_file(struct source *source)
{
    char *text;
    size_t size;
    struct error_text why;
    struct file_stamp stamp = file_stamp_read(source->name);
    bool is_known = file_stamp_equal(&stamp, &source->stamp);
    if (is_known && !source->is_unread && !file_stamp_is_none(&stamp))
        return;
    source->stamp = stamp;
    enum error error = whole_file_read(source->name, JWK_SET_MAX_BYTES, &text, &size, &why);
    source->is_unread = error == ERROR_SYSTEM;
    if (error == ERROR_OK && !take_text(source, slice_from(text, size), &why))
        error = ERROR_INVALID;
    if (error != ERROR_OK &&
        !(is_known && source->problem != NULL && strcmp(source->problem, why.text) == 0))
        log_failure(source, why.text);
    set_problem(source, error != ERROR_OK ? why.text : NULL);
    free(text);
}

/* -- URLs ------------------------------------------------------------------------------------- */

static void on_fetched(void *context, const struct http_response *answer)
{
    struct source *source = context;
    struct key_keeper *keeper = source->keeper;
    struct error_text why;
    bool is_good = false;

    source->exchange = NULL;
    if (answer->status == 0) {
        error_set(&why, ERROR_CLOSED, "%s", answer->failure);
    } else if (answer->status != 200) {
        error_set(&why, ERROR_REFUSED, "answered with status %d", answer->status);
    } else {
        uint64_t before = source->text_hash;
        is_good = take_text(source, answer->body, &why);
        source->is_kept = source->is_kept && before == source->text_hash;
    }
    if (is_good && !source->is_kept)
        source->is_kept = write_cached(keeper, source->name, answer->body);
    set_problem(source, is_good ? NULL : why.text);
    if (!is_good)
        log_failure(source, why.text);
    key_schedule_answered(&source->schedule, is_good, clock_mono_ms(), keeper->settings.refresh_ms);
    publish_soon(keeper);
}

static bool has_client(struct key_keeper *keeper, struct error_text *why)
{
    const struct http_client_settings settings = {.ca_file = keeper->settings.ca_file,
                                                  .timeout_ms = FETCH_TIMEOUT_MS,
                                                  .answer_max_bytes = JWK_SET_MAX_BYTES,
                                                  .at_once = FETCHES_AT_ONCE};
    if (keeper->client == NULL) {
        keeper->client = http_client_new(keeper->main_loop, &settings, why);
        if (keeper->client == NULL)
            log_event(LOG_ERROR, "jwks_failed", LOG_TEXT("reason", why->text));
    }
    return keeper->client != NULL;
}

static void fetch(struct key_keeper *keeper, struct source *source)
{
    const struct http_client_request request = {.method = HTTP_GET, .url = source->name};
    key_schedule_asked(&source->schedule, clock_mono_ms(), keeper->settings.refresh_ms);
    if (source->exchange != NULL)
        return;
    struct error_text why = {"there is no memory, or no descriptor, to ask for them"};
    if (has_client(keeper, &why))
        source->exchange = http_client_send(keeper->client, &request, on_fetched, source);
    if (source->exchange != NULL)
        return;
    set_problem(source, why.text);
    key_schedule_answered(&source->schedule, false, clock_mono_ms(), keeper->settings.refresh_ms);
}

static void fetch_if_due(struct key_keeper *keeper, struct source *source, bool is_missed)
{
    if (is_missed)
        key_schedule_miss(&source->schedule);
    if (key_schedule_is_due(&source->schedule, clock_mono_ms(), keeper->settings.refresh_ms))
        fetch(keeper, source);
}

/* -- Time ------------------------------------------------------------------------------------- */

/* The table in which someone has missed a key since the last time; NULL: nobody has. */
static struct jwk_table *take_missed(struct key_keeper *keeper)
{
    const struct snapshot *snapshot = keeper->host.snapshot(keeper->host.context);
    bool is_missed =
        snapshot != NULL && snapshot->keys != NULL &&
        atomic_exchange_explicit(&snapshot->keys->key_missed, false, memory_order_acquire);
    return is_missed ? snapshot->keys : NULL;
}

static bool is_missed_of(struct jwk_table *missed, const struct source *source)
{
    struct jwk_source *known = missed != NULL ? jwk_table_find(missed, source->name) : NULL;
    return known != NULL &&
           atomic_exchange_explicit(&known->key_missed, false, memory_order_relaxed);
}

static void on_tick(void *context)
{
    struct key_keeper *keeper = context;
    struct jwk_table *missed = take_missed(keeper);
    for (size_t i = 0; i < keeper->count; i++) {
        if (is_url(keeper->sources[i]->name))
            fetch_if_due(keeper, keeper->sources[i], is_missed_of(missed, keeper->sources[i]));
        else
            look_at_file(keeper->sources[i]);
    }
    publish_news(keeper);
}

/* -- Which sources there are ------------------------------------------------------------------ */

static void begin(struct key_keeper *keeper, struct source *source)
{
    struct error_text why;
    char *text;
    size_t size;
    source->is_new = false;
    if (!is_url(source->name)) {
        look_at_file(source);
        return;
    }
    bool is_cached = read_cached(&keeper->settings, source->name, &text, &size, &why) == ERROR_OK;
    source->is_kept = is_cached && take_text(source, slice_from(text, size), &why);
    if (is_cached && !source->is_kept)
        log_failure(source, why.text);
    free(text);
    fetch(keeper, source);
}

struct wishes {
    const char **names; /* the tenants' */
    size_t count, capacity;
};

static void wish(void *context, const struct tenant *tenant)
{
    struct wishes *wishes = context;
    if (tenant->identity == NULL || tenant->identity->from != IDENTITY_FROM_JWT ||
        tenant->instance_of != NULL)
        return;
    if (wishes->count == wishes->capacity) {
        wishes->capacity = wishes->capacity * 2 + 64;
        wishes->names = memory_resize(wishes->names, wishes->capacity, sizeof(*wishes->names));
    }
    wishes->names[wishes->count++] = tenant->identity->keys;
}

static struct source *source_new(struct key_keeper *keeper, const char *name)
{
    struct source *source = memory_new(sizeof(*source));
    source->name = memory_copy_text(slice_of(name));
    source->keeper = keeper;
    source->is_new = true;
    return source;
}

static void free_source(struct source *source)
{
    http_exchange_cancel(source->exchange);
    jwk_set_unref(source->set);
    free(source->problem);
    free(source->name);
    free(source);
}

/* The sources become those that tenants name, side by side: both are sorted. */
static void take_wanted(struct key_keeper *keeper, const struct route_table *table)
{
    struct wishes wishes = {0};
    route_table_each_tenant(table, wish, &wishes);
    if (wishes.count > 0)
        qsort(wishes.names, wishes.count, sizeof(*wishes.names), memory_compare_texts);
    struct source **before = keeper->sources;
    size_t before_count = keeper->count, next = 0;
    keeper->sources = memory_new((wishes.count + 1) * sizeof(*keeper->sources));
    keeper->count = 0;
    for (size_t i = 0; i < wishes.count; i++) {
        const char *name = wishes.names[i];
        if (i > 0 && strcmp(wishes.names[i - 1], name) == 0)
            continue;
        while (next < before_count && strcmp(before[next]->name, name) < 0)
            free_source(before[next++]);
        bool is_known = next < before_count && strcmp(before[next]->name, name) == 0;
        keeper->sources[keeper->count++] = is_known ? before[next++] : source_new(keeper, name);
    }
    while (next < before_count)
        free_source(before[next++]);
    free(before);
    free(wishes.names);
}

static void look(struct key_keeper *keeper)
{
    const struct snapshot *snapshot = keeper->host.snapshot(keeper->host.context);
    if (snapshot == NULL || snapshot->content_hash == keeper->looked_hash)
        return;
    keeper->looked_hash = snapshot->content_hash;
    take_wanted(keeper, snapshot->table);
    for (size_t i = 0; i < keeper->count; i++)
        if (keeper->sources[i]->is_new)
            begin(keeper, keeper->sources[i]);
    if (keeper->count > 0 && !keeper->is_ticking)
        main_timer_every(keeper->tick_timer, TICK_MS);
    else if (keeper->count == 0 && keeper->is_ticking)
        main_timer_stop(keeper->tick_timer);
    keeper->is_ticking = keeper->count > 0;
    publish_news(keeper);
}

static void on_look(void *context)
{
    struct key_keeper *keeper = context;
    keeper->look_is_due = false;
    look(keeper);
}

void key_keeper_look(struct key_keeper *keeper, bool at_once)
{
    if (keeper == NULL)
        return;
    if (at_once) {
        look(keeper);
    } else if (!keeper->look_is_due) {
        keeper->look_is_due = true;
        main_timer_once(keeper->look_timer, LOOK_AFTER_MS);
    }
}

bool key_keeper_source(const struct key_keeper *keeper, size_t index, struct key_source *source)
{
    if (keeper == NULL || index >= keeper->count)
        return false;
    const struct source *one = keeper->sources[index];
    *source = (struct key_source){one->name, one->problem, one->set != NULL};
    return true;
}

/* -- Life ------------------------------------------------------------------------------------- */

static void free_settings(struct jwks_settings *settings)
{
    free(settings->ca_file);
    free(settings->cache_dir);
    *settings = (struct jwks_settings){0};
}

/* The next fetch is by the new settings. */
void key_keeper_configure(struct key_keeper *keeper, const struct jwks_settings *settings)
{
    free_settings(&keeper->settings);
    keeper->settings = *settings;
    keeper->settings.ca_file = memory_copy_optional(settings->ca_file);
    keeper->settings.cache_dir = memory_copy_optional(settings->cache_dir);
    for (size_t i = 0; i < keeper->count; i++) {
        http_exchange_cancel(keeper->sources[i]->exchange);
        keeper->sources[i]->exchange = NULL;
        keeper->sources[i]->schedule.due_ms = 0;
        keeper->sources[i]->is_kept = false; /* the folder may be another one, or was emptied */
    }
    http_client_free(keeper->client);
    keeper->client = NULL;
}

struct key_keeper *key_keeper_new(struct main_loop *main_loop, const struct key_keeper_host *host)
{
    struct key_keeper *keeper = memory_new(sizeof(*keeper));
    keeper->host = *host;
    keeper->main_loop = main_loop;
    keeper->look_timer = main_timer_new(main_loop, on_look, keeper);
    keeper->tick_timer = main_timer_new(main_loop, on_tick, keeper);
    keeper->news_timer = main_timer_new(main_loop, on_news, keeper);
    return keeper;
}

void key_keeper_free(struct key_keeper *keeper)
{
    if (keeper == NULL)
        return;
    for (size_t i = 0; i < keeper->count; i++)
        free_source(keeper->sources[i]);
    free(keeper->sources);
    http_client_free(keeper->client);
    main_timer_free(keeper->look_timer);
    main_timer_free(keeper->tick_timer);
    main_timer_free(keeper->news_timer);
    free_settings(&keeper->settings);
    free(keeper);
}
