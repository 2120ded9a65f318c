# embed_text(FILE function): appends to `source` a C function that returns the file's text.
function(embed_text file function)
    file(READ "${FOLDER}/${file}" bytes HEX)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
    string(APPEND source "
const char *${function}(void)
{
    static const unsigned char TEXT[] = {${bytes}0};
    return (const char *)TEXT;
}
")
    set(source "${source}" PARENT_SCOPE)
endfunction()
