/* Problems of a CA: see acme/acme_problem.h. */
#include "acme/acme_problem.h"

#include "core/time_text.h"
#include "core/utf8.h"
#include "json/json.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const CLASS_NAMES[] = {
#define X(NAME, TEXT) [ACME_CLASS_##NAME] = TEXT,
    ACME_CLASS_TABLE(X)
#undef X
};
static_assert(COUNT_OF(CLASS_NAMES) == ACME_CLASS__MAX, "a class has no name");

static const struct slice TYPE_PREFIX = {"urn:ietf:params:acme:error:", 27};

/* RFC 8555 6.7, RFC 9773 and the profiles draft. What is not here is sorted by its status. */
static const struct {
    const char *type;
    enum acme_class class;
} CLASSES[] = {
    {"accountDoesNotExist", ACME_CLASS_ACCOUNT_GONE},
    {"alreadyReplaced", ACME_CLASS_REFUSED},
    {"alreadyRevoked", ACME_CLASS_REFUSED},
    {"badCSR", ACME_CLASS_REFUSED},
    {"badNonce", ACME_CLASS_BAD_NONCE},
    {"badPublicKey", ACME_CLASS_REFUSED},
    {"badRevocationReason", ACME_CLASS_REFUSED},
    {"badSignatureAlgorithm", ACME_CLASS_REFUSED},
    {"caa", ACME_CLASS_REFUSED},
    {"compound", ACME_CLASS_REFUSED},
    {"connection", ACME_CLASS_VALIDATION},
    {"dns", ACME_CLASS_VALIDATION},
    {"externalAccountRequired", ACME_CLASS_PERSON},
    {"incorrectResponse", ACME_CLASS_VALIDATION},
    {"invalidContact", ACME_CLASS_REFUSED},
    {"invalidProfile", ACME_CLASS_REFUSED},
    {"malformed", ACME_CLASS_REFUSED},
    {"orderNotReady", ACME_CLASS_ORDER_GONE},
    {"rateLimited", ACME_CLASS_RATE_LIMITED},
    {"rejectedIdentifier", ACME_CLASS_REFUSED},
    {"serverInternal", ACME_CLASS_TRANSIENT},
    {"tls", ACME_CLASS_VALIDATION},
    {"unauthorized", ACME_CLASS_REFUSED},
    {"unsupportedContact", ACME_CLASS_REFUSED},
    {"unsupportedIdentifier", ACME_CLASS_REFUSED},
    {"userActionRequired", ACME_CLASS_PERSON},
};

const char *acme_class_name(enum acme_class class)
{
    assert(class < ACME_CLASS__MAX);
    return CLASS_NAMES[class];
}

bool acme_class_parse(struct slice name, enum acme_class *class)
{
    for (size_t i = 0; i < COUNT_OF(CLASS_NAMES); i++) {
        if (slice_equal(name, slice_of(CLASS_NAMES[i]))) {
            *class = (enum acme_class)i;
            return true;
        }
    }
    return false;
}

bool acme_class_is_the_cas(enum acme_class class)
{
    return class == ACME_CLASS_TRANSIENT || class == ACME_CLASS_BAD_ANSWER;
}

/* Cut to fit, with control bytes as blanks: it will be read by people, in logs and tables. */
static void copy_words(struct slice text, char *copy, size_t size)
{
    size_t used = utf8_head(text, size - 1).size;
    for (size_t i = 0; i < used; i++)
        copy[i] = (uint8_t)text.data[i] < ' ' || text.data[i] == 0x7f ? ' ' : text.data[i];
    copy[used] = '\0';
}

int32_t acme_retry_after(const struct http_response *answer)
{
    struct slice text = slice_trim(answer->retry_after);
    int64_t seconds = 0, at, now;
    if (text.size == 0)
        return -1;
    if (time_text_parse_http(text, &at)) {
        if (!time_text_parse_http(answer->date, &now))
            now = answer->received_s;
        seconds = at - now;
    } else {
        for (size_t i = 0; i < text.size; i++) {
            if (!ascii_is_digit(text.data[i]))
                return -1;
            if (seconds <= ACME_RETRY_AFTER_MAX_S)
                seconds = seconds * 10 + (text.data[i] - '0');
        }
    }
    if (seconds < 0)
        seconds = 0;
    return (int32_t)(seconds > ACME_RETRY_AFTER_MAX_S ? ACME_RETRY_AFTER_MAX_S : seconds);
}

void acme_problem_set(struct acme_problem *problem, enum acme_class class, const char *format, ...)
{
    *problem = (struct acme_problem){.class = class, .retry_after_s = -1};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem->detail, sizeof(problem->detail), format, arguments);
    va_end(arguments);
}

static enum acme_class class_of_status(int status)
{
    if (status == 429)
        return ACME_CLASS_RATE_LIMITED;
    return status == 0 || status == 408 || status >= 500 ? ACME_CLASS_TRANSIENT
                                                         : ACME_CLASS_REFUSED;
}

static bool class_of_type(struct slice type, enum acme_class *class)
{
    for (size_t i = 0; i < COUNT_OF(CLASSES); i++) {
        if (slice_equal(type, slice_of(CLASSES[i].type))) {
            *class = CLASSES[i].class;
            return true;
        }
    }
    return false;
}

/* Let's Encrypt pauses names that fail for weeks, and tells the way out in the sentence. */
static void find_url(struct acme_problem *problem)
{
    const char *start = strstr(problem->detail, "https://");
    if (start == NULL || problem->url[0] != '\0')
        return;
    struct slice url = {start, strcspn(start, " \"'<>)")};
    while (url.size > 0 && byte_is_one_of(url.data[url.size - 1], ".,;:"))
        url.size--;
    if (!acme_url_is_good(url))
        return;
    memcpy(problem->url, url.data, url.size);
    problem->url[url.size] = '\0';
}

static bool is_paused(const struct acme_problem *problem)
{
    return problem->class == ACME_CLASS_RATE_LIMITED &&
           (strstr(problem->detail, "unpause") != NULL || strstr(problem->url, "unpause") != NULL);
}

void acme_problem_from_json(const struct json *document, struct acme_problem *problem)
{
    struct slice type, text;
    int64_t status = 0;
    *problem = (struct acme_problem){.class = ACME_CLASS_REFUSED, .retry_after_s = -1};
    if (json_read_integer(json_get(document, "status"), &status) && status > 0 && status < 1000) {
        problem->status = (int)status;
        problem->class = class_of_status(problem->status);
    }
    if (json_read_text(json_get(document, "detail"), &text))
        copy_words(text, problem->detail, sizeof(problem->detail));
    if (!acme_url_copy(json_get(document, "instance"), problem->url))
        find_url(problem);
    if (!json_read_text(json_get(document, "type"), &type) || !slice_starts_with(type, TYPE_PREFIX))
        return;
    type = slice_skip(type, TYPE_PREFIX.size);
    copy_words(type, problem->type, sizeof(problem->type));
    if (class_of_type(type, &problem->class) && is_paused(problem))
        problem->class = ACME_CLASS_PERSON;
}

/* An answer that is no problem document. A refusal of this kind is not the CA's word: a proxy in
 * front of a CA that is being started says 404. */
static void read_words(const struct http_response *answer, struct acme_problem *problem)
{
    char start[120];
    enum acme_class class = class_of_status(answer->status);
    if (class == ACME_CLASS_REFUSED)
        class = ACME_CLASS_BAD_ANSWER;
    copy_words(answer->body, start, sizeof(start));
    if (answer->status >= 300 && answer->status < 400 && acme_url_is_good(answer->location))
        acme_problem_set(
            problem, class, "HTTP status %d: redirected to %.*s, and redirects are not followed",
            answer->status, (int)size_min(answer->location.size, 250), answer->location.data);
    else
        acme_problem_set(problem, class, "HTTP status %d: %s", answer->status, start);
}

/* RFC 7807 leaves every member out that it has; `detail` is what CAs that leave `type` out have. */
static bool is_problem(const struct json *document)
{
    return json_type_of(json_get(document, "type")) == JSON_TYPE_TEXT ||
           json_type_of(json_get(document, "detail")) == JSON_TYPE_TEXT;
}

void acme_problem_read(const struct http_response *answer, struct acme_problem *problem)
{
    struct json *document = json_parse(answer->body, ACME_ANSWER_MAX_BYTES, NULL, NULL);
    if (answer->status == 0) {
        acme_problem_set(problem, ACME_CLASS_TRANSIENT, "%s",
                         answer->failure != NULL ? answer->failure : "no answer");
    } else if (is_problem(document)) {
        enum acme_class class;
        acme_problem_from_json(document, problem);
        /* The status in a document may be missing or lie. */
        if (!class_of_type(slice_of(problem->type), &class))
            problem->class = class_of_status(answer->status);
    } else {
        read_words(answer, problem);
    }
    problem->status = answer->status;
    problem->retry_after_s = acme_retry_after(answer);
    json_free(document);
}

void acme_problem_each_name(const struct json *document, acme_subproblem_fn *found, void *context)
{
    const struct json *all = json_get(document, "subproblems");
    for (size_t i = 0; i < json_count(all); i++) {
        const struct json *one = json_at(all, i);
        struct slice name;
        struct acme_problem problem;
        if (!json_read_text(json_get(json_get(one, "identifier"), "value"), &name) ||
            name.size == 0 || name.size >= ACME_NAME_SIZE)
            continue;
        acme_problem_from_json(one, &problem);
        found(context, name, &problem);
    }
}
