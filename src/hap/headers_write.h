/* What haproxy.cfg does to a request that the agent lets in, on its way to the upstream. */
#pragma once

#include "page.h"

/* What a client may not say is taken out, host and path get their normal form, and the upstream is
 * told what the agent knows. Ends the rules for all who have neither a prefix to cut nor limits. */
void headers_put(const struct page *page);
/* The option for `defaults` that drops what a client says behind a body, where HAProxy has it. */
void headers_put_trailers_option(const struct page *page);
