/* app: which keys of the global file wait for a restart. */
#include "serving/restart_keys.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static char *one[] = {"192.0.2.1", "a"};
static char *other[] = {"192.0.2.2", "a"};

static struct configuration certified(void)
{
    struct configuration configuration = {.loops = 2};
    configuration.acme.directory = one[1];
    return configuration;
}

static void expect_waiting(const struct restart_keys *keys, const char *name)
{
    const char *waiting = restart_keys_waiting(keys, 0);
    cr_expect(name == NULL ? waiting == NULL : waiting != NULL && strcmp(waiting, name) == 0,
              "%s, not %s", waiting != NULL ? waiting : "none", name != NULL ? name : "none");
}

/* Changes `FIELD`, which is what the key is about, and changes it back. */
#define EXPECT_KEY(NAME, FIELD, VALUE)                 \
    do {                                               \
        struct configuration now = certified();        \
        struct restart_keys *keys;                     \
        keys = restart_keys_new(&now);                 \
        now.FIELD = (VALUE);                           \
        restart_keys_look(keys, &now);                 \
        expect_waiting(keys, NAME);                    \
        cr_expect_null(restart_keys_waiting(keys, 1)); \
        now = certified();                             \
        restart_keys_look(keys, &now);                 \
        expect_waiting(keys, NULL);                    \
        restart_keys_free(keys);                       \
    } while (0)

Test(restart_keys, what_changed_waits_and_what_changed_back_does_not)
{
    EXPECT_KEY("listen_group", listen_group, one[0]);
    EXPECT_KEY("listen_mode", listen_mode, 0600);
    EXPECT_KEY("admin_socket", admin_socket, one[0]);
    EXPECT_KEY("loops", loops, 3);
    EXPECT_KEY("trace", trace_entries, 7);
    EXPECT_KEY("trace", trace_file, one[0]);
    EXPECT_KEY("pages_listen", haproxy.pages_listen, one[0]);
    EXPECT_KEY("admin_http", admin_http.listen, one[0]);
    EXPECT_KEY("admin_http", admin_http.tokens_file, one[0]);
    EXPECT_KEY("admin_http", admin_http.requests_per_minute, 9);
    EXPECT_KEY("metrics", metrics.listen, one[0]);
    EXPECT_KEY("metrics", metrics.tenants, 9);
    EXPECT_KEY("acme", acme.directory, one[0]);
    EXPECT_KEY("acme", acme.state_dir, one[0]);
    EXPECT_KEY("acme", acme.staging, one[0]);
    EXPECT_KEY("acme", acme.ca_file, one[0]);
    EXPECT_KEY("acme", acme.profile, one[0]);
    EXPECT_KEY("acme", acme.preferred_chain, one[0]);
    EXPECT_KEY("acme", acme.external_kid, one[0]);
    EXPECT_KEY("acme", acme.external_secret_file, one[0]);
    EXPECT_KEY("acme", acme.second_directory, one[0]);
    EXPECT_KEY("acme", acme.second_ca_file, one[0]);
    EXPECT_KEY("acme", acme.second_after, 9);
    EXPECT_KEY("acme", acme.webroot, one[0]);
    EXPECT_KEY("acme", acme.certbot_live, one[0]);
    EXPECT_KEY("acme", acme.owner, one[0]);
    EXPECT_KEY("acme", acme.group, one[0]);
    EXPECT_KEY("acme", acme.orders_at_once, 9);
    EXPECT_KEY("acme", acme.no_dns_preflight, true);
    EXPECT_KEY("acme", acme.no_haproxy_preflight, true);
    EXPECT_KEY("acme", haproxy.placeholder, true);
    EXPECT_KEY("acme", haproxy.challenge_listen, one[0]);
    EXPECT_KEY("haproxy.crt_dir", haproxy.crt_dir, one[0]);
}

/* A list is another one with one text more, with another text, and with the same bytes cut at
 * another place. */
Test(restart_keys, lists_are_told_apart_by_each_text)
{
    static char *joined[] = {"ab", "c"}, *parted[] = {"a", "bc"};
    struct configuration now = certified();
    now.listen = joined;
    now.listen_count = 2;
    struct restart_keys *keys = restart_keys_new(&now);
    now.listen = parted;
    restart_keys_look(keys, &now);
    expect_waiting(keys, "listen");
    now.listen = joined;
    now.listen_count = 1;
    restart_keys_look(keys, &now);
    expect_waiting(keys, "listen");
    now.listen_count = 2;
    restart_keys_look(keys, &now);
    expect_waiting(keys, NULL);
    restart_keys_free(keys);
}

/* What the sidecar says first to HAProxy depends on it. */
Test(restart_keys, networks_that_begin_with_a_proxy_line_are_those_of_the_start)
{
    struct configuration now = certified();
    struct restart_keys *keys = restart_keys_new(&now);
    now.haproxy.proxy_protocol_from = one;
    now.haproxy.proxy_protocol_from_count = 1;
    restart_keys_look(keys, &now);
    expect_waiting(keys, "haproxy.proxy_protocol");
    now.haproxy.proxy_protocol_from_count = 0;
    restart_keys_look(keys, &now);
    expect_waiting(keys, NULL);
    restart_keys_free(keys);
}

/* Only certificates go by them until a restart. */
Test(restart_keys, without_certificates_what_only_they_need_waits_for_nothing)
{
    struct configuration now = certified();
    now.haproxy.http = one;
    now.haproxy.http_count = 1;
    struct restart_keys *keys = restart_keys_new(&now);
    now.haproxy.http = other;
    restart_keys_look(keys, &now);
    expect_waiting(keys, "haproxy.http");
    now.acme.directory = NULL; /* that waits itself */
    restart_keys_look(keys, &now);
    expect_waiting(keys, "acme");
    cr_expect_null(restart_keys_waiting(keys, 1));
    restart_keys_free(keys);

    now.haproxy.http = one;
    keys = restart_keys_new(&now);
    now.haproxy.http = other;
    now.nameservers = other;
    now.nameserver_count = 2;
    now.acme.profile = other[0];
    restart_keys_look(keys, &now);
    expect_waiting(keys, NULL);
    now.acme.state_dir = other[0]; /* where changes are remembered */
    restart_keys_look(keys, &now);
    expect_waiting(keys, "acme");
    restart_keys_free(keys);
}

Test(restart_keys, others_say_what_waits_by_name)
{
    struct configuration now = certified();
    struct restart_keys *keys = restart_keys_new(&now);
    restart_keys_mark(keys, "haproxy.fallback_map", true);
    restart_keys_look(keys, &now); /* which knows nothing of it */
    expect_waiting(keys, "haproxy.fallback_map");
    restart_keys_mark(keys, "haproxy.fallback_map", false);
    expect_waiting(keys, NULL);
    restart_keys_mark(keys, "no such key", true);
    expect_waiting(keys, NULL);
    restart_keys_free(keys);
}
