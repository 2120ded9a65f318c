/* Files that are part of the program. */
#pragma once

const char *web_openapi(void); /* docs/openapi.json */
const char *web_page(void);    /* src/app/page.html */
