/* The environment of an Open WebUI: see environment.h. */
#include "environment.h"

#include "core/memory.h"
#include "route/host.h"

#include <stdio.h>
#include <stdlib.h>

void environment_print(const char *url, const char *origins)
{
    printf("  WEBUI_URL=%s\n"
           "  CORS_ALLOW_ORIGIN=%s\n",
           url, origins);
    if (strncmp(url, "https://", 8) == 0)
        puts("  WEBUI_AUTH_COOKIE_SECURE=true\n"
             "  WEBUI_SESSION_COOKIE_SECURE=true");
    puts("  FORWARDED_ALLOW_IPS=*");
}

/* "https://chat.example.com", in the form that browsers send in Origin; NULL for what is not one
 * name. For free(). */
static char *origin_of(const struct json *host, const char *scheme)
{
    char name[HOST_MAX_BYTES + 1];
    struct slice text;
    bool wildcard;
    if (!json_read_text(host, &text) || !host_pattern_parse(text, name, &wildcard) || wildcard)
        return NULL;
    return memory_format("%s://%s", scheme, name);
}

/* The names that lead to the tenant: told, and as origins. */
struct origins {
    char *first;
    char *all; /* as CORS_ALLOW_ORIGIN has them: with ";" between */
};

static void add_origin(struct origins *origins, char *origin, bool canonical_host)
{
    if (origins->first == NULL) {
        puts("\nnames that have to lead to HAProxy:");
        origins->first = origin;
        origins->all = memory_copy_text(slice_of(origin));
    } else if (!canonical_host) { /* else no page comes from there */
        char *longer = memory_format("%s;%s", origins->all, origin);
        free(origins->all);
        origins->all = longer;
    }
    printf("  %s\n", strstr(origin, "://") + 3);
    if (origin != origins->first)
        free(origin);
}

void environment_print_tenant(const struct json *tenant)
{
    const struct json *hosts = json_get(tenant, "hosts");
    const struct json *servers = json_get(json_get(tenant, "replicas"), "servers");
    struct slice https = {0};
    struct origins origins = {0};
    bool canonical = false;
    if (!json_read_bool(json_get(tenant, "canonical_host"), &canonical))
        canonical = false;
    if (!json_read_text(json_get(tenant, "https"), &https))
        https = SLICE("redirect");
    for (size_t i = 0; i < json_count(hosts); i++) {
        char *origin =
            origin_of(json_at(hosts, i), slice_equal(https, SLICE("off")) ? "http" : "https");
        if (origin != NULL)
            add_origin(&origins, origin, canonical);
    }
    if (origins.first == NULL)
        return;
    puts("\nfor Open WebUI's environment:");
    environment_print(origins.first, origins.all);
    if (json_count(servers) > 1)
        puts("  WEBUI_SECRET_KEY, DATABASE_URL, REDIS_URL: the same for all of its servers\n"
             "  REDIS_KEY_PREFIX: another one than any other tenant's");
    free(origins.first);
    free(origins.all);
}
