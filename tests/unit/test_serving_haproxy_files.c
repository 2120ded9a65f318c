/* app/haproxy_files: where HAProxy's files are, and how people write them anew. */
#include "serving/haproxy_files.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

static void expect_files(char *spoe_path, const char *path, const char *fix)
{
    const struct hap_config config = {.spoe_path = spoe_path};
    char *found = hap_config_path(&config);
    char *told = haproxy_files_fix(&config);
    cr_expect(zero(int, strcmp(found, path)), "%s", found);
    cr_expect(zero(int, strcmp(told, fix)), "%s", told);
    free(found);
    free(told);
}

Test(haproxy_files, are_beside_one_another)
{
    expect_files("/srv/hap/x.spoe", "/srv/hap/haproxy.cfg",
                 "owui-spoa haproxy-config --out /srv/hap && systemctl reload haproxy");
    expect_files("/x.spoe", "/haproxy.cfg",
                 "owui-spoa haproxy-config --out / && systemctl reload haproxy");
    expect_files("x.spoe", "haproxy.cfg",
                 "owui-spoa haproxy-config --out . && systemctl reload haproxy");
}

Test(haproxy_files, are_the_distributions_unless_told)
{
    expect_files(NULL, "/etc/haproxy/haproxy.cfg",
                 "owui-spoa haproxy-config --out /etc/haproxy && systemctl reload haproxy");
}
