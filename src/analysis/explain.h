/* Why a request would be answered as it is, for the admin interface. */
#pragma once

#include "agent/answer.h"
#include "hap/config.h"
#include "json/json.h"

/* What `owui-spoa explain --json` prints, by what is in force: for json_free(). `question` is
 * {"url": ..., "from": ..., "method": ..., "sni": ..., "at": ..., "headers": ["NAME: VALUE"]}, all
 * but the first as they please. NULL with the reason when it is none. */
MUST_CHECK struct json *explain_json(const struct json *question, const struct snapshot *snapshot,
                                     const struct hap_config *haproxy, struct error_text *why);
