/* A request on its way: see admin_call.h. */
#include "admin_call.h"

#include "core/hex.h"
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

struct slice admin_query_value(struct slice query, const char *key)
{
    struct slice name = slice_of(key);
    while (query.size > 0) {
        const char *end = memchr(query.data, '&', query.size);
        struct slice pair = end != NULL ? slice_head(query, (size_t)(end - query.data)) : query;
        query = slice_skip(query, pair.size + (end != NULL));
        if (pair.size > name.size && slice_starts_with(pair, name) && pair.data[name.size] == '=')
            return slice_skip(pair, name.size + 1);
    }
    return (struct slice){0};
}

char *admin_query_text(struct slice query, const char *key)
{
    struct slice value = admin_query_value(query, key);
    char *text = memory_copy_text(value);
    size_t used = 0;
    for (size_t i = 0; i < value.size; i++) {
        char c = value.data[i] == '+' ? ' ' : value.data[i];
        int high = -1, low = -1;
        if (c == '%' && value.size - i > 2) {
            high = hex_digit(value.data[i + 1]);
            low = hex_digit(value.data[i + 2]);
        }
        if (high >= 0 && low >= 0 && high + low > 0) {
            c = (char)(high * 16 + low);
            i += 2;
        }
        text[used++] = c;
    }
    text[used] = '\0';
    return text;
}

size_t admin_query_number(struct slice query, const char *key, size_t maximum, size_t otherwise)
{
    struct slice value = admin_query_value(query, key);
    size_t number = 0;
    if (value.size == 0 || value.size > 9)
        return otherwise;
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return otherwise;
        number = number * 10 + (size_t)(value.data[i] - '0');
    }
    return size_min(number, maximum);
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
