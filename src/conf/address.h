/* Addresses of sockets as the configuration has them. */
#pragma once

#include "value.h"

struct socket_address {
    struct ip ip; /* IP_NONE for `any` */
    bool any;     /* "*", "", 0.0.0.0 or ::, however that is spelled */
    uint16_t port;
};

/* "*:80", ":80", "192.0.2.1:80", "[::1]:80". */
MUST_CHECK bool socket_address_parse(struct slice text, struct socket_address *address);

/* For node_texts(): a bind of HAProxy; where the agent listens; where HAProxy finds it; a Runtime
 * API socket ("/path", or "master:/path" for the master's). */
char *check_bind(const struct node *element, struct slice text);
char *check_listen(const struct node *element, struct slice text);
char *check_agent(const struct node *element, struct slice text);
char *check_runtime(const struct node *element, struct slice text);
/* "127.0.0.1:8688": an address that can be connected to. */
char *check_local_address(const struct node *element, struct slice text);
/* One of this machine alone, in the place of `*listen`: what is said there is for nobody else.
 * `hint` tells what to write instead, `why` what would come of another address. */
void read_loopback(const struct node *node, const char *hint, const char *why, char **listen);
/* "10.0.0.2", "127.0.0.1:8600", "[::1]:53": an address, with a port or without. */
char *check_nameserver(const struct node *element, struct slice text);
/* "10.0.0.1:8080", "[fd00::1]:8080", "name:8080". */
char *check_server(const struct node *element, struct slice text);

/* A host name as a resolver takes it: up to 253 letters, digits, "-", "_" and dots; not something
 * that a resolver would read as an address ("127.1", "0x7f000001"). */
MUST_CHECK bool server_name_valid(struct slice name);
