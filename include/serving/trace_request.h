/* A recorded request asked again. */
#pragma once

#include "agent/answer.h"
#include "serving/trace_entry.h"

/* What has to last as long as the request. */
struct trace_request {
    struct request request;
    char client[IP_TEXT_SIZE + 16];
};

/* The request as it was routed. Who the client was is told to a proxy that is trusted now in the
 * header that this one tells it in; a peer that is not trusted any more is the client itself. */
void trace_request_make(const struct trace_entry *entry, const struct settings *settings,
                        struct trace_request *made);
