/* The SPOE file: see hap/config.h. What HAProxy asks the agent, and how long it waits. */
#include "agents_write.h"
#include "page.h"

#include "core/file_path.h"

#include <strings.h>

static const struct source {
    const char *header;
    const char *argument;
    int lines;
} SOURCES[] = {
#define X(NAME, HEADER, ARGUMENT, LINES) [HAP_SOURCE_##NAME] = {HEADER, ARGUMENT, LINES},
    HAP_SOURCE_TABLE(X)
#undef X
};
static_assert(COUNT_OF(SOURCES) == HAP_SOURCE__MAX, "a source has no row");

static const char *const ARGUMENTS[] = {
#define X(NAME, TEXT, ARGUMENTS) [HAP_ARGUMENT_##NAME] = ARGUMENTS,
    HAP_ARGUMENT_TABLE(X)
#undef X
};

const char *hap_spoe_path(const struct hap_config *config)
{
    return or_else(config->spoe_path, "/etc/haproxy/owui.spoe.cfg");
}

char *hap_config_path(const struct hap_config *config)
{
    return file_path_beside(hap_spoe_path(config), SLICE("haproxy.cfg"));
}

/* What tells who the user is, and that nobody but the agent says so. */
static void put_identity_arguments(const struct page *page)
{
    const struct hap_config *config = page->config;
    for (size_t i = 0; i < config->token_count; i++) {
        const struct hap_token *token = &config->tokens[i];
        const char *fetch = token->is_cookie ? "cook" : "fhdr";
        put(page, "    args %s=req.%s(%s) %.2sn%s=req.%s_cnt(%s)\n", token->argument, fetch,
            token->name, token->argument, token->argument + 2, fetch, token->name);
    }
    if (config->client_certificates)
        put_text(page, "    args cert=var(txn.owui_cert)\n");
    if (config->identity_header_count == 0)
        return;
    put_text(page, "    args strip=str(/");
    for (size_t i = 0; i < config->identity_header_count; i++)
        put(page, "%s/", config->identity_headers[i]);
    put_text(page, ")\n");
}

/* Whether the whole of it is told because some tenant takes an identity from there. */
static bool tells_token(const struct hap_config *config, const char *name, bool is_cookie)
{
    for (size_t i = 0; i < config->token_count; i++) {
        const struct hap_token *token = &config->tokens[i];
        if (token->is_cookie == is_cookie &&
            (is_cookie ? strcmp(token->name, name) : strcasecmp(token->name, name)) == 0)
            return true;
    }
    return false;
}

/* Of tokens that are told anyway, the agent finds the middle part itself: told twice, a long one
 * makes a frame that is too big for HAProxy before 3.1, which then waits for an answer in vain. */
static void put_user_arguments(const struct page *page)
{
    bool by_cookie = tells_token(page->config, "token", true);
    bool by_header = tells_token(page->config, "Authorization", false);
    if (by_cookie && by_header)
        return;
    put(page, "    args%s%s\n", by_cookie ? "" : " utk=req.cook(token),field(2,.)",
        by_header ? "" : " uau=req.fhdr(authorization),field(2,.)");
}

static void put_arguments(const struct page *page)
{
    const bool *sources = page->config->sources;
    bool trusted = false;

    put_text(page, "    args host=req.fhdr(host) path=path src=src tls=ssl_fc "
                   "up=req.fhdr(upgrade,-1)\n");
    if (page->config->tells_request_id)
        put_text(page, "    args uid=unique-id\n");
    for (size_t i = 0; i < COUNT_OF(ARGUMENTS); i++) {
        if ((page->config->arguments >> i & 1) == 0)
            continue;
        if (i == HAP_ARGUMENT_USER)
            put_user_arguments(page);
        else
            put(page, "    args %s\n", ARGUMENTS[i]);
    }
    for (size_t i = 0; i < COUNT_OF(SOURCES); i++) {
        if (!sources[i])
            continue;
        trusted = true;
        put_text(page, "    args");
        for (int line = 1; line <= SOURCES[i].lines; line++)
            put(page, " %s%d=req.fhdr(%s,-%d)", SOURCES[i].argument, line, SOURCES[i].header, line);
        put(page, " %sn=req.fhdr_cnt(%s)\n", SOURCES[i].argument, SOURCES[i].header);
    }
    if (trusted)
        put_text(page, "    args xfp=req.fhdr(X-Forwarded-Proto) rid=req.fhdr(X-Request-ID)\n");
    put_identity_arguments(page);
    if (page->config->takeover)
        put_text(page, "    args ck=req.cook(owui_tenant)\n");
    put_since(page, HAP_3_4, "3.4", "    args hb=bool(true)\n", "");
}

/* How an engine, of which the SPOE file has one or two, deals with the agents. */
struct engine {
    const char *name;
    const char *groups;
    const char *idle; /* how long a connection is kept */
    unsigned processing_ms;
    bool is_other; /* asks the other half of several agents */
};

static void put_engine(const struct page *page, const struct engine *engine)
{
    put(page,
        "[%s]\n"
        "spoe-agent %s-agent\n"
        "    groups %s\n"
        "    option var-prefix owui\n"
        "    option set-on-error err\n"
        "    option continue-on-error\n"
        "    option dontlog-normal\n"
        "    timeout hello 500ms\n"
        "    timeout idle %s\n"
        "    timeout processing %ums\n"
        "    use-backend owui_agents%s\n"
        "    log global\n"
        "\n"
        "spoe-message route\n",
        engine->name, engine->name, engine->groups, engine->idle, engine->processing_ms,
        engine->is_other ? AGENTS_OTHER : "");
    put_arguments(page);
    put_text(page, "\n"
                   "spoe-group route\n"
                   "    messages route\n");
}

char *hap_spoe_write(const struct hap_config *config, enum hap_version version)
{
    struct page page;
    const struct engine firsts[] = {
        {"owui", "route acme", "60s", agents_answer_ms(config), false},
        {"owui-other", "route", "60s", agents_answer_ms(config), true},
    };
    unsigned again_ms = (agents_answer_ms(config) * 3 + 7) / 8;
    const struct engine agains[] = {
        {"owui-again", "route", "500ms", again_ms, false},
        {"owui-other-again", "route", "500ms", again_ms, true},
    };

    page_open(&page, config, version, (struct slice){0});
    put_text(&page, "# What HAProxy asks the agent, and how long it waits. Written by `owui-spoa "
                    "haproxy-config`.\n");
    put_engine(&page, &firsts[0]);
    put_text(&page, "\n"
                    "# an ACME challenge; the answer is in txn.owui.acme, if the agent has one\n"
                    "spoe-message acme\n"
                    "    args path=path\n"
                    "\n"
                    "spoe-group acme\n"
                    "    messages acme\n");
    if (agents_are_several(config)) {
        put_text(&page, "\n"
                        "# The other half of the agents.\n");
        put_engine(&page, &firsts[1]);
    }
    if (version == HAP_ANY || version < HAP_3_0) {
        put_text(&page,
                 "\n"
                 "# The same question for a second try. HAProxy before 3.0 forgets a timeout when "
                 "an earlier\n"
                 "# one, of the first try, is still to come; this one ends before it. Its "
                 "connections are\n"
                 "# not kept: they would break together with those of the first try.\n");
        put_engine(&page, &agains[0]);
        if (agents_are_several(config)) {
            put_text(&page, "\n");
            put_engine(&page, &agains[1]);
        }
    }
    return page_close(&page);
}
