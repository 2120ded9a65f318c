/* `owui-spoa setup`, in three parts: what is to be written (setup_plan.c), what is to be started
 * (setup_services.c), and whether it works (setup_look.c). */
#pragma once

#include "conf/whole.h"
#include "hap/tutorial.h"
#include "setup_files.h"

/* The command line. */
struct setup_wish {
    const char *configuration; /* the global file */
    const char *host;          /* NULL: those of the tutorial's file */
    const char *upstream;
    const char *email;
    const char *name; /* of the tenant; NULL: the host */
    const char *directory;
    const char *ca_file;
    const char *tutorial; /* a haproxy.cfg to carry over; NULL: none */
    const char *certbot;  /* its folder; NULL: none */
    unsigned wait_s;
    bool staging;
    bool dry_run;
    bool yes;
    bool no_start;
};

/* A tenant of this setup. */
struct setup_tenant {
    char *name;
    char *host; /* its first one, in normal form; NULL: none but wildcards */
    char *upstream;
    bool https;               /* browsers come to it by https:// */
    struct json *environment; /* its Open WebUI's, as far as the daemon need not be asked; NULL: no
                               * host is known by name */
};

struct setup_plan {
    struct setup_files files;
    size_t global_file, haproxy_file, spoe_file; /* their places in `files` */
    bool haproxy_was_ours; /* what is there was written by this program: a reload is enough */
    struct setup_tenant *tenants;
    size_t tenant_count;
    struct whole whole;       /* the configuration as it will be */
    struct tutorial tutorial; /* what was read, if there was something to be carried over */
    char *carried;            /* the text of that */
    char *folder;             /* HAProxy's */
    bool takes_name;          /* what is added now would have another with --name */
};

/* Makes the plan; what --tutorial has found is told on stdout, what is wrong on stderr. False when
 * there is none to follow; it is to be given to setup_plan_fini() in any case. Changes nothing on
 * the disk. */
MUST_CHECK bool setup_plan_make(const struct setup_wish *wish, struct setup_plan *plan);
void setup_plan_fini(struct setup_plan *plan);
/* Puts HAProxy's files, as they should be now, in place of those that the plan holds. */
MUST_CHECK enum error setup_plan_haproxy(struct setup_plan *plan, struct error_text *why);
/* That a haproxy.cfg of somebody else's is replaced, with all that it serves. */
void setup_tell_foreign(const struct setup_plan *plan);

/* Lets HAProxy look at the files before they are in place; what it says is told on stderr. */
MUST_CHECK bool setup_haproxy_check(const struct setup_plan *plan);
/* Whether HAProxy can bind its ports; who holds one is told on stderr. */
MUST_CHECK bool setup_ports_are_free(const struct setup_plan *plan);
/* The same for the agent, and where it answers challenges. */
MUST_CHECK bool setup_challenge_port_is_free(const struct setup_plan *plan);
/* The folders that are needed. */
MUST_CHECK enum error setup_folders(const struct setup_plan *plan, struct error_text *why);
/* Starts both services, or prints how; false when one does not start, which is told. */
MUST_CHECK bool setup_services(const struct setup_plan *plan, const struct setup_wish *wish);
bool setup_has_systemd(void);
/* Whether the service, if there is one, reads this global file; it is told on stderr when not. */
MUST_CHECK bool setup_service_reads(const char *path);
/* Whether the service, in its sandbox and as its user, can read it; it is told on stderr when not.
 */
MUST_CHECK bool setup_service_may_read(const char *path);
/* Whether it can write where the configuration has it write; what it cannot is told on stderr. */
MUST_CHECK bool setup_service_may_write(const struct setup_plan *plan);
MUST_CHECK bool setup_agent_answers(const struct setup_plan *plan);
/* Whether one that runs has to be started anew to do what the global file says; it reads all files
 * again before it tells, if it may. */
MUST_CHECK bool setup_agent_is_behind(const struct setup_plan *plan, bool may_look);
/* Whether one that runs has other files than those on the disk. */
MUST_CHECK bool setup_haproxy_is_behind(const struct setup_plan *plan);
/* Tells what the HAProxy that systemd runs reads beside the plan's file, or instead of it. */
void setup_tell_other_files(const struct setup_plan *plan);
/* HAProxy takes its files anew; it is told when it does not. */
void setup_reload_haproxy(void);

/* Hands certbot's certificates to the daemon, which is told by its socket. Whether it has some. */
bool setup_import(const struct setup_plan *plan, const char *certbot);
/* The hosts that certbot's certificates are for, wildcards left out; for memory_free_texts(). What
 * cannot be read is told on stderr. */
size_t setup_certbot_names(const char *certbot, char ***names);

/* Waits for the certificates, with progress; false when one is not served in time. */
MUST_CHECK bool setup_wait(const struct setup_plan *plan, unsigned wait_s);
/* Tries what a browser would do, through HAProxy's binds on this machine, and prints what works. */
MUST_CHECK bool setup_look(const struct setup_plan *plan);
