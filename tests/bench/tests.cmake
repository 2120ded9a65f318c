# The load generator and the floor that it measures against; bench/run drives both.
if(FUZZ)
    return()
endif()
set(names bench_spop)
if(NOT SANITIZE)
    list(APPEND names bench_null)
endif()
foreach(name IN LISTS names)
    add_executable(${name} bench/${name}.c bench/bench_socket.c)
    target_link_libraries(${name} PRIVATE spop test_support project_flags)
endforeach()
target_sources(bench_spop PRIVATE bench/bench_cpu.c)
if(SANITIZE) # an integration test starts the load generator; figures take a release build
    return()
endif()
add_executable(bench_answer bench/bench_answer.c)
target_link_libraries(bench_answer PRIVATE agent test_support project_flags)
add_executable(bench_identity bench/bench_identity.c)
target_link_libraries(bench_identity PRIVATE agent jwt_maker project_flags)
add_executable(bench_features bench/bench_features.c)
target_link_libraries(bench_features PRIVATE agent conf jwt_maker test_support project_flags)

if(TARGET owui-spoa)
    add_custom_target(bench USES_TERMINAL VERBATIM
        COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/bench/run" --build "${PROJECT_BINARY_DIR}"
        DEPENDS bench_spop bench_null bench_answer bench_features bench_identity owui-spoa)
endif()
