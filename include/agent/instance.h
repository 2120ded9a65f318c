/* Instances of a tenant whose upstream depends on the label of a wildcard host.
 *
 *     "hosts": ["*.ai.example.com"], "upstream": "http://{1}.internal:8080"
 *     "hosts": ["*.ai.example.com"], "upstream_map": "fleet.csv"
 *
 * An instance is a tenant of its own, named "TENANT/LABEL", with the label's address and without
 * hosts or paths: the table finds the parent by host and path as ever, so that no rule shadows
 * another, and decide() then asks for the instance by name. "/" is in no tenant's name.
 */
#pragma once

#include "agent/answer.h"

enum { INSTANCE_NAME_MAX_BYTES = TENANT_NAME_MAX_BYTES + 1 + LABEL_MAX_BYTES };

/* Writes "TENANT/LABEL" to `name` and returns a view of it; empty when it would be too long. */
struct slice instance_name(const struct tenant *parent, struct slice label,
                           char name[static INSTANCE_NAME_MAX_BYTES]);

/* The name or address that `label` of `parent` leads to ("acme.internal"); the caller frees it.
 * NULL when what comes out is not a host name, or the label is not listed, or wrong there. */
char *instance_host(const struct tenant *parent, struct slice label);
/* The port there; 0 for a label that is not listed, or wrong. */
uint16_t instance_port(const struct tenant *parent, struct slice label);

/* The instance of `parent` for `label`, at `host` and `address`, ready for a registry. NULL when
 * it cannot be answered with, as told in `text`. */
struct tenant *instance_new(const struct tenant *parent, struct slice label, const char *host,
                            const struct ip *address, struct error_text *text);

/* Any thread: it has had a request. */
void instance_use(const struct tenant *instance);
/* Whether it has had one since the last call. */
bool instance_take_use(const struct tenant *instance);

/* Whether `instance` is what instance_new() would make of `parent` for this label, at the address
 * that it has: its own parent may be an earlier one, with another list. */
bool instance_is_of(const struct tenant *instance, const struct tenant *parent, struct slice label);
