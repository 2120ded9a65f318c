# cmake -D FOLDER=... -D OUTPUT=web_files.c -P embed.cmake
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

set(source "/* Made from docs/openapi.json and src/app/page.html. */\n#include \"web_files.h\"\n")
embed(docs/openapi.json web_openapi)
embed(src/app/page.html web_page)
file(WRITE "${OUTPUT}" "${source}")
