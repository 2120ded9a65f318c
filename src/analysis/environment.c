/* The environment of an Open WebUI: see environment.h. */
#include "analysis/environment.h"

#include "core/memory.h"
#include "route/host.h"

#include <stdio.h>
#include <stdlib.h>

static bool read_name(const struct json *host, char name[static HOST_MAX_BYTES + 1])
{
    struct slice text;
    bool wildcard;
    return json_read_text(host, &text) && host_pattern_parse(text, name, &wildcard) && !wildcard;
}

/* "https://chat.example.com", in the form that browsers send in Origin; NULL for what is not one
 * name. For free(). */
static char *origin_of(const struct json *host, const struct environment_reach *reach)
{
    char name[HOST_MAX_BYTES + 1];
    if (!read_name(host, name))
        return NULL;
    if (!reach->https)
        return memory_format("http://%s", name);
    return reach->https_port == 0 ? memory_format("https://%s", name)
                                  : memory_format("https://%s:%u", name, reach->https_port);
}

/* As CORS_ALLOW_ORIGIN has several. */
static void add_origin(char **origins, const char *origin)
{
    char *longer = memory_format("%s;%s", *origins, origin);
    free(*origins);
    *origins = longer;
}

/* The headers that are an identity's and nothing more: these it may believe. */
static void put_trusted(const struct json *identity, struct json *environment)
{
    static const struct {
        struct slice value;
        const char *variable;
    } TRUSTED[] = {
        {{"{email}", 7}, "WEBUI_AUTH_TRUSTED_EMAIL_HEADER"},
        {{"{name}", 6}, "WEBUI_AUTH_TRUSTED_NAME_HEADER"},
        {{"{groups}", 8}, "WEBUI_AUTH_TRUSTED_GROUPS_HEADER"},
        {{"{role}", 6}, "WEBUI_AUTH_TRUSTED_ROLE_HEADER"},
    };
    const struct json *set = json_get(identity, "set");
    struct slice value;
    for (struct json_member member = {0}; json_next(set, &member);)
        for (size_t i = 0; json_read_text(member.value, &value) && i < COUNT_OF(TRUSTED); i++)
            if (slice_equal(value, TRUSTED[i].value))
                json_put_text(environment, TRUSTED[i].variable, member.key);
}

struct json *environment_of(const struct json *hosts, const struct json *identity,
                            const struct environment_reach *reach)
{
    char *main = NULL;
    char *origins = NULL;
    for (size_t i = 0; i < json_count(hosts); i++) {
        char *origin = origin_of(json_at(hosts, i), reach);
        if (origin != NULL && main == NULL) {
            main = memory_copy_text(slice_of(origin));
            origins = memory_copy_text(slice_of(origin));
        } else if (origin != NULL && !reach->canonical_host) { /* else no page comes from there */
            add_origin(&origins, origin);
        }
        free(origin);
    }
    if (main == NULL)
        return NULL;
    for (size_t i = 0; reach->policy != NULL && i < reach->policy->origin_count; i++)
        add_origin(&origins, reach->policy->origins[i]);
    struct json *environment = json_new_object();
    json_put_text(environment, "WEBUI_URL", slice_of(main));
    json_put_text(environment, "CORS_ALLOW_ORIGIN", slice_of(origins));
    if (reach->https) {
        json_put_text(environment, "WEBUI_AUTH_COOKIE_SECURE", SLICE("true"));
        json_put_text(environment, "WEBUI_SESSION_COOKIE_SECURE", SLICE("true"));
    }
    json_put_text(environment, "FORWARDED_ALLOW_IPS", SLICE("*"));
    put_trusted(identity, environment);
    free(main);
    free(origins);
    return environment;
}

void environment_print(const struct json *environment)
{
    struct slice value;
    for (struct json_member member = {0}; json_next(environment, &member);)
        if (json_read_text(member.value, &value))
            printf("  %.*s=%.*s\n", SLICE_PRINT(member.key), SLICE_PRINT(value));
}

static void print_names(const struct json *hosts)
{
    puts("\nnames that have to lead to HAProxy:");
    for (size_t i = 0; i < json_count(hosts); i++) {
        char name[HOST_MAX_BYTES + 1];
        if (read_name(json_at(hosts, i), name))
            printf("  %s\n", name);
    }
}

/* By what the tenant says itself. */
static struct json *environment_of_tenant(const struct json *tenant)
{
    struct slice https = {0};
    struct environment_reach reach = {.https = true};
    if (!json_read_bool(json_get(tenant, "canonical_host"), &reach.canonical_host))
        reach.canonical_host = false;
    if (json_read_text(json_get(tenant, "https"), &https))
        reach.https = !slice_equal(https, SLICE("off"));
    return environment_of(json_get(tenant, "hosts"), json_get(tenant, "identity"), &reach);
}

void environment_print_tenant(const struct json *tenant, const struct json *told)
{
    const struct json *servers = json_get(json_get(tenant, "replicas"), "servers");
    struct json *environment = told != NULL ? json_clone(told) : environment_of_tenant(tenant);
    if (environment == NULL)
        return;
    print_names(json_get(tenant, "hosts"));
    puts("\nfor Open WebUI's environment:");
    environment_print(environment);
    if (json_count(servers) > 1)
        puts("  WEBUI_SECRET_KEY, DATABASE_URL, REDIS_URL: the same for all of its servers\n"
             "  REDIS_KEY_PREFIX: another one than any other tenant's");
    json_free(environment);
}
