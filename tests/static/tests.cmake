# Checks of the source text: see static/check.py. Label `static` is what holds at every commit,
# `source` what may lag behind while a contract lands before what it stands on.
#
# Always Debian's interpreter: another python3 may come first in PATH.
set(check /usr/bin/python3 "${CMAKE_CURRENT_SOURCE_DIR}/static/check.py")
function(static_test name)
    add_test(NAME static.${name} COMMAND ${check} ${name} ${ARGN})
    set_tests_properties(static.${name} PROPERTIES LABELS static TIMEOUT 120)
endfunction()

static_test(layers)
static_test(libraries)
static_test(functions)
static_test(headers ${CMAKE_C_COMPILER} -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror
            -Wno-unused-function -I ${PROJECT_SOURCE_DIR}/include
            -I ${PROJECT_BINARY_DIR}/include)
static_test(scripts)
static_test(packages)
static_test(greater)
static_test(documents)
set_tests_properties(static.headers static.scripts PROPERTIES LABELS source)
