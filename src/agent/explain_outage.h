/* The lines of an explanation that a tenant's suspension or maintenance takes. */
#pragma once

#include "agent/answer.h"

struct json;

/* Adds "outage", and "page" and "form" where it is what the request meets, to `root`. */
void explain_outage(const struct request *request, const struct decision *decision,
                    struct json *root);
