/* conf: each code that can be told is told for something, and every message stands in a table of
 * what is wrong and what is said about it. */
#include "conf/surroundings.h"
#include "conf_fixture.h"

#include "core/memory.h"
#include "core/text_stream.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define GOOD "\"hosts\": [\"a.test\"], \"upstream\": \"http://10.0.0.1:3000\""

#define PER_LABEL                                                      \
    "\"hosts\": [\"*.a.test\"], \"label\": \"[a-z]+\", \"upstream\": " \
    "\"http://{1}.internal:3000\""

#define JWT                                                                              \
    "\"from\": \"jwt\", \"issuer\": \"i\", \"audience\": \"a\", \"jwks\": \"/k.json\", " \
    "\"required\": true"

#define ACME "\"acme\": {\"directory\": \"https://ca.test/\", "

/* In the folder of HAProxy's files there is one of them, or none. */
#define HAPROXY_HERE      "\"haproxy\": {\"spoe_file\": \"owui-spoa.json\", "
#define HAPROXY_ELSEWHERE "\"haproxy\": {\"spoe_file\": \"tenants.d/owui.spoe.cfg\", "

#define LETSENCRYPT "\"acme\": {\"directory\": \"letsencrypt\"}"

/* `tenant` holds the members of tenant "t"; `global` those of the global file. */
static const struct row {
    enum code code;
    const char *global;
    const char *tenant;
    const char *said; /* a part of the message or hint */
} ROWS[] = {
    {CODE_FILE_UNREADABLE, "\"tenants_dir\": \"nowhere\"", GOOD, "nowhere is not a folder"},
    {CODE_FILE_UNREADABLE, "\"trusted_proxies\": [{\"cidrs_file\": \"gone.txt\"}]", GOOD,
     "No such file"},
    {CODE_JSON_SYNTAX, "\"loops\": 1,", NULL, "no comma before"},
    {CODE_JSON_SYNTAX, "\"loops\": 1 // one", NULL, "a key that starts with \"//\""},
    {CODE_JSON_SYNTAX, "\"loops\" 1", NULL, "not valid JSON"},
    {CODE_JSON_SYNTAX, "\"loops\": 1 \"trace\": 5", NULL, "a comma or colon is missing"},
    {CODE_JSON_SYNTAX, "'loops': 1", NULL, "double quotes"},
    {CODE_DUPLICATE_KEY, "\"loops\": 1, \"loops\": 2", NULL, "duplicate key \"loops\""},
    {CODE_DUPLICATE_KEY, NULL, GOOD ", \"hosts\": [\"b.test\"]", "duplicate key \"hosts\""},
    {CODE_WRONG_TYPE, "\"loops\": \"1\"", GOOD, "\"loops\" must be an integer, not a string"},
    {CODE_WRONG_TYPE, "\"haproxy\": []", GOOD, "must be an object"},
    {CODE_WRONG_TYPE, "\"haproxy\": {\"http\": \"*:80\"}", GOOD, "write [ ... ] around it"},
    {CODE_WRONG_TYPE, NULL, "\"hosts\": [7], \"upstream\": \"http://h\"",
     "\"tenants.t.hosts[0]\" must be a string"},
    {CODE_WRONG_TYPE, NULL, "\"hosts\": \"a.test\", \"upstream\": \"http://h\"", "write [ ... ]"},
    {CODE_OUT_OF_RANGE, "\"loops\": 0", GOOD, "0 is out of range: from 1 to 64"},
    {CODE_OUT_OF_RANGE, "\"schema\": 2", GOOD, "2 is out of range"},
    {CODE_OUT_OF_RANGE, "\"listen\": []", GOOD, "one address at least"},
    {CODE_OUT_OF_RANGE, "\"resolver\": {\"interval\": \"500ms\"}", GOOD, "from 5s to 1d"},
    {CODE_OUT_OF_RANGE, "\"resolver\": {\"nameservers\": []}", GOOD, "one address at least"},
    {CODE_OUT_OF_RANGE, "\"upstream_allow\": []", GOOD, "one network at least"},
    {CODE_OUT_OF_RANGE, "\"haproxy\": {\"http\": []}", GOOD, "must list one bind"},
    {CODE_OUT_OF_RANGE, "\"haproxy\": {\"agents\": []}", GOOD, "must list one agent"},
    {CODE_NOT_A_CHOICE, "\"log\": {\"level\": \"warn\"}", GOOD, "did you mean \"warning\"?"},
    {CODE_NOT_A_CHOICE, "\"unknown_host\": {\"status\": 200}", GOOD, "status cannot be 200"},
    {CODE_NOT_A_CHOICE, NULL, GOOD ", \"https\": \"on\"", "known: \"redirect\", \"off\""},
    {CODE_NOT_A_CHOICE,
     "\"trusted_proxies\": [{\"cidrs\": [], \"client_ip_header\": \"X-Forwarded\"}]", GOOD,
     "did you mean"},
    {CODE_UNKNOWN_KEY, "\"lopps\": 1", GOOD, "did you mean \"loops\"?"},
    {CODE_UNKNOWN_KEY, "\"x\": 1", GOOD, "known: \"$schema\""},
    {CODE_UNKNOWN_KEY, NULL, "\"host\": [\"a.test\"], \"upstream\": \"http://h\"",
     "did you mean \"hosts\"?"},
    {CODE_UNKNOWN_KEY, NULL, GOOD ", \"upsteam\": \"\"", "did you mean \"upstream\"?"},
    {CODE_UNKNOWN_KEY, NULL, GOOD ", \"maintenence\": {}", "did you mean \"maintenance\"?"},
    {CODE_MISSING_KEY, NULL, GOOD ", \"maintenance\": {}", "\"on\" or a \"window\""},
    {CODE_MISSING_KEY, NULL,
     GOOD ", \"maintenance\": {\"window\": {\"from\": \"2026-12-01T02:00Z\"}}",
     "a window needs \"to\""},
    {CODE_BAD_TIME, NULL,
     GOOD ", \"maintenance\": {\"window\": {\"from\": \"tomorrow\", \"to\": "
          "\"2026-12-01T02:00Z\"}}",
     "\"tomorrow\" is not a point in time"},
    {CODE_BAD_TIME, NULL,
     GOOD ", \"maintenance\": {\"window\": {\"from\": \"2026-12-01T02:00+00:00\", \"to\": "
          "\"2026-12-01T02:00+01:00\"}}",
     "ends before it begins"},
    {CODE_NOT_A_CHOICE, NULL, GOOD ", \"suspended\": {\"status\": 404}", "known: 402, 403"},
    {CODE_PAGE_UNREADABLE, NULL, GOOD ", \"suspended\": {\"page\": \"gone.html\"}",
     "gone.html cannot be served"},
    {CODE_PAGE_UNREADABLE, NULL, GOOD ", \"maintenance\": {\"on\": true, \"page\": \".\"}",
     "not a regular file"},
    {CODE_MISSING_KEY, "\"unknown_host\": {\"action\": \"redirect\"}", GOOD, "needs \"to\""},
    {CODE_MISSING_KEY, "\"trusted_proxies\": [{}]", GOOD, "needs \"cidrs\""},
    {CODE_MISSING_KEY, NULL, GOOD ", \"paths\": [{\"host\": \"b.test\"}]", "needs a \"prefix\""},
    {CODE_MISSING_KEY, NULL, GOOD ", \"hsts\": {}", "needs a \"max_age\""},
    {CODE_HSTS_PRELOAD, NULL, GOOD ", \"hsts\": {\"max_age\": \"365d\", \"preload\": true}",
     "365d at least"},
    {CODE_HSTS_PRELOAD, NULL,
     GOOD ", \"https\": \"off\", \"hsts\": {\"max_age\": \"365d\", \"subdomains\": true, "
          "\"preload\": true}",
     "\"https\" is \"off\""},
    {CODE_MISSING_KEY, "\"listen\": [\"systemd:spop\"]", GOOD, "where HAProxy finds the agent"},
    {CODE_MEANINGLESS_KEY, NULL,
     GOOD ", \"paths\": [{\"host\": \"b.test\", \"prefix\": \"/x\", \"mode\": \"root-share\"}]",
     "\"prefix\" has no meaning with path mode \"root-share\""},
    {CODE_MEANINGLESS_KEY, "\"unknown_host\": {\"to\": \"https://a.test\"}", GOOD,
     "\"to\" has no meaning"},
    {CODE_MEANINGLESS_KEY, NULL, GOOD ", \"upstream_tls\": {}", "without an https upstream"},
    {CODE_MEANINGLESS_KEY, "\"haproxy\": {\"runtime\": [], \"decision_map\": \"/d.map\"}", GOOD,
     "no meaning without \"runtime\""},
    {CODE_MEANINGLESS_KEY, "\"haproxy\": {\"backends\": {\"b\": {}}}", GOOD ", \"backend\": \"b\"",
     "remove one of the two"},
    {CODE_LISTED_TWICE, "\"listen\": [\"unix:@a\", \"unix:@a\"]", GOOD, "in the list already"},
    {CODE_LISTED_TWICE, NULL,
     "\"hosts\": [\"a.test\", \"A.test\"], \"upstream\": \"http://10.0.0.1\"",
     "host \"a.test\" is in the list"},
    {CODE_LISTED_TWICE, NULL,
     GOOD ", \"paths\": [{\"host\": \"b.test\", \"prefix\": \"/x\"}, {\"host\": \"b.test\", "
          "\"prefix\": \"/x/\"}]",
     "path \"b.test/x\" is there already"},
    {CODE_LISTED_TWICE, NULL,
     GOOD ", \"paths\": [{\"host\": \"b.test\", \"prefix\": \"/api/\", \"mode\": \"strip\", "
          "\"only\": [\"/v1/\"]}, {\"host\": \"b.test\", \"mode\": \"root-share\"}]",
     "path \"b.test/api\" is there already"},
    {CODE_LISTED_TWICE, NULL,
     GOOD ", \"paths\": [{\"host\": \"b.test\", \"mode\": \"root-share\"}, {\"host\": "
          "\"b.test\", \"prefix\": \"/api/\", \"mode\": \"strip\", \"only\": [\"/v1/\"]}]",
     "path \"b.test/api\" is there already"},
    {CODE_LISTED_TWICE, NULL, GOOD ", \"headers\": {\"X-A\": \"1\", \"x-a\": \"2\"}",
     "case does not count"},
    {CODE_BAD_ADDRESS, "\"listen\": [\"localhost:1\"]", GOOD, "tcp:127.0.0.1:12345"},
    {CODE_BAD_ADDRESS, "\"listen\": [\"tcp:example.com:1\"]", GOOD, "is not an address"},
    {CODE_BAD_ADDRESS, "\"listen\": [\"unix:/run/owui-spoa/agent.sock\"]", GOOD, "chroot"},
    {CODE_BAD_ADDRESS, "\"haproxy\": {\"http\": [\"80\"]}", GOOD, "\"*:443\""},
    {CODE_BAD_ADDRESS, "\"haproxy\": {\"runtime\": [\"admin.sock\"]}", GOOD, "master:"},
    {CODE_BAD_ADDRESS, "\"haproxy\": {\"agents\": [\"systemd:x\"]}", GOOD, "unix:@name"},
    {CODE_BAD_ADDRESS, "\"haproxy\": {\"http\": [\"*:80x\"]}", GOOD, "is not an address"},
    {CODE_BAD_ADDRESS, "\"haproxy\": {\"http\": [\"[::1:80\"]}", GOOD, "is not an address"},
    {CODE_BAD_ADDRESS, "\"haproxy\": {\"http\": [\"::1:80\"]}", GOOD, "is not an address"},
    {CODE_BAD_ADDRESS, "\"listen\": [\"unix:@\"]", GOOD, "is not an address"},
    {CODE_BAD_ADDRESS, "\"listen\": [\"unix:@a b\"]", GOOD, "is not an address"},
    {CODE_BAD_ADDRESS, "\"listen\": [\"unix:relative\"]", GOOD, "is not an address"},
    {CODE_BAD_ADDRESS, "\"haproxy\": {\"backends\": {\"b\": {\"servers\": [\"-a.test:1\"]}}}", GOOD,
     "is not an address"},
    {CODE_BAD_ADDRESS, "\"haproxy\": {\"backends\": {\"b\": {\"servers\": [\"a..test:1\"]}}}", GOOD,
     "is not an address"},
    {CODE_BAD_ADDRESS, "\"acme\": {\"challenge_listen\": \"*:8688\"}", GOOD, "127.0.0.1:8688"},
    {CODE_BAD_ADDRESS, "\"haproxy\": {\"agents\": [\"tcp:[::0]:5\"]}", GOOD, "is not an address"},
    {CODE_BAD_ADDRESS, "\"haproxy\": {\"agents\": [\"tcp:[0:0::0]:5\"]}", GOOD, "unix:@name"},
    {CODE_BAD_ADDRESS, "\"haproxy\": {\"agents\": [\"tcp:[::ffff:0.0.0.0]:5\"]}", GOOD,
     "unix:@name"},
    {CODE_BAD_ADDRESS, "\"resolver\": {\"nameservers\": [\"[0::]:53\"]}", GOOD, "127.0.0.1:8600"},
    {CODE_BAD_ADDRESS, "\"haproxy\": {\"backends\": {\"b\": {\"servers\": [\"10.0.0.1\"]}}}", GOOD,
     "10.0.0.1:8080"},
    {CODE_BAD_NETWORK, "\"upstream_allow\": [\"10.0.0.1/8\"]", GOOD,
     "did you mean \"10.0.0.0/8\"?"},
    {CODE_BAD_NETWORK, "\"upstream_allow\": [\"fd00:1::/16\"]", GOOD,
     "did you mean \"fd00::/16\"?"},
    {CODE_BAD_NETWORK, "\"upstream_allow\": [\"example.com\"]", GOOD, "for example"},
    {CODE_BAD_DURATION, "\"resolver\": {\"interval\": \"30\"}", GOOD, "\"500ms\", \"30s\""},
    {CODE_BAD_FILE_NAME, "\"haproxy\": {\"fallback_map\": \"/var/a,b.map\"}", GOOD, "a comma"},
    {CODE_BAD_FILE_NAME, "\"haproxy\": {\"crt_dir\": \"/etc/my certs\"}", GOOD, "file name"},
    {CODE_BAD_FILE_NAME, "\"haproxy\": {\"crt_dir\": \"/etc/\\nglobal\"}", GOOD, "file name"},
    {CODE_BAD_NAME, "\"listen_group\": \"no way\"", GOOD, "is not a name"},
    {CODE_BAD_NAME, "\"haproxy\": {\"backends\": {\"A b\": {}}}", GOOD, "for a backend"},
    {CODE_BAD_NAME, "\"haproxy\": {\"backends\": {\"requests\": {}}}", GOOD, "is the agent's own"},
    {CODE_BAD_URL, "\"unknown_host\": {\"action\": \"redirect\", \"to\": \"https://a.test/x\"}",
     GOOD, "scheme and host"},
    {CODE_BAD_URL, "\"acme\": {\"directory\": \"http://ca.test/dir\"}", GOOD, "letsencrypt"},
    {CODE_BAD_URL, "\"acme\": {\"second\": {\"directory\": \"none\"}}", GOOD,
     "the second CA cannot be \"none\""},
    {CODE_MISSING_KEY, "\"acme\": {\"external_account\": {\"kid\": \"k\"}}", GOOD,
     "needs \"kid\" and \"secret_file\""},
    {CODE_BAD_URL, "\"acme\": {\"contact\": [\"me@a.test\"]}", GOOD,
     "did you mean \"mailto:me@a.test\"?"},
    {CODE_BAD_MODE, "\"listen_mode\": \"0999\"", GOOD, "\"0660\""},
    {CODE_BAD_SIZE, "\"defaults\": {\"limits\": {\"max_body\": \"100M\"}}", GOOD, "\"100MB\""},
    {CODE_HOST_SYNTAX, NULL, "\"hosts\": [\"https://a.test\"], \"upstream\": \"http://h\"",
     "without scheme"},
    {CODE_HOST_SYNTAX, NULL, "\"hosts\": [\"a.test:80\"], \"upstream\": \"http://h\"",
     "without port"},
    {CODE_HOST_SYNTAX, NULL, "\"hosts\": [\"a.*.test\"], \"upstream\": \"http://h\"",
     "one label in front"},
    {CODE_NO_WAY_IN, NULL, "\"upstream\": \"http://10.0.0.1\"", "neither a host nor a path"},
    {CODE_NO_WAY_IN, NULL, "\"hosts\": [], \"upstream\": \"http://10.0.0.1\"", "neither a host"},
    {CODE_NO_UPSTREAM, NULL, "\"hosts\": [\"a.test\"]", "add \"upstream\""},
    {CODE_NO_UPSTREAM, NULL, "\"hosts\": [\"a.test\"], \"upstream_tls\": {}", "add \"upstream\""},
    {CODE_UPSTREAM_SYNTAX, NULL, "\"hosts\": [\"a.test\"], \"upstream\": \"10.0.0.1:3000\"",
     "did you mean \"http://10.0.0.1:3000\"?"},
    {CODE_UPSTREAM_SYNTAX, NULL, "\"hosts\": [\"a.test\"], \"upstream\": \"http://h/owui\"",
     "no base path"},
    {CODE_UPSTREAM_SYNTAX, NULL, "\"hosts\": [\"a.test\"], \"upstream\": \"http://u:p@h\"",
     "user name"},
    {CODE_UPSTREAM_SYNTAX, NULL, "\"hosts\": [\"a.test\"], \"upstream\": \"http://h:0\"", "port"},
    {CODE_UPSTREAM_SYNTAX, NULL, "\"hosts\": [\"a.test\"], \"upstream\": \"http://h:99999\"",
     "port"},
    {CODE_UPSTREAM_SYNTAX, NULL, "\"hosts\": [\"a.test\"], \"upstream\": \"http://fd00::1\"",
     "an IPv6 address stands in brackets"},
    {CODE_UPSTREAM_SYNTAX, NULL, "\"hosts\": [\"a.test\"], \"upstream\": \"http://fd00::1:3000\"",
     "an IPv6 address stands in brackets"},
    {CODE_UPSTREAM_SYNTAX, NULL, "\"hosts\": [\"a.test\"], \"upstream\": \"http://h:80:80\"",
     "port"},
    {CODE_UPSTREAM_SYNTAX, NULL, "\"hosts\": [\"a.test\"], \"upstream\": \"http://127.1:80\"",
     "neither a name nor an address"},
    {CODE_UPSTREAM_SYNTAX, NULL, "\"hosts\": [\"a.test\"], \"upstream\": \"http://h.internal.:80\"",
     "ends in a dot"},
    {CODE_UPSTREAM_SYNTAX, NULL, "\"hosts\": [\"a.test\"], \"upstream\": \"http://0x7f000001\"",
     "neither a name nor an address"},
    {CODE_UPSTREAM_SYNTAX, NULL, "\"hosts\": [\"a.test\"], \"upstream\": \"http://\"", "missing"},
    {CODE_UPSTREAM_SYNTAX, NULL, "\"hosts\": [\"a.test\"], \"upstream\": \"http://[::1\"", "port"},
    {CODE_UPSTREAM_SYNTAX, NULL, "\"hosts\": [\"a.test\"], \"upstream\": \"http://[10.0.0.1]\"",
     "stands in brackets"},
    {CODE_UPSTREAM_SYNTAX, NULL, "\"hosts\": [\"*.test\"], \"upstream\": \"http://{1}..i\"",
     "not a name"},
    {CODE_UPSTREAM_SYNTAX, NULL, "\"hosts\": [\"*.test\"], \"upstream\": \"http://{2}.i\"",
     "unknown placeholder"},
    {CODE_UPSTREAM_SYNTAX, NULL, "\"hosts\": [\"*.test\"], \"upstream\": \"http://{host}:1\"",
     "only {1}"},
    {CODE_UPSTREAM_REFUSED, NULL,
     "\"hosts\": [\"a.test\"], \"upstream\": \"http://169.254.169.254\"", "169.254.169.254"},
    {CODE_UPSTREAM_REFUSED, "\"upstream_allow\": [\"10.1.0.0/16\"]", GOOD, "upstream_allow"},
    {CODE_UPSTREAM_REFUSED, NULL,
     "\"hosts\": [\"a.test\"], \"upstream\": \"http://[::ffff:169.254.169.254]\"", "169.254"},
    {CODE_UPSTREAM_LOOP, NULL, "\"hosts\": [\"a.test\"], \"upstream\": \"http://127.0.0.1:80\"",
     "haproxy.http"},
    {CODE_UPSTREAM_LOOP, NULL, "\"hosts\": [\"a.test\"], \"upstream\": \"https://localhost\"",
     "haproxy.https"},
    {CODE_UPSTREAM_LOOP, "\"haproxy\": {\"http\": [\"[::0]:8080\"]}",
     "\"hosts\": [\"a.test\"], \"upstream\": \"http://127.0.0.1:8080\"", "haproxy.http"},
    {CODE_UPSTREAM_LOOP, "\"listen\": [\"tcp:12345\"]",
     "\"hosts\": [\"a.test\"], \"upstream\": \"http://127.0.0.1:12345\"", "haproxy.agents"},
    {CODE_UPSTREAM_LOOP, NULL, "\"hosts\": [\"a.test\"], \"upstream\": \"http://127.0.0.1:8688\"",
     "acme.challenge_listen"},
    {CODE_BACKEND_UNKNOWN, "\"haproxy\": {\"backends\": {\"bigcorp\": {}}}",
     "\"hosts\": [\"a.test\"], \"backend\": \"bigcrop\"", "did you mean \"bigcorp\"?"},
    {CODE_BACKEND_UNKNOWN, NULL, "\"hosts\": [\"a.test\"], \"backend\": \"b\"",
     "silently uses its default"},
    {CODE_LABEL_PATTERN, NULL,
     "\"hosts\": [\"*.test\"], \"label\": \"[a-\", \"upstream\": \"http://h\"",
     "not a regular expression"},
    {CODE_LABEL_WITHOUT_WILDCARD, NULL, GOOD ", \"label\": \"a\"", "no meaning without a host"},
    {CODE_LABEL_WITHOUT_WILDCARD, NULL,
     "\"hosts\": [\"a.test\", \"*.test\"], \"label\": \"a\", \"upstream\": \"http://{1}.i\"",
     "not every host has a label"},
    {CODE_LABEL_WITHOUT_WILDCARD, NULL, GOOD ", \"headers\": {\"X-L\": \"{label}\"}", "yields"},
    {CODE_VERSION_SPLIT, NULL,
     "\"hosts\": [\"a.test\"], \"versions\": {\"blue\": \"http://h\"}, \"active\": {\"blue\": 9}",
     "two versions cannot share"},
    {CODE_VERSION_UNKNOWN, NULL,
     "\"hosts\": [\"a.test\"], \"versions\": {\"blue\": \"http://h\"}, \"active\": \"bleu\"",
     "did you mean \"blue\"?"},
    {CODE_REPLICA_UNKNOWN, NULL,
     "\"hosts\": [\"a.test\"], \"replicas\": {\"servers\": [\"h:1\"], \"draining\": [\"g:1\"]}",
     "not in \"servers\""},
    {CODE_PATH_PREFIX, "\"haproxy\": {\"backends\": {\"b\": {\"check\": \"/a b\"}}}", GOOD,
     "not a plain path"},
    {CODE_PATH_PREFIX, NULL, GOOD ", \"paths\": [{\"host\": \"b.test\", \"prefix\": \"owui\"}]",
     "not a path prefix"},
    {CODE_PATH_PREFIX, NULL, GOOD ", \"paths\": [{\"host\": \"b.test\", \"prefix\": \"/\"}]",
     "belongs in \"hosts\""},
    {CODE_PATH_PREFIX, NULL, GOOD ", \"paths\": [{\"host\": \"b.test\", \"prefix\": \"/a/../b\"}]",
     "no \"..\""},
    {CODE_PATH_PREFIX, NULL,
     GOOD ", \"paths\": [{\"host\": \"b.test\", \"prefix\": \"/1/2/3/4/5/6/7/8/9\"}]",
     "at most 8 segments"},
    {CODE_PATH_PREFIX, NULL,
     GOOD ", \"paths\": [{\"host\": \"b.test\", \"prefix\": \"/a\", \"only\": [\"api\"]}]",
     "not a path"},
    {CODE_REDIRECT_WITHOUT_HOST, NULL,
     "\"paths\": [{\"host\": \"b.test\", \"prefix\": \"/a\"}], \"upstream\": \"http://h\"",
     "first in \"hosts\""},
    {CODE_REDIRECT_WITHOUT_HOST, NULL,
     "\"hosts\": [\"*.test\"], \"paths\": [{\"host\": \"b.test\", \"prefix\": \"/a\"}], "
     "\"upstream\": \"http://h\"",
     "it has none"},
    {CODE_HEADER_NAME, NULL, GOOD ", \"headers\": {\"Host\": \"x\"}", "Host"},
    {CODE_HEADER_NAME, NULL, GOOD ", \"headers\": {\"X_Team\": \"x\"}", "X_Team"},
    {CODE_HEADER_NAME, NULL, GOOD ", \"headers\": {\"x-tenant-id\": \"x\"}",
     "not a tenant's to set"},
    {CODE_HEADER_NAME, "\"tenant_id_header\": \"X-Owner\"",
     GOOD ", \"headers\": {\"x-owner\": \"x\"}", "tells the tenant's name already"},
    {CODE_HEADER_NAME, NULL, GOOD ", \"headers\": {\"Cookie\": \"a=b\"}", "not a tenant's to set"},
    {CODE_HEADER_NAME, "\"defaults\": {\"headers\": {\"X-Api-Key\": \"x\"}}", GOOD,
     "not a tenant's to set"},
    {CODE_HEADER_NAME, NULL,
     GOOD ", \"identity\": {\"from\": \"shared\", \"set\": {\"X-Api-Key\": \"{email}\"}}",
     "not a tenant's to set"},
    {CODE_HEADER_NAME, "\"tenant_id_header\": \"Cookie\"", GOOD, "Cookie"},
    {CODE_HEADER_NAME, "\"strip_headers\": [\"X User\"]", GOOD, "not a header name"},
    {CODE_HEADER_NAME, "\"strip_headers\": [\"Upgrade\"]", GOOD, "no request would work"},
    {CODE_HEADER_NAME, "\"tenant_id_header\": \"Host\"", GOOD, "Host"},
    {CODE_HEADER_VALUE, NULL, GOOD ", \"headers\": {\"X-A\": \"{clint_ip}\"}", "X-A"},
    {CODE_HEADER_VALUE, NULL, GOOD ", \"headers\": {\"X-A\": \"a\\nb\"}", "X-A"},
    {CODE_HEADER_FIXED, "\"headers\": {\"X-Site\": \"main\"}",
     GOOD ", \"headers\": {\"x-site\": \"mine\"}", "belongs in \"defaults\""},
    {CODE_TLS_NAME, NULL, "\"hosts\": [\"a.test\"], \"upstream\": \"https://10.0.0.1\"",
     "add \"upstream_tls\""},
    {CODE_TLS_NAME, NULL,
     "\"hosts\": [\"a.test\"], \"upstream\": \"https://10.0.0.1\", \"upstream_tls\": "
     "{\"server_name\": \"a b\"}",
     "not a host name"},
    {CODE_IDENTITY_HEADER, NULL, GOOD ", \"identity\": {" JWT ", \"header\": \"X_Y\"}",
     "is not a name that a token can be found by"},
    {CODE_IDENTITY_HEADER, NULL,
     GOOD ", \"identity\": {\"from\": \"shared\", \"set\": {\"Cookie\": \"{email}\"}}",
     "deleted from every request"},
    {CODE_IDENTITY_SOURCE, NULL,
     GOOD ", \"identity\": {\"from\": \"client_cert\", \"required\": true}", "client_ca_file"},
    {CODE_IDENTITY_DOMAIN, NULL,
     GOOD ", \"identity\": {" JWT ", \"email_domains\": {\"@a.test\": \"t\"}}", "without \"@\""},
    {CODE_IDENTITY_DOMAIN, NULL,
     GOOD ", \"identity\": {" JWT ", \"email_domains\": {\"a.test\": \"nobody\"}}",
     "not there or not good"},
    {CODE_IDENTITY_DOMAIN, NULL,
     GOOD ", \"identity\": {" JWT ", \"email_domains\": {\"a.test\": \"t\"}}",
     "does not share its identities"},
    {CODE_IDENTITY_DOMAIN, NULL,
     PER_LABEL ", \"identity\": {" JWT ", \"email_domains\": {\"a.test\": \"t\"}}",
     "whose upstream depends on a label"},
    {CODE_CLAIM, NULL, GOOD ", \"identity\": {" JWT ", \"groups\": \"realm_access..roles\"}",
     "the name of a claim must not be empty"},
    {CODE_CLAIM, NULL, GOOD ", \"identity\": {" JWT ", \"groups\": \"user.https://a.test/roles\"}",
     "[\"user\", \"https://example.com/roles\"]"},
    {CODE_NOT_A_CHOICE, NULL, GOOD ", \"identity\": {" JWT ", \"algorithms\": [\"HS256\"]}",
     "can forge with it"},
    {CODE_HEADER_VALUE, NULL, GOOD ", \"headers\": {\"X-User-Email\": \"{email}\"}",
     "who verifies it"},
    {CODE_TENANT_UNKNOWN, "\"unknown_host\": {\"action\": \"tenant\", \"tenant\": \"nobody\"}",
     GOOD, "which is not there"},
    {CODE_TENANT_UNKNOWN, "\"unknown_host\": {\"action\": \"tenant\", \"tenant\": \"t\"}",
     PER_LABEL, "whose upstream depends on a label"},
    {CODE_ROUTE_TENANT, NULL, GOOD ", \"routes\": [{\"match\": {}, \"tenant\": \"nobody\"}]",
     "which is not there or not good"},
    {CODE_ROUTE_TENANT, NULL, GOOD ", \"routes\": [{\"match\": {}, \"tenant\": \"t\"}]",
     "whose it is"},
    {CODE_REPLICA_UNKNOWN, NULL, GOOD ", \"routes\": [{\"match\": {}, \"pool\": \"jobs\"}]",
     "no pool \"jobs\""},
    {CODE_BAD_TIME, NULL, GOOD ", \"routes\": [{\"match\": {\"hours\": {\"from\": \"8:00\"}}}]",
     "not a time of the day"},
    {CODE_OUT_OF_RANGE, NULL,
     GOOD ", \"routes\": [{\"match\": {\"hours\": {\"from\": \"24:00\", \"to\": \"00:00\"}}}]",
     "are the same"},
    {CODE_BAD_TIME, NULL, GOOD ", \"routes\": [{\"match\": {\"hours\": {\"zone\": \"Mars\"}}}]",
     "not a time zone"},
    {CODE_PATH_STRIP, NULL,
     GOOD ", \"paths\": [{\"host\": \"b.test\", \"prefix\": \"/a\", \"mode\": \"strip\"}]",
     "open-webui#25971"},
    {CODE_PATH_KEEP, NULL,
     GOOD ", \"paths\": [{\"host\": \"b.test\", \"prefix\": \"/a\", \"mode\": \"keep\"}]",
     "open-webui#25971"},
    {CODE_HEADER_FROM_CLIENT, NULL,
     "\"hosts\": [\"*.test\"], \"upstream\": \"http://10.0.0.1\", \"headers\": {\"X-L\": \"{1}\"}",
     "add a \"label\" pattern"},
    {CODE_UPSTREAM_FROM_CLIENT, NULL, "\"hosts\": [\"*.test\"], \"upstream\": \"http://{1}.i:80\"",
     "whatever a client asks for"},
    {CODE_ENDLESS_REDIRECT, "\"haproxy\": {\"https\": []}", GOOD, "sent to https (tenants: 1)"},
    {CODE_ACCOUNT_UNKNOWN,
     "\"listen\": [\"unix:/run/a.sock\"], \"haproxy\": {\"chroot\": null}, "
     "\"listen_group\": \"no-such\"",
     GOOD, "listen_group: there is no group \"no-such\": the daemon does not start"},
    {CODE_ACCOUNT_UNKNOWN, ACME "\"group\": \"no-such\"}", GOOD, "acme.group: there is no group"},
    {CODE_ACCOUNT_UNKNOWN, ACME "\"owner\": \"no-such\"}", GOOD, "acme.owner: there is no user"},
    {CODE_FILE_NEEDED, ACME "\"external_account\": {\"kid\": \"k\", \"secret_file\": \"gone\"}}",
     GOOD, "gone: No such file or directory: the daemon does not start"},
    {CODE_FILE_NEEDED,
     ACME "\"second\": {\"directory\": \"letsencrypt\", \"external_account\": {\"kid\": \"k\", "
          "\"secret_file\": \"owui-spoa.json\"}}}",
     GOOD, "is not base64url"},
    {CODE_FILE_NEEDED, ACME "\"webroot\": \"tenants.d\"}", GOOD,
     "mkdir -p tenants.d/.well-known/acme-challenge"},
    {CODE_FILE_NEEDED, HAPROXY_HERE "\"upstream_ca_file\": \"gone.pem\"}", GOOD,
     "No such file or directory: HAProxy refuses its file"},
    {CODE_FILE_MISSED, HAPROXY_ELSEWHERE "\"upstream_ca_file\": \"gone.pem\"}", GOOD,
     "haproxy.upstream_ca_file: cannot open"},
    {CODE_FILE_MISSED, HAPROXY_ELSEWHERE "\"client_ca_file\": \"gone.pem\"}", GOOD,
     "it is to be where HAProxy runs"},
    {CODE_FILE_NEEDED, "\"haproxy\": {\"client_ca_file\": \"owui-spoa.json\"}", GOOD,
     "it holds no certificates in PEM: HAProxy refuses its file"},
    {CODE_FILE_MISSED, ACME "\"ca_file\": \"gone.pem\"}", GOOD, "acme.ca_file: cannot open"},
    {CODE_FILE_MISSED,
     ACME "\"second\": {\"directory\": \"letsencrypt\", \"ca_file\": \"gone.pem\"}}", GOOD,
     "acme.second.ca_file: cannot open"},
    {CODE_FILE_MISSED, ACME "\"certbot_live\": \"gone\"}", GOOD, "acme.certbot_live: cannot open"},
    {CODE_FILE_MISSED, "\"jwks\": {\"ca_file\": \"tenants.d\"}", GOOD, "is not a regular file"},
    {CODE_UNCERTIFIABLE_HOST, NULL, "\"hosts\": [\"192.0.2.1\"], \"upstream\": \"http://10.0.0.1\"",
     "for the address 192.0.2.1, since browsers"},
    {CODE_UNCERTIFIABLE_HOST, LETSENCRYPT,
     "\"hosts\": [\"chat\"], \"upstream\": \"http://10.0.0.1\"",
     "chat is no name of the public DNS"},
    {CODE_UNCERTIFIABLE_HOST, LETSENCRYPT,
     "\"hosts\": [\"chat.local\"], \"upstream\": \"http://10.0.0.1\"", "a CA of your own"},
    {CODE_UNCERTIFIABLE_HOST, LETSENCRYPT,
     "\"hosts\": [\"a.example.org\"], \"upstream\": \"http://10.0.0.1\", \"paths\": [{\"host\": "
     "\"chat.home.arpa\", \"prefix\": \"/a\", \"mode\": \"redirect\"}]",
     "chat.home.arpa is no name"},
    {CODE_TRUSTS_EVERYBODY, "\"trusted_proxies\": [{\"cidrs\": [\"0.0.0.0/0\"]}]", GOOD,
     "any address as its own"},
};

/* Codes that need more than one tenant or file; each has a test below. */
static const enum code ELSEWHERE[] = {
    CODE_TENANT_NAME,       CODE_TENANT_TWICE,     CODE_HOST_TAKEN,      CODE_ANSWER_TOO_BIG,
    CODE_NO_TENANTS,        CODE_SHARED_ORIGIN,    CODE_ANY_AUTHORITY,   CODE_SHARED_DATABASE,
    CODE_LABEL_LINE,        CODE_NO_ROOM, /* test_conf_room.c */
    CODE_UNCERTIFIED_HOSTS, CODE_TOO_MANY_NAMES,   CODE_TAKEOVER_SHARED, CODE_NO_CERTIFICATE,
    CODE_CERTIFICATE_TAKEN, CODE_FILE_PASSED_OVER,
};

static void look_around(struct fixture *fixture)
{
    if (fixture->whole.configuration != NULL)
        surroundings_check(fixture->whole.configuration, &fixture->diagnostics);
}

Test(conf_codes, each_mistake_is_told)
{
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        const struct row *row = &ROWS[i];
        const char *global = row->global != NULL ? row->global : "";
        const char *comma = row->global != NULL && row->tenant != NULL ? ", " : "";
        char *text = row->tenant != NULL ? memory_format("{%s%s\"tenants\": {\"t\": {%s}}}", global,
                                                         comma, row->tenant)
                                         : memory_format("{%s}", global);
        struct fixture *fixture = fixture_of(text);
        look_around(fixture);
        char *said = fixture_text(fixture);
        cr_expect(fixture_said(fixture, row->code), "%s: E%d not told:\n%s", text, row->code, said);
        cr_expect(strstr(said, row->said) != NULL, "%s: \"%s\" not in:\n%s", text, row->said, said);
        cr_expect(eq(sz, fixture->diagnostics.count, 1), "%s: more than one:\n%s", text, said);
        cr_expect(eq(int, fixture->diagnostics.errors == 0, row->code >= 500), "%s:\n%s", text,
                  said);
        free(said);
        free(text);
        fixture_free(fixture);
    }
}

static bool is_tested(unsigned code)
{
    for (size_t i = 0; i < COUNT_OF(ROWS); i++)
        if (ROWS[i].code == code)
            return true;
    for (size_t i = 0; i < COUNT_OF(ELSEWHERE); i++)
        if (ELSEWHERE[i] == code)
            return true;
    return false;
}

Test(conf_codes, every_code_is_tested)
{
#define X(NAME, NUMBER, SEVERITY, MEANING) \
    cr_expect(is_tested(NUMBER), "E%d (" #NAME ") has no test", NUMBER);
    CODE_TABLE(X)
#undef X
    cr_expect(code_meaning(1) == NULL);
}

Test(conf_codes, a_share_of_another_tenants_database)
{
    struct fixture *fixture =
        fixture_of("{\"tenants\": {\"t\": {" GOOD
                   ", \"routes\": [{\"match\": {\"share\": 10}, \"tenant\": \"u\"}]}, "
                   "\"u\": {\"hosts\": [\"u.test\"], \"upstream\": \"http://10.0.0.2\"}}}");
    char *said = fixture_text(fixture);
    cr_expect(fixture_said(fixture, CODE_SHARED_DATABASE), "%s", said);
    cr_expect_not_null(strstr(said, "10% of its clients go to tenant \"u\""), "%s", said);
    cr_expect(eq(sz, fixture->diagnostics.count, 1), "%s", said);
    cr_expect(fixture->good);
    free(said);
    fixture_free(fixture);
}

/* Of two CAs that are asked in turn, the other may be the admin's own. */
Test(conf_codes, a_second_ca_may_issue_for_a_lan)
{
    static const char *const SECONDS[] = {"https://ca.lan/acme", "letsencrypt-staging"};
    for (size_t i = 0; i < COUNT_OF(SECONDS); i++) {
        char *text = memory_format("{\"acme\": {\"directory\": \"letsencrypt\", \"second\": "
                                   "{\"directory\": \"%s\"}}, \"tenants\": {\"t\": {\"hosts\": "
                                   "[\"chat.local\"], \"upstream\": \"http://10.0.0.1\"}}}",
                                   SECONDS[i]);
        struct fixture *fixture = fixture_of(text);
        char *said = fixture_text(fixture);
        cr_assert(fixture->good, "%s", said);
        cr_expect(eq(int, fixture_said(fixture, CODE_UNCERTIFIABLE_HOST), i == 1), "%s", said);
        free(said);
        free(text);
        fixture_free(fixture);
    }
}

Test(conf_codes, what_may_be_meant_for_a_tenants_file)
{
    static const char *const MEANT[] = {"a.conf", "b.JSON", "c.json.txt", "d.yml"};
    static const char *const OTHERS[] = {".e.json", "f.json.off", "g.json~", "fleet.csv", "README"};
    struct fixture *fixture = fixture_new();
    fixture_write(fixture, "owui-spoa.json", "{\"tenants\": {\"t\": {" GOOD "}}}");
    for (size_t i = 0; i < COUNT_OF(MEANT) + COUNT_OF(OTHERS); i++) {
        const char *name = i < COUNT_OF(MEANT) ? MEANT[i] : OTHERS[i - COUNT_OF(MEANT)];
        char *path = memory_format("tenants.d/%s", name);
        fixture_write(fixture, path, "{}");
        free(path);
    }
    fixture_load(fixture);
    char *said = fixture_text(fixture);
    cr_assert(fixture->good, "%s", said);
    cr_assert(eq(sz, fixture->diagnostics.count, COUNT_OF(MEANT)), "%s", said);
    for (size_t i = 0; i < COUNT_OF(MEANT); i++) {
        const struct diagnostic *one = &fixture->diagnostics.items[i];
        cr_expect(eq(int, one->code, CODE_FILE_PASSED_OVER));
        cr_expect(strstr(one->place.file, MEANT[i]) != NULL, "%s", said);
    }
    free(said);
    fixture_free(fixture);
}

/* A folder of something else's files, say, is told of and does not bury the rest. */
Test(conf_codes, many_that_may_be_meant_are_counted)
{
    struct fixture *fixture = fixture_new();
    fixture_write(fixture, "owui-spoa.json", "{\"tenants\": {\"t\": {" GOOD "}}}");
    for (unsigned i = 0; i < 23; i++) {
        char *name = memory_format("tenants.d/%02u.yaml", i);
        fixture_write(fixture, name, "{}");
        free(name);
    }
    char *folder = memory_format("%s/tenants.d/00.conf", fixture->folder);
    cr_assert(zero(int, mkdir(folder, 0700)));
    fixture_load(fixture);
    rmdir(folder);
    char *said = fixture_text(fixture);
    cr_assert(eq(sz, fixture->diagnostics.count, 11), "%s", said);
    cr_expect(strstr(said, "00.conf") == NULL, "%s", said);
    cr_expect(strstr(said, "tenants.d/09.yaml: ") != NULL, "%s", said);
    cr_expect(strstr(said, "tenants.d: warning[W522]: 13 more files are not read") != NULL, "%s",
              said);
    free(said);
    free(folder);
    fixture_free(fixture);
}

Test(conf_codes, a_file_in_utf16)
{
    struct fixture *fixture = fixture_new();
    static const char *const MARKS[] = {"\xff\xfe{", "\xfe\xff{"};
    for (size_t i = 0; i < COUNT_OF(MARKS); i++) {
        fixture_write(fixture, "owui-spoa.json", MARKS[i]);
        fixture_load(fixture);
        char *said = fixture_text(fixture);
        cr_expect(strstr(said, "save the file as UTF-8") != NULL, "%s", said);
        free(said);
        whole_fini(&fixture->whole);
        diagnostics_fini(&fixture->diagnostics);
    }
    fixture_free(fixture);
}

Test(conf_codes, names_of_tenants)
{
    const char *bad[] = {"A", "a b", "-a", "a-", ".a", "\\u00e4", "a/b", ""};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char *text = memory_format("{\"tenants\": {\"%s\": {" GOOD "}}}", bad[i]);
        struct fixture *fixture = fixture_of(text);
        cr_expect(fixture_said(fixture, CODE_TENANT_NAME), "%s", text);
        /* What begins otherwise is about the file, and so about all of its tenants. */
        char *said = fixture_text(fixture);
        cr_expect(strstr(said, "tenant \"") != NULL, "%s", said);
        free(said);
        cr_expect(eq(sz, fixture->whole.broken_count, 1));
        fixture_free(fixture);
        free(text);
    }
}

#define TENANT(NAME, REST) "{\"tenants\": {\"" NAME "\": {\n" REST "}}}"

Test(conf_codes, two_files_with_one_tenant)
{
    struct fixture *fixture = fixture_new();
    fixture_write(fixture, "owui-spoa.json", "{}");
    fixture_write(fixture, "tenants.d/a.json", TENANT("t", GOOD));
    fixture_write(fixture, "tenants.d/b.json",
                  TENANT("t", "\"hosts\": [\"b.test\"], \"upstream\": \"http://10.0.0.2\""));
    fixture_load(fixture);
    char *said = fixture_text(fixture);
    cr_assert(eq(str, said,
                 "tenants.d/b.json:1:14: error[E202]: tenant \"t\" is there already\n"
                 "      = in tenants.d/a.json:1:14. Kept: that one. Ignored: this one\n"));
    cr_assert(eq(sz, fixture->whole.tenant_count, 1));
    cr_assert(eq(sz, fixture->whole.broken_count, 1));
    cr_assert(eq(str, fixture_tenant(fixture, "t")->hosts[0].name, "a.test"));
    free(said);
    fixture_free(fixture);
}

Test(conf_codes, two_tenants_with_one_host)
{
    struct fixture *fixture = fixture_new();
    fixture_write(fixture, "owui-spoa.json", "{}");
    fixture_write(fixture, "tenants.d/acme.json", TENANT("acme", GOOD));
    fixture_write(fixture, "tenants.d/beta.json", TENANT("beta", GOOD));
    fixture_load(fixture);
    char *said = fixture_text(fixture);
    cr_assert(eq(str, said,
                 "tenants.d/beta.json:2:11: error[E204]: tenant \"beta\": host \"a.test\" is "
                 "already taken\n"
                 "      = by tenant \"acme\" (tenants.d/acme.json:2:11). Kept: acme. Ignored: this "
                 "host of beta\n"));
    free(said);
    fixture_free(fixture);
}

/* A list in JSON: behind `first`, each number below `count` between `before` and `behind`. */
static char *list_of(const char *first, const char *before, const char *behind, size_t count)
{
    char *list = memory_copy_text(slice_of(first));
    for (size_t i = 0; i < count; i++) {
        const char *comma = list[0] != '\0' ? ", " : "";
        char *longer = memory_format("%s%s%s%zu%s", list, comma, before, i, behind);
        free(list);
        list = longer;
    }
    return list;
}

/* What is read with a CA and a tenant of so many hosts, and paths of others'. */
static struct fixture *with_hosts(const char *global, size_t host_count, size_t path_count)
{
    char *hosts = list_of("\"*.x.test\"", "\"h", ".test\"", host_count);
    char *paths = list_of("", "{\"host\": \"p", ".test\", \"prefix\": \"/a\", \"mode\": \"strip\"}",
                          path_count);
    char *text = memory_format("{%s\"tenants\": {\"t\": {\"hosts\": [%s], \"paths\": [%s], "
                               "\"upstream\": \"http://10.0.0.1:3000\"}}}",
                               global, hosts, paths);
    struct fixture *fixture = fixture_of(text);
    free(text);
    free(hosts);
    free(paths);
    return fixture;
}

Test(conf_codes, a_certificate_has_no_room_for_all_hosts)
{
#define SHORT(CA) "\"acme\": {\"directory\": \"" CA "\", \"profile\": \"shortlived\"}, "
    static const struct {
        const char *global;
        size_t hosts;
        size_t paths;
        bool is_said;
    } CASES[] = {
        {"\"acme\": {\"directory\": \"letsencrypt\"}, ", 100, 0, false},
        {"\"acme\": {\"directory\": \"letsencrypt\"}, ", 101, 0, true},
        {"\"acme\": {\"directory\": \"letsencrypt\"}, ", 70, 30, false},
        {"\"acme\": {\"directory\": \"letsencrypt\"}, ", 70, 31, true},
        {SHORT("letsencrypt"), 20, 5, false},
        {SHORT("letsencrypt"), 20, 6, true},
        {SHORT("letsencrypt-staging"), 26, 0, true},
        {SHORT("https://ca.example.test/directory"), 100, 0, false},
        {"\"acme\": {\"directory\": \"none\"}, ", 101, 1, false},
        {"\"acme\": {\"directory\": \"letsencrypt\"}, \"defaults\": {\"https\": \"off\"}, ", 101, 1,
         false},
        {"", 101, 1, false},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct fixture *fixture = with_hosts(CASES[i].global, CASES[i].hosts, CASES[i].paths);
        bool is_said = fixture_said(fixture, CODE_UNCERTIFIED_HOSTS);
        cr_expect(eq(int, is_said, CASES[i].is_said), "row %zu", i);
        fixture_free(fixture);
    }
}

/* HTTP-01 cannot prove a wildcard. */
Test(conf_codes, a_wildcard_without_a_certificate)
{
    static const struct {
        const char *global, *keys;
        bool is_said;
    } CASES[] = {
        {"\"acme\": {\"directory\": \"letsencrypt\"}, ", "", true},
        {"\"acme\": {\"directory\": \"none\"}, ", "", true},
        {"", "", false},
        {"\"acme\": {\"directory\": \"letsencrypt\"}, ", ", \"https\": \"off\"", false},
        {"\"acme\": {\"directory\": \"letsencrypt\"}, ", ", \"certificate_file\": \"wildcard.pem\"",
         false},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        char *text = memory_format("{%s\"tenants\": {\"a\": {\"hosts\": [\"*.a.test\"], "
                                   "\"upstream\": \"http://10.0.0.1\"%s}}}",
                                   CASES[i].global, CASES[i].keys);
        struct fixture *fixture = fixture_of(text);
        cr_expect(eq(int, fixture_said(fixture, CODE_NO_CERTIFICATE), CASES[i].is_said), "row %zu",
                  i);
        fixture_free(fixture);
        free(text);
    }
}

Test(conf_codes, a_certificate_that_is_another_tenants)
{
#define NAMES(FILE)                                                                              \
    "{\"hosts\": [\"b.test\"], \"upstream\": \"http://10.0.0.1\", \"certificate_file\": \"" FILE \
    "\"}"
    static const char TEXT[] = "{\"tenants\": {\"a\": {\"hosts\": [\"a.test\"], \"upstream\": "
                               "\"http://10.0.0.1\"}, \"b\": %s}}";
    static const struct {
        const char *tenant;
        bool is_said;
    } CASES[] = {{NAMES("a.pem"), true}, {NAMES("b.pem"), false}, {NAMES("c.pem"), false}};
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        char *text = memory_format(TEXT, CASES[i].tenant);
        struct fixture *fixture = fixture_of(text);
        cr_expect(eq(int, fixture_said(fixture, CODE_CERTIFICATE_TAKEN), CASES[i].is_said),
                  "row %zu", i);
        fixture_free(fixture);
        free(text);
    }
#undef NAMES
}

/* One tenant that believes every authority is what most have; two are one to each authority. */
Test(conf_codes, two_tenants_that_believe_every_authority)
{
#define BELIEVES(HOST)                                                              \
    "{\"hosts\": [\"" HOST "\"], \"upstream\": \"http://10.0.0.1\", \"identity\": " \
    "{\"from\": \"client_cert\", \"required\": true}}"
    static const char START[] = "{\"haproxy\": {\"client_ca_file\": \"/ca.pem\"}, \"tenants\": {";
    char *one = memory_format("%s\"a\": %s}}", START, BELIEVES("a.test"));
    char *two =
        memory_format("%s\"a\": %s, \"b\": %s}}", START, BELIEVES("a.test"), BELIEVES("b.test"));
    struct fixture *fixture = fixture_of(one);
    cr_expect_not(fixture_said(fixture, CODE_ANY_AUTHORITY));
    fixture_free(fixture);
    fixture = fixture_of(two);
    cr_expect(fixture_said(fixture, CODE_ANY_AUTHORITY));
    cr_expect(eq(sz, fixture->diagnostics.count, 1));
    fixture_free(fixture);
    free(two);
    free(one);
}

static enum error refuse(struct tenant *tenant, struct error_text *text)
{
    (void)tenant;
    return error_set(text, ERROR_TOO_BIG, "600 bytes, and 512 are possible");
}

Test(conf_codes, a_tenant_that_cannot_be_prepared)
{
    struct fixture *fixture = fixture_new();
    fixture_write(fixture, "owui-spoa.json", TENANT("t", GOOD));
    char *path = memory_format("%s/owui-spoa.json", fixture->folder);
    cr_assert_not(whole_load(path, refuse, &fixture->whole, &fixture->diagnostics));
    cr_assert(fixture_said(fixture, CODE_ANSWER_TOO_BIG));
    cr_assert(eq(sz, fixture->whole.tenant_count, 0));
    free(path);
    fixture_free(fixture);
}

/* As where an answer of tenant "b" has no room for a prefix to be cut. */
static enum error refuse_strip(struct tenant *tenant, struct error_text *text)
{
    for (size_t i = 0; strcmp(tenant->name, "b") == 0 && i < tenant->path_count; i++)
        if (tenant->paths[i].mode == PATH_STRIP)
            return error_set(text, ERROR_TOO_BIG, "no room");
    return ERROR_OK;
}

/* However short its own host is, and whatever longer one fits without. */
Test(conf_codes, a_prefix_that_is_cut_of_what_is_led_on)
{
    struct fixture *fixture = fixture_new();
    const char *leads = "\"upstream\": \"http://10.0.0.1\", \"routes\": [{\"match\": "
                        "{\"share\": 50}, \"tenant\": \"b\"}]";
    char *text =
        memory_format("{\"tenants\": {\"b\": {\"hosts\": [\"longer.b.test\"], \"upstream\": "
                      "\"http://10.0.0.2\"}, \"keeps\": {\"hosts\": [\"longest.keeps.test\"], "
                      "%s}, \"cuts\": {\"hosts\": [\"c.test\"], \"paths\": [{\"host\": "
                      "\"d.test\", \"prefix\": \"/api\", \"mode\": \"strip\"}], %s}}}",
                      leads, leads);
    fixture_write(fixture, "owui-spoa.json", text);
    char *path = memory_format("%s/owui-spoa.json", fixture->folder);
    (void)whole_load(path, refuse_strip, &fixture->whole, &fixture->diagnostics);
    char *said = fixture_text(fixture);
    cr_expect(strstr(said,
                     "tenant \"cuts\": on its hosts, what is led to tenant \"b\" does not fit: "
                     "no room") != NULL,
              "%s", said);
    cr_expect_null(strstr(said, "tenant \"keeps\": on its hosts"), "%s", said);
    cr_assert(eq(sz, fixture->diagnostics.errors, 1), "%s", said);
    free(said);
    free(path);
    free(text);
    fixture_free(fixture);
}

/* A list of `count` elements, "a0", "a1", ... put into `format`. */
static struct fixture *fixture_of_list(const char *start, const char *element, const char *end,
                                       unsigned count)
{
    char *text = memory_format("%s", start);
    for (unsigned i = 0; i < count; i++) {
        char *longer = memory_format("%s%s", text, i > 0 ? "," : "");
        free(text);
        size_t mark = (size_t)(strchr(element, '#') - element);
        text = memory_format("%s%.*s%u%s", longer, (int)mark, element, i, element + mark + 1);
        free(longer);
    }
    char *whole = memory_format("%s%s", text, end);
    struct fixture *fixture = fixture_of(whole);
    free(whole);
    free(text);
    return fixture;
}

Test(conf_codes, lists_have_a_bound)
{
    static const struct {
        const char *start, *element, *end;
        unsigned most;
    } LISTS[] = {
        {"{\"tenants\": {\"t\": {\"upstream\": \"http://h\", \"hosts\": [", "\"a#.test\"", "]}}}",
         1000},
        {"{\"tenants\": {\"t\": {" GOOD ", \"paths\": [",
         "{\"host\": \"b.test\", \"prefix\": \"/a#\"}", "]}}}", 64},
        {"{\"tenants\": {\"t\": {" GOOD ", \"paths\": [{\"host\": \"b.test\", \"prefix\": \"/a\", "
         "\"only\": [",
         "\"/a#\"", "]}]}}}", 32},
        {"{\"tenants\": {\"t\": {" GOOD "}}, \"trusted_proxies\": [", "{\"cidrs\": [\"10.0.0.#\"]}",
         "]}", 64},
    };
    for (size_t i = 0; i < COUNT_OF(LISTS); i++) {
        for (unsigned more = 0; more < 2; more++) {
            struct fixture *fixture = fixture_of_list(LISTS[i].start, LISTS[i].element,
                                                      LISTS[i].end, LISTS[i].most + more);
            char *said = fixture_text(fixture);
            cr_expect(eq(int, fixture->good, more == 0), "%s", said);
            cr_expect(eq(int, fixture_said(fixture, CODE_OUT_OF_RANGE), more == 1), "%s", said);
            free(said);
            fixture_free(fixture);
        }
    }
}

Test(conf_codes, what_is_no_file_or_no_tenants_file)
{
    struct fixture *fixture = fixture_new();
    fixture_write(fixture, "owui-spoa.json", "{}");
    fixture_write(fixture, "tenants.d/a.json",
                  "{\"tenant\": {}, \"schema\": 1, \"$schema\": \"x\"}");
    char *path = memory_format("%s/tenants.d/b.json", fixture->folder);
    cr_assert(eq(int, mkfifo(path, 0600), 0));
    fixture_load(fixture);
    char *said = fixture_text(fixture);
    cr_assert(eq(str, said,
                 "tenants.d/a.json:1:2: error[E107]: unknown key \"tenant\"\n"
                 "    1 | {\"tenant\": {}, \"schema\": 1, \"$schema\": \"x\"}\n"
                 "      |  ^~~~~~~~ did you mean \"tenants\"?\n"
                 "tenants.d/a.json:1:1: error[E108]: a tenants file needs \"tenants\"\n"
                 "    1 | {\"tenant\": {}, \"schema\": 1, \"$schema\": \"x\"}\n"
                 "      | ^ {\"tenants\": {\"NAME\": {...}}}\n"
                 "tenants.d/b.json: error[E101]: tenants.d/b.json is not a regular file\n"));
    free(said);
    free(path);
    fixture_free(fixture);
}

Test(conf_codes, no_tenant_at_all)
{
    struct fixture *fixture = fixture_of("{}");
    cr_assert(fixture->good);
    cr_assert(fixture_said(fixture, CODE_NO_TENANTS));
    fixture_free(fixture);
}

Test(conf_codes, redirects_to_https_that_come_to_an_end)
{
    static const char *const GLOBALS[] = {
        "\"haproxy\": {\"https\": [\"*:443\"]}",
        "\"haproxy\": {\"https\": []}, \"defaults\": {\"https\": \"off\"}",
        "\"haproxy\": {\"https\": []}, \"trusted_proxies\": [{\"cidrs\": [\"10.0.0.0/8\"]}]",
    };
    for (size_t i = 0; i < COUNT_OF(GLOBALS); i++) {
        char *text = memory_format("{%s, \"tenants\": {\"t\": {" GOOD "}}}", GLOBALS[i]);
        struct fixture *fixture = fixture_of(text);
        char *said = fixture_text(fixture);
        cr_expect(fixture->good, "%s", said);
        cr_expect_not(fixture_said(fixture, CODE_ENDLESS_REDIRECT), "%s", said);
        free(said);
        fixture_free(fixture);
        free(text);
    }
}

/* The root's paths are the rule's, which no cookie goes before. */
Test(conf_codes, a_root_that_is_taken_over_and_shared)
{
    static const struct {
        const char *a, *b; /* hosts of a takeover and of a root-share */
        bool warns;
    } HOSTS[] = {
        {"a.test", "a.test", true},
        {"*.a.test", "*.a.test", true},
        {"a.test", "b.test", false},
        {"*.a.test", "a.test", false},
    };
    for (size_t i = 0; i < COUNT_OF(HOSTS); i++) {
        char *text = memory_format(
            "{\"tenants\": {\"a\": {\"upstream\": \"http://10.0.0.1\", \"paths\": [{\"host\": "
            "\"%s\", "
            "\"prefix\": \"/owui\", \"mode\": \"takeover\"}]}, \"b\": {\"upstream\": "
            "\"http://10.0.0.2\", \"paths\": [{\"host\": \"%s\", \"mode\": \"root-share\"}]}}}",
            HOSTS[i].a, HOSTS[i].b);
        struct fixture *fixture = fixture_of(text);
        char *said = fixture_text(fixture);
        cr_expect(fixture->good, "%s", said);
        cr_expect(eq(int, fixture_said(fixture, CODE_TAKEOVER_SHARED), HOSTS[i].warns), "%s", said);
        cr_expect_not(fixture_said(fixture, CODE_SHARED_ORIGIN), "%s", said);
        free(said);
        fixture_free(fixture);
        free(text);
    }
}

/* A fixture of tenants t0, t1, ... whose identities have their number between the two texts. */
static struct fixture *fixture_of_identities(unsigned count, const char *before, const char *behind)
{
    struct text_stream text;
    text_stream_open(&text);
    fputs("{\"tenants\": {", text.out);
    for (unsigned i = 0; i < count; i++) {
        fprintf(text.out,
                "%s\n\"t%u\": {\"hosts\": [\"t%u.test\"], \"upstream\": \"http://10.0.0.1\", "
                "\"identity\": {" JWT ", %s%u%s}}",
                i > 0 ? "," : "", i, i, before, i, behind);
    }
    fputs("}}", text.out);
    char *document = text_stream_close(&text);
    struct fixture *fixture = fixture_of(document);
    free(document);
    return fixture;
}

/* haproxy.cfg is written for all tenants or for none. */
Test(conf_codes, one_name_more_than_haproxys_files_have_room_for)
{
    static const struct {
        unsigned most;
        const char *before, *behind;
        const char *said;
    } ROWS_OF_NAMES[] = {
        {4, "\"cookie\": \"c", "\"",
         "tenant \"t4\": with it, tokens come in 5 headers and cookies"},
        {32, "\"set\": {\"X-U", "\": \"{email}\"}",
         "tenant \"t32\": with it, identities are told in 33 headers"},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS_OF_NAMES); i++) {
        for (unsigned more = 0; more < 2; more++) {
            unsigned count = ROWS_OF_NAMES[i].most + more;
            struct fixture *fixture =
                fixture_of_identities(count, ROWS_OF_NAMES[i].before, ROWS_OF_NAMES[i].behind);
            char *said = fixture_text(fixture);
            cr_expect(eq(int, fixture->good, more == 0), "%s", said);
            cr_expect(eq(int, fixture_said(fixture, CODE_TOO_MANY_NAMES), more == 1), "%s", said);
            cr_expect(eq(int, strstr(said, ROWS_OF_NAMES[i].said) != NULL, more == 1), "%s", said);
            free(said);
            fixture_free(fixture);
        }
    }
}

Test(conf_codes, a_path_on_the_host_of_another)
{
    struct fixture *fixture =
        fixture_of("{\"tenants\": {\"a\": {" GOOD "}, \"b\": {\"upstream\": \"http://10.0.0.2\", "
                   "\"paths\": [{\"host\": \"a.test\", \"prefix\": \"/api-b\", \"mode\": "
                   "\"strip\", \"only\": [\"/api/\"]},\n{\"host\": \"a.test\", \"prefix\": "
                   "\"/api-c\", \"mode\": \"strip\", \"only\": [\"/api/\"]}]}}}");
    char *said = fixture_text(fixture);
    cr_assert(fixture->good, "%s", said);
    cr_assert(fixture_said(fixture, CODE_SHARED_ORIGIN), "%s", said);
    cr_assert(strstr(said, "\"a.test/api-b\" is on the host of tenant \"a\"") != NULL, "%s", said);
    cr_assert(eq(u32, fixture->diagnostics.items[0].place.line, 1));
    cr_assert(eq(u32, fixture->diagnostics.items[1].place.line, 2));
    free(said);
    fixture_free(fixture);
}
