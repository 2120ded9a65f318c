/* Which CA may issue, by the examples of RFC 8659 4 and RFC 8657 5, and by what people write. */
#include "sidecar/caa.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define ACCOUNT "https://ca.example/acct/1"

static const char *const NAMES[] = {"ca1.example.net", "old.ca1.example.net"};
static const struct caa_issuer CA1 = {NAMES, 2, ACCOUNT};
static const struct caa_issuer NAMELESS = {NULL, 0, ACCOUNT};

static struct dns_caa record(const char *tag, const char *value)
{
    return (struct dns_caa){.tag = slice_of(tag), .value = slice_of(value)};
}

static bool allows(const struct caa_issuer *issuer, const char *value)
{
    const struct dns_caa one = record("issue", value);
    return caa_allows(&one, 1, issuer);
}

Test(caa, who_is_named_may)
{
    cr_expect(allows(&CA1, "ca1.example.net"));
    cr_expect(allows(&CA1, "  CA1.Example.Net "));
    cr_expect(allows(&CA1, "old.ca1.example.net"));
    cr_expect(allows(&CA1, "ca1.example.net; policy=ev; x=1"));
    cr_expect(not(allows(&CA1, "ca2.example.org")));
    cr_expect(not(allows(&CA1, "example.net")));
    cr_expect(not(allows(&CA1, "ca1.example.netx")));
}

Test(caa, nobody_may)
{
    cr_expect(not(allows(&CA1, ";")));
    cr_expect(not(allows(&CA1, "")));
    cr_expect(not(allows(&CA1, " ; account=1")));
    cr_expect(not(allows(&NAMELESS, ";")));
}

Test(caa, a_ca_that_does_not_say_its_name_may_be_any)
{
    cr_expect(allows(&NAMELESS, "ca2.example.org"));
}

Test(caa, other_properties_restrict_nothing)
{
    const struct dns_caa others[] = {record("iodef", "mailto:a@example.net"),
                                     record("issuewild", ";"), record("future", "x")};
    cr_expect(caa_allows(others, COUNT_OF(others), &CA1));
    cr_expect(caa_allows(NULL, 0, &CA1));
}

Test(caa, one_of_several_is_enough)
{
    const struct dns_caa all[] = {record("issue", "ca2.example.org"),
                                  record("ISSUE", "ca1.example.net"), record("iodef", "x")};
    cr_expect(caa_allows(all, COUNT_OF(all), &CA1));
    cr_expect(not(caa_allows(all, 1, &CA1)));
}

Test(caa, the_account_and_the_method_may_be_told)
{
    cr_expect(allows(&CA1, "ca1.example.net; accounturi=" ACCOUNT));
    cr_expect(not(allows(&CA1, "ca1.example.net; accounturi=https://ca.example/acct/2")));
    cr_expect(allows(&CA1, "ca1.example.net;validationmethods=dns-01,http-01"));
    cr_expect(not(allows(&CA1, "ca1.example.net; validationmethods=dns-01")));
    cr_expect(not(allows(&CA1, "ca1.example.net; validationmethods=")));
    cr_expect(
        not(allows(&CA1, "ca1.example.net; validationmethods=http-01; accounturi=https://x/")));
}

Test(caa, what_cannot_be_read_permits_nobody)
{
    cr_expect(not(allows(&CA1, "ca1.example.net policy=ev")));
    cr_expect(not(allows(&CA1, "%%%%%")));
}
