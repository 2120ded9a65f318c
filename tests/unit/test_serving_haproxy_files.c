/* app/haproxy_files: where HAProxy's files are, and how people write them anew. */
#include "serving/haproxy_files.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

static void expect_files(char *spoe_path, const char *path, const char *fix)
{
    char usual[] = DEFAULT_CONFIGURATION;
    const struct configuration configuration = {.path = usual, .haproxy.spoe_path = spoe_path};
    char *found = hap_config_path(&configuration.haproxy);
    char *told = haproxy_files_fix(&configuration);
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

Test(haproxy_files, are_written_from_the_configuration_that_asks_for_them)
{
    char path[] = "/srv/second.json", spoe_path[] = "/srv/hap/x.spoe";
    const struct configuration configuration = {.path = path, .haproxy.spoe_path = spoe_path};
    char *told = haproxy_files_fix(&configuration);
    cr_expect(eq(str, told,
                 (char *)"owui-spoa haproxy-config --out /srv/hap -c /srv/second.json && systemctl "
                         "reload haproxy"));
    free(told);
}
