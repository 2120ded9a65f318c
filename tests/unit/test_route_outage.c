/* route: when a tenant does not serve, and what Open WebUI has at a path. */
#include "route/outage.h"
#include "route/owui_path.h"
#include "route/path.h"

#include "core/memory.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

Test(outage, a_window_holds_from_its_first_second_to_before_its_last)
{
    const struct maintenance window = {.has_window = true, .from_s = 1000, .to_s = 2000};
    cr_expect_not(maintenance_holds(&window, 999));
    cr_expect(maintenance_holds(&window, 1000));
    cr_expect(maintenance_holds(&window, 1999));
    cr_expect_not(maintenance_holds(&window, 2000));
    cr_expect(eq(u32, maintenance_retry_after_s(&window, 1000), 1000));
    cr_expect(eq(u32, maintenance_retry_after_s(&window, 1999), 1));
    cr_expect(eq(u32, maintenance_retry_after_s(&window, 2000), 120));

    const struct maintenance none = {.from_s = 0, .to_s = 0};
    cr_expect_not(maintenance_holds(&none, 0));
    const struct maintenance on = {.on = true, .has_window = true, .from_s = 1000, .to_s = 2000};
    cr_expect(maintenance_holds(&on, 5000));
    cr_expect(eq(u32, maintenance_retry_after_s(&on, 1500), 120));
    const struct maintenance long_one = {.has_window = true, .from_s = 0, .to_s = INT64_MAX};
    cr_expect(eq(u32, maintenance_retry_after_s(&long_one, 1), 86400));
    const struct maintenance told = {.on = true, .retry_after_s = 7};
    cr_expect(eq(u32, maintenance_retry_after_s(&told, 1), 7));
}

Test(outage, a_copy_stands_on_its_own)
{
    struct maintenance *maintenance = memory_new(sizeof(*maintenance));
    struct ip inside, outside;
    maintenance->on = true;
    maintenance->page = memory_copy_text(SLICE("/a/page.html"));
    maintenance->allow = memory_new(sizeof(*maintenance->allow));
    maintenance->allow_count = 1;
    cr_assert(ip_network_parse(SLICE("10.0.0.0/8"), &maintenance->allow[0]));
    cr_assert(ip_parse(SLICE("10.1.2.3"), &inside));
    cr_assert(ip_parse(SLICE("11.1.2.3"), &outside));
    struct maintenance *copy = maintenance_copy(maintenance);
    maintenance_free(maintenance);
    cr_expect(maintenance_admits(copy, &inside));
    cr_expect_not(maintenance_admits(copy, &outside));
    cr_expect_str_eq(copy->page, "/a/page.html");
    maintenance_free(copy);

    cr_expect_null(maintenance_copy(NULL));
    cr_expect_null(suspension_copy(NULL));
    maintenance_free(NULL);
    suspension_free(NULL);
}

Test(owui_path, kinds)
{
    static const struct {
        const char *path;
        enum owui_path kind;
    } ROWS[] = {
        {"/", OWUI_PAGE},
        {"/c/42", OWUI_PAGE},
        {"/auth", OWUI_PAGE},
        {"/oauth/oidc/login/callback", OWUI_PAGE},
        {"/api", OWUI_API},
        {"/api/v1/auths/signin", OWUI_API},
        {"/openai/v1/models", OWUI_API},
        {"/health", OWUI_API},
        {"/ws/socket.io/", OWUI_SOCKET},
        {"/_app/immutable/x.js", OWUI_ASSET},
        {"/manifest.json", OWUI_ASSET},
        {"/assets/emojis/1f600.svg", OWUI_ASSET},
        {"/assets/fonts/x.ttf", OWUI_OTHER},
        {"/assets/emojis.css", OWUI_OTHER},
        {"/apis", OWUI_OTHER},
        {"/wsx", OWUI_OTHER},
        {"/API", OWUI_OTHER},
        {"/blog/", OWUI_OTHER},
        {"*", OWUI_OTHER},
        {"", OWUI_OTHER},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++)
        cr_expect(eq(int, owui_path_kind(slice_of(ROWS[i].path)), ROWS[i].kind), "%s",
                  ROWS[i].path);
}

Test(owui_path, a_host_shares_neither_its_start_page_nor_its_health_checks)
{
    bool is_api_shared = false;
    size_t count = 0;
    for (; owui_path_shared(count).size > 0; count++) {
        is_api_shared |= slice_equal(owui_path_shared(count), SLICE("/api"));
        cr_expect_not(owui_path_is_health(owui_path_shared(count)));
        cr_expect_not(slice_equal(owui_path_shared(count), SLICE("/")));
    }
    cr_expect(is_api_shared);
}

Test(path, what_is_behind_a_prefix)
{
    static const struct {
        const char *path;
        unsigned segments;
        const char *behind;
    } ROWS[] = {
        {"/a/b/c", 0, "/a/b/c"}, {"/a/b/c", 1, "/b/c"}, {"/a/b/c", 2, "/c"}, {"/a/b/c", 3, "/"},
        {"/a", 1, "/"},          {"/a/", 1, "/"},       {"/a/b/", 1, "/b/"}, {"/", 1, "/"},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++)
        cr_expect(slice_equal(path_behind(slice_of(ROWS[i].path), ROWS[i].segments),
                              slice_of(ROWS[i].behind)),
                  "%s %u", ROWS[i].path, ROWS[i].segments);
}
