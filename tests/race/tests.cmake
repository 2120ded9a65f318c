# Threads: plain programs, because Criterion cannot run under ThreadSanitizer. They run in every
# build, but it is in the tsan one that they prove something.
#
# race_test(NAME SOURCES a.c ... LAYERS layer ...) builds race/race_NAME.c.
function(race_test name)
    if(FUZZ)
        return()
    endif()
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LAYERS")
    add_executable(race_${name} race/race_${name}.c ${arg_SOURCES})
    target_link_libraries(race_${name} PRIVATE ${arg_LAYERS} test_support project_flags)
    add_test(NAME race.${name} COMMAND race_${name})
    set_tests_properties(race.${name} PROPERTIES LABELS race TIMEOUT 300
        FAIL_REGULAR_EXPRESSION "WARNING: ThreadSanitizer;ERROR: (Address|Leak)Sanitizer")
endfunction()

race_test(publish SOURCES support/net_peer.c LAYERS net)
race_test(churn SOURCES support/net_peer.c LAYERS net)
race_test(admin_desk SOURCES race/admin_rush.c LAYERS admin net)
race_test(admin_threads SOURCES race/admin_rush.c LAYERS admin net)
race_test(packed LAYERS core)
race_test(key_maker LAYERS acme net)
if(TARGET race_key_maker)
    target_include_directories(race_key_maker PRIVATE "${PROJECT_SOURCE_DIR}/src/acme")
endif()
