/* What is done to answers on their way to the browser: what their tenants want of them, and cookies
 * by which HAProxy knows a browser again. */
#pragma once

#include "page.h"

void response_put(const struct page *page);
