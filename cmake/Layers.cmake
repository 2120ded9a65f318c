# add_layer(NAME SOURCES a.c b.c [USES lower-layer ...] [PRIVATE third-party-target ...])
#
# One static library per layer. USES names the layers below; PRIVATE names the third-party
# libraries that this layer, and no other, wraps.
function(add_layer name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;USES;PRIVATE")
    add_library(${name} STATIC ${arg_SOURCES})
    target_include_directories(${name}
        PUBLIC "${PROJECT_SOURCE_DIR}/include" "${PROJECT_BINARY_DIR}/include"
        PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}")
    target_link_libraries(${name} PUBLIC ${arg_USES} PRIVATE project_flags ${arg_PRIVATE})
endfunction()
