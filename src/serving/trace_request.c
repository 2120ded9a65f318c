/* A recorded request asked again: see trace_request.h. */
#include "serving/trace_request.h"

#include <stdio.h>

static void add_line(struct client_question *client, enum client_source source, struct slice line)
{
    client->lines[source][client->line_count[source]++] = line;
}

/* Whoever stood behind the client is told as the unknown one that it was. */
static void tell_client(const struct trace_entry *entry, const struct settings *settings,
                        struct trace_request *made)
{
    char ip_text[IP_TEXT_SIZE];
    struct client_question *client = &made->request.client;
    const struct proxy_group *group =
        trusted_proxies_find(&settings->trusted_proxies, &entry->peer);
    if (group == NULL)
        return;
    const bool is_forwarded = group->source == CLIENT_FORWARDED;
    client->forwarded_proto = (entry->flags & TRACE_HTTPS) != 0 ? SLICE("https") : SLICE("http");
    if ((entry->flags & TRACE_UNTOLD) != 0)
        add_line(client, group->source, is_forwarded ? SLICE("for=unknown") : SLICE("unknown"));
    if (ip_equal(&entry->peer, &entry->client))
        return;
    ip_print(&entry->client, ip_text);
    if (!is_forwarded)
        snprintf(made->client, sizeof(made->client), "%s", ip_text);
    else if (entry->client.family == IP_V6)
        snprintf(made->client, sizeof(made->client), "for=\"[%s]\"", ip_text);
    else
        snprintf(made->client, sizeof(made->client), "for=%s", ip_text);
    add_line(client, group->source, slice_of(made->client));
}

void trace_request_make(const struct trace_entry *entry, const struct settings *settings,
                        struct trace_request *made)
{
    *made = (struct trace_request){.client = ""};
    struct request *request = &made->request;
    request->host = trace_text(entry, TRACE_HOST);
    request->path = trace_text(entry, TRACE_PATH);
    request->sni = trace_text(entry, TRACE_SNI);
    request->origin = trace_text(entry, TRACE_ORIGIN);
    request->upgrade = trace_text(entry, TRACE_UPGRADE);
    request->method = policy_method_name(entry->method);
    request->credential_told = entry->credential != CREDENTIAL_UNTOLD;
    /* Any credential of the kind stands for it. */
    if (entry->credential == CREDENTIAL_API_KEY)
        request->token = SLICE("sk-");
    else if (entry->credential == CREDENTIAL_SESSION)
        request->token = SLICE("eyJ");
    request->wall_s = entry->wall_ms / 1000;
    request->client.peer = entry->peer;
    request->client.peer_tls = (entry->flags & TRACE_TLS) != 0;
    tell_client(entry, settings, made);
}
