# Fuzz targets: fuzz/fuzz_NAME.c defines LLVMFuzzerTestOneInput().
#
# Everywhere, ctest replays what is known (label `fuzz`): every seed whole, cut short at every byte,
# and with some bytes changed. In the fuzz preset (clang) each target is a libFuzzer program too,
# tests/fuzz_NAME, and its seeds are in tests/seeds/NAME.
#
# fuzz_target(NAME USES layer ... [SEEDS folder ...])
#
# SEEDS are folders below tests/. Files that end in .hex are decoded (support/vector.h), .expect
# files are left out, others are taken as they are. fuzz/corpus/NAME is one if it is there: what a
# run found goes there.
function(fuzz_target name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "USES;SEEDS")
    set(seeds "")
    foreach(folder IN LISTS arg_SEEDS ITEMS fuzz/corpus/${name})
        if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${folder}")
            list(APPEND seeds "${CMAKE_CURRENT_SOURCE_DIR}/${folder}")
        endif()
    endforeach()
    if(NOT seeds)
        message(FATAL_ERROR "fuzz_target(${name}): no seeds")
    endif()

    add_executable(replay_${name} fuzz/fuzz_${name}.c fuzz/replay_main.c)
    target_link_libraries(replay_${name} PRIVATE ${arg_USES} test_support project_flags)
    add_test(NAME fuzz.${name} COMMAND replay_${name} ${seeds})
    set_tests_properties(fuzz.${name} PROPERTIES LABELS fuzz TIMEOUT 120)
    if(NOT FUZZ)
        return()
    endif()

    add_executable(fuzz_${name} fuzz/fuzz_${name}.c)
    target_link_libraries(fuzz_${name} PRIVATE ${arg_USES} test_support project_flags)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    set(folder "${CMAKE_CURRENT_BINARY_DIR}/seeds/${name}")
    add_custom_command(TARGET fuzz_${name} POST_BUILD VERBATIM
        COMMAND replay_${name} --write "${folder}" ${seeds})
    add_dependencies(fuzz_${name} replay_${name})
endfunction()

fuzz_target(spop USES spop SEEDS vectors/spop)
fuzz_target(route USES route)
fuzz_target(conf USES conf json)
fuzz_target(answer USES agent conf SEEDS fuzz/corpus/conf)
fuzz_target(ahead USES agent SEEDS vectors/spop)
fuzz_target(tutorial USES hap)
fuzz_target(json USES json)
fuzz_target(json_edit USES json)
fuzz_target(acme USES acme json)
fuzz_target(identity USES identity json jwt_maker)
fuzz_target(claim USES agent conf json jwt_maker)
fuzz_target(http USES http)

# The whole agent behind a socket, for AFL++; tests/fuzz/agent builds it with afl-clang-fast.
if(AFL)
    add_executable(afl_agent fuzz/agent.c)
    target_include_directories(afl_agent PRIVATE "${PROJECT_SOURCE_DIR}/src/app")
    target_link_libraries(afl_agent PRIVATE app test_support project_flags)
endif()
