# Fuzz targets: fuzz/fuzz_NAME.c defines LLVMFuzzerTestOneInput().
#
# Everywhere, ctest replays what is known (label `fuzz`): see replay_main.c. In the fuzz preset
# (clang) each target is a libFuzzer program, too: see tests/fuzz/run.
#
# fuzz_target(NAME [SLOW] USES layer ... [INSIDE layer ...] [SOURCES file ...] [SEEDS folder ...])
#
# SLOW: an input takes milliseconds, so that fewer are made of each seed in a replay. INSIDE are layers
# whose private headers it needs. SEEDS are folders below tests/. Files that end in .hex are decoded
# (support/vector.h), .expect files are left out, others are taken as they are. fuzz/corpus/NAME is
# one if it is there: what a run found goes there.
function(fuzz_target name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "SLOW" "" "USES;INSIDE;SOURCES;SEEDS")
    set(seeds "")
    set(some "")
    if(arg_SLOW)
        set(some --some)
    endif()
    foreach(folder IN LISTS arg_SEEDS ITEMS fuzz/corpus/${name})
        if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${folder}")
            list(APPEND seeds "${CMAKE_CURRENT_SOURCE_DIR}/${folder}")
        endif()
    endforeach()
    if(NOT seeds)
        message(FATAL_ERROR "fuzz_target(${name}): no seeds")
    endif()

    set(programs replay_${name})
    add_executable(replay_${name} fuzz/fuzz_${name}.c fuzz/replay_main.c ${arg_SOURCES})
    add_test(NAME fuzz.${name} COMMAND replay_${name} ${some} ${seeds})
    set_tests_properties(fuzz.${name} PROPERTIES LABELS fuzz TIMEOUT 300)
    if(FUZZ)
        list(APPEND programs fuzz_${name})
        add_executable(fuzz_${name} fuzz/fuzz_${name}.c ${arg_SOURCES})
        target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    endif()
    foreach(program IN LISTS programs)
        target_link_libraries(${program} PRIVATE ${arg_USES} test_support project_flags)
        foreach(layer IN LISTS arg_INSIDE)
            target_include_directories(${program} PRIVATE "${PROJECT_SOURCE_DIR}/src/${layer}")
        endforeach()
    endforeach()
endfunction()

find_package(PkgConfig REQUIRED)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
add_library(schema_mutator OBJECT fuzz/schema_mutator.c)
target_link_libraries(schema_mutator PRIVATE conf test_support project_flags
                      PUBLIC PkgConfig::JANSSON PkgConfig::PCRE2)
target_compile_definitions(schema_mutator PRIVATE SCHEMA_FOLDER="${PROJECT_SOURCE_DIR}/docs/schema")

fuzz_target(spop USES spop SEEDS vectors/spop)
fuzz_target(route USES route)
fuzz_target(text USES sidecar)
fuzz_target(conf USES conf json schema_mutator)
fuzz_target(labels USES conf)
fuzz_target(answer USES agent conf schema_mutator SEEDS fuzz/corpus/conf)
fuzz_target(request USES snapshot_maker jwt_maker)
fuzz_target(ahead USES agent SEEDS vectors/spop)
fuzz_target(tutorial USES hap)
fuzz_target(runtime USES hap)
fuzz_target(json USES json)
fuzz_target(json_edit USES json)
fuzz_target(acme USES acme json)
fuzz_target(schedule USES acme json)
fuzz_target(certificate SLOW USES crypto hap)
fuzz_target(identity USES identity json jwt_maker)
fuzz_target(claim USES snapshot_maker json jwt_maker)
fuzz_target(cookie USES snapshot_maker)
fuzz_target(trace USES analysis)
fuzz_target(state USES serving INSIDE acme)
fuzz_target(http USES http)
fuzz_target(admin USES admin)
fuzz_target(dns USES sidecar)
fuzz_target(client USES http)

# The whole agent behind a socket, for AFL++; tests/fuzz/agent builds it with afl-clang-fast.
if(AFL)
    add_executable(afl_agent fuzz/agent.c)
    target_include_directories(afl_agent PRIVATE "${PROJECT_SOURCE_DIR}/src/app")
    target_link_libraries(afl_agent PRIVATE app test_support project_flags)
endif()
