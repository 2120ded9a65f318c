/* A request on its way: see admin_call.h. */
#include "admin_call.h"

#include "core/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void admin_refuse(struct admin_answer *answer, unsigned status, const char *format, ...)
{
    char reason[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof(reason), format, arguments);
    va_end(arguments);
    json_free(answer->body);
    answer->status = status;
    answer->body = json_new_object();
    json_put_text(answer->body, "error", slice_of(reason));
}

struct json *admin_answer_body(struct admin_answer *answer)
{
    if (answer->body == NULL)
        answer->body = json_new_object();
    return answer->body;
}

/* A part that refuses is the last one. */
void admin_call_go_on(struct admin_call *call, const struct admin_desk *desk)
{
    while (call->done < call->part_count && call->parts[call->done].desk == desk) {
        const struct admin_part *part = &call->parts[call->done++];
        part->operation->handle(part->context, &call->request, &call->answer);
        if (call->answer.status >= 400)
            call->done = call->part_count;
    }
}

struct admin_desk *admin_call_desk(const struct admin_call *call)
{
    return call->done < call->part_count ? call->parts[call->done].desk : NULL;
}

void admin_call_free(struct admin_call *call)
{
    free(call->method);
    free(call->path);
    free(call->query);
    free(call->if_match);
    free(call->accept);
    free(call->item);
    free(call->token);
    free(call->answer.text);
    json_free(call->body);
    json_free(call->answer.body);
    free(call);
}

/* -- Boxes: a stack that is taken as a whole, so that no ABA can happen. ----------------------- */

void admin_box_put(struct admin_box *box, struct admin_call *call)
{
    call->next = atomic_load_explicit(&box->last, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&box->last, &call->next, call,
                                                  memory_order_release, memory_order_relaxed))
        continue;
}

struct admin_call *admin_box_take(struct admin_box *box)
{
    struct admin_call *last = atomic_exchange_explicit(&box->last, NULL, memory_order_acquire);
    struct admin_call *first = NULL;
    while (last != NULL) {
        struct admin_call *before = last->next;
        last->next = first;
        first = last;
        last = before;
    }
    return first;
}
