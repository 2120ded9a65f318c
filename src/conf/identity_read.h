/* "identity" of a tenant: whom it believes, and the headers that tell it. */
#pragma once

#include "conf/configuration.h"
#include "headers.h"

/* Reads into a new rule and a list of headers. NULL when something is wrong. */
struct identity_rule *identity_read(const struct node *node,
                                    const struct configuration *configuration,
                                    struct header_list *set);
