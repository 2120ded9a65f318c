# cmake -D FOLDER=docs/schema -D OUTPUT=schema.c -P embed_schema.cmake
function(embed file function)
    file(READ "${FOLDER}/${file}" bytes HEX)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
    string(APPEND source "
const char *${function}(void)
{
    static const char TEXT[] = {${bytes}0};
    return TEXT;
}
")
    set(source "${source}" PARENT_SCOPE)
endfunction()

set(source "/* Made from docs/schema. */\n#include \"conf/configuration.h\"\n")
embed(owui-spoa.schema.json configuration_schema)
embed(tenants.schema.json tenants_schema)
file(WRITE "${OUTPUT}" "${source}")
