# Every build option of the project, in one place.
option(WERROR "treat compiler warnings as errors (CI and the development presets do)" OFF)
option(HARDEN "build position independent, with stack protection and read-only relocations" ON)
option(FUZZ "build the libFuzzer targets (needs clang)" OFF)
option(AFL "build the whole agent for AFL++ (tests/fuzz/agent does it)" OFF)
set(SANITIZE "" CACHE STRING "sanitizers to build with, as a list: address;undefined or thread")

# A compiler cache makes the second build of the same text nearly free; used where there is one.
find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_C_COMPILER_LAUNCHER)
    set(CMAKE_C_COMPILER_LAUNCHER "${CCACHE}")
endif()

# The flags that every target of the project is compiled with. They live on this interface target,
# never in CMAKE_C_FLAGS, so that a packager's own flags stay untouched.
add_library(project_flags INTERFACE)
target_compile_options(project_flags INTERFACE
    -Wall -Wextra -Wshadow -Wwrite-strings -Wmissing-prototypes -Wstrict-prototypes -Wcast-qual
    -Wimplicit-fallthrough -Wconversion -Wvla -Wformat=2 -Wundef -Wpointer-arith)
target_compile_definitions(project_flags INTERFACE _GNU_SOURCE)
if(WERROR)
    target_compile_options(project_flags INTERFACE -Werror)
endif()

# Assertions state our own invariants and stay on in release builds.
foreach(config IN ITEMS RELEASE RELWITHDEBINFO MINSIZEREL)
    string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_${config} "${CMAKE_C_FLAGS_${config}}")
endforeach()

# Where a loop begins is otherwise as luck has it: what is changed in one file has cost a loop over a
# host's bytes in another a twentieth of a decision.
if(CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
    target_compile_options(project_flags INTERFACE -falign-functions=64 -falign-loops=32)
endif()

if(SANITIZE)
    list(JOIN SANITIZE "," sanitizers)
    target_compile_options(project_flags INTERFACE -fsanitize=${sanitizers}
                           -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(project_flags INTERFACE -fsanitize=${sanitizers})
    if("thread" IN_LIST SANITIZE)
        # The instrumentation hides from gcc what it sees in every other build.
        target_compile_options(project_flags INTERFACE -Wno-maybe-uninitialized)
    endif()
endif()
if(FUZZ)
    if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
        message(FATAL_ERROR "FUZZ=ON needs clang: use `cmake --preset fuzz`")
    endif()
    target_compile_options(project_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

if(HARDEN)
    include(CheckPIESupported)
    check_pie_supported(LANGUAGES C)
    set(CMAKE_POSITION_INDEPENDENT_CODE ON)
    target_compile_options(project_flags INTERFACE -fstack-protector-strong -fstack-clash-protection)
    target_link_options(project_flags INTERFACE -Wl,-z,relro,-z,now)
    if(NOT SANITIZE AND NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
        target_compile_options(project_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
    endif()
endif()
