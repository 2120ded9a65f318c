# cmake -D FOLDER=... -D OUTPUT=web_files.c -P embed.cmake
include("${CMAKE_CURRENT_LIST_DIR}/../../cmake/EmbedText.cmake")

set(source "/* Made from docs/openapi.json and src/app/page.html. */\n#include \"web_files.h\"\n")
embed_text(docs/openapi.json web_openapi)
embed_text(src/app/page.html web_page)
file(WRITE "${OUTPUT}" "${source}")
