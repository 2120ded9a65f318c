/* The agents' backends: see agents_write.h. */
#include "agents_write.h"

#include "core/memory.h"

#include <stdlib.h>

enum { ANSWER_MS = 400 }; /* the agent holds an answer back for 300 ms at most */

bool agents_are_several(const struct hap_config *config)
{
    return config->agent_count > 1;
}

unsigned agents_answer_ms(const struct hap_config *config)
{
    return config->timeouts.agent_ms != 0 ? config->timeouts.agent_ms : ANSWER_MS;
}

/* Servers of which those of one half, if there are two, come first. Each is checked there, so that
 * both halves know at the same time; and where somebody can stand in, its first refused connection
 * takes it out. HAProxy before 3.1 would go on using the connections to the other half that it has
 * made meanwhile. */
static void put_servers(const struct page *page, bool is_other)
{
    static const char FIRST[] = "check inter 500ms fall 2 rise 1 observe layer4 error-limit 1 "
                                "on-error mark-down on-marked-up shutdown-backup-sessions";
    const struct hap_config *config = page->config;
    for (size_t i = 0; i < config->agent_count; i++) {
        char *address = hap_agent_address(slice_of(config->agents[i]), config->chroot, NULL);
        char *stands_in = memory_format("backup track owui_agents%s/agent%zu",
                                        is_other ? "" : AGENTS_OTHER, i + 1);
        const char *role = !agents_are_several(config) ? "check inter 500ms fall 2 rise 1"
                           : (i % 2 == 1) == is_other  ? FIRST
                                                       : stands_in;
        put(page,
            "    server agent%zu %s %s on-marked-down shutdown-sessions pool-purge-delay 60s\n",
            i + 1, address, role);
        free(stands_in);
        free(address);
    }
}

static void put_backend(const struct page *page, bool is_other)
{
    bool several = agents_are_several(page->config);
    put(page, "backend owui_agents%s\n", is_other ? AGENTS_OTHER : "");
    /* A lone agent's refusal should be told at once, and 3.1+ can without a busy loop; with
     * several, the next one should be tried instead. */
    if (several)
        put_since(page, HAP_3_2, "3.1", "    mode spop\n    retries 2\n    option redispatch 1\n",
                  "    mode tcp\n    option redispatch 1\n");
    else
        put_since(page, HAP_3_2, "3.1", "    mode spop\n    retries 0\n", "    mode tcp\n");
    /* Of the defaults, and warned of where it is not HTTP. */
    put_since(page, HAP_3_2, "3.2", "    no option http-drop-request-trailers\n", "");
    put_since(page, HAP_3_4, "3.3", "", "    no option abortonclose\n");
    put(page,
        "    no option http-no-delay\n"
        "    balance roundrobin\n"
        "%s"
        "    option spop-check\n"
        "    timeout connect 300ms\n"
        "    timeout check 500ms\n"
        "    timeout server 3m\n",
        several ? "    option allbackups\n" : "");
    put_servers(page, is_other);
}

void agents_put(const struct page *page)
{
    put_text(page, "\n"
                   "# the agents; spop-check takes a dead one out within two seconds\n");
    put_backend(page, false);
    if (!agents_are_several(page->config))
        return;
    put_text(page, "\n"
                   "# the same, of which the other half comes first\n");
    put_backend(page, true);
}
