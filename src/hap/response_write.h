/* What is done to the answers of tenants that want it. */
#pragma once

#include "hap/config.h"

#include <stdio.h>

void response_put(FILE *out, const struct hap_config *config);
