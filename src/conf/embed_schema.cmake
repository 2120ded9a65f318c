# cmake -D FOLDER=docs/schema -D OUTPUT=schema.c -P embed_schema.cmake
include("${CMAKE_CURRENT_LIST_DIR}/../../cmake/EmbedText.cmake")

set(source "/* Made from docs/schema. */\n#include \"conf/configuration.h\"\n")
embed_text(owui-spoa.schema.json configuration_schema)
embed_text(tenants.schema.json tenants_schema)
file(WRITE "${OUTPUT}" "${source}")
