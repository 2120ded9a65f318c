/* `owui-spoa explain --request-id`: a request that is in the trace. */
#pragma once

#include "conf/configuration.h"
#include "serving/trace_request.h"
#include "json/json.h"

struct recorded {
    struct trace_entry *entry; /* for free(), as are the texts */
    struct trace_request made;
    char *url;
    char *from;
    char *method; /* "?" when HAProxy has not told it */
};

/* Looks the id up in the trace's file. False, told on stderr, when it is not there. */
MUST_CHECK bool recorded_find(const struct configuration *configuration, const char *id,
                              struct recorded *recorded);
void recorded_fini(struct recorded *recorded);
/* What was decided then. */
struct json *recorded_json(const struct recorded *recorded);
void recorded_print(const struct recorded *recorded);
