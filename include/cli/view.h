/* What the daemon tells of tenants and certificates, for people: what is wrong with one, and how it
 * is mended, in lines that fit. */
#pragma once

#include "json/json.h"

/* "1 tenant", "2 tenants" */
static inline const char *plural_s(size_t count)
{
    return count == 1 ? "" : "s";
}

/* What is wrong with a file, with its place and a hint. */
void view_problem(const struct json *problem);

/* Where the files alone do not tell what is in force: a daemon keeps of those that are wrong what
 * was right, with the names that it had. */
#define VIEW_KEPT_COMMAND "owui-spoa tenants --state kept"

/* States in which a tenant is not what its file says, or is of no use. */
struct view_trouble {
    const char *state;
    bool is_wrong;     /* a file has to be mended; else a name has no address, which may pass */
    const char *means; /* "it ..." */
};
/* The worst first; NULL behind the last. */
const struct view_trouble *view_trouble_at(size_t index);
MUST_CHECK bool view_tenant_is_wrong(const struct json *tenant);
void view_tenant_problems(const struct json *tenant);

/* Whether a certificate is there, not near its end, and served everywhere. */
MUST_CHECK bool view_certificate_is_fine(const struct json *certificate);
/* Whether it is from a CA that was left for another, and no browser trusts it. */
MUST_CHECK bool view_certificate_is_untrusted(const struct json *certificate);
/* "58d", "20h", "EXPIRED" */
enum { VIEW_EXPIRY_SIZE = 24 };
void view_expiry(const struct json *certificate, int64_t now_s, char text[static VIEW_EXPIRY_SIZE]);
/* "the last try failed; due in 9m": what is being done, or what is waited for, and how long; for
 * free(). */
char *view_next(const struct json *certificate, int64_t now_s) __attribute__((returns_nonnull));
/* The CA's last words, names that were left out, and HAProxys that do not serve it. */
void view_certificate_problems(const struct json *certificate, int64_t now_s);

/* "    about: text", wrapped; nothing when there is no text. */
void view_line(const char *about, struct slice text);
/* "    -> what to do" */
void view_hint(struct slice text);
