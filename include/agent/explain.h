/* A decision told to people: what was asked, which rules were tried, which one won and where it
 * stands, what HAProxy is told, and what becomes of the headers. It asks decide() and
 * answer_write(), so that what is told is what happens. */
#pragma once

#include "agent/answer.h"
#include "hap/config.h"

struct json;

struct explanation; /* the parts; made once, told in either form */

/* `snapshot`, `request` and `haproxy` are borrowed as long as the explanation lives. */
struct explanation *explanation_new(const struct snapshot *snapshot, const struct request *request,
                                    const struct hap_config *haproxy);
void explanation_free(struct explanation *explanation);

const struct decision *explanation_decision(const struct explanation *explanation);
/* For free(). */
char *explanation_text(const struct explanation *explanation);
/* For json_free(). */
struct json *explanation_json(const struct explanation *explanation);
