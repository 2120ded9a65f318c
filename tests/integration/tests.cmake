# What the integration tests start besides the program itself.
add_executable(acme_host integration/acme_host.c)
target_link_libraries(acme_host PRIVATE sidecar acme net json core project_flags)

add_executable(failing_crypto integration/failing_crypto.c)
target_link_libraries(failing_crypto PRIVATE crypto json core project_flags)

# Preloaded into agents, as clock_shift is.
foreach(name IN ITEMS slow_sync stuck_loop)
    add_library(${name} MODULE integration/${name}.c)
    set_target_properties(${name} PROPERTIES PREFIX "" COMPILE_OPTIONS "-fno-sanitize=all"
                          LINK_OPTIONS "-fno-sanitize=all")
endforeach()

add_library(failing_memory MODULE integration/failing_memory.c)
set_target_properties(failing_memory PROPERTIES PREFIX ""
                      COMPILE_DEFINITIONS _GNU_SOURCE
                      COMPILE_OPTIONS "-fno-sanitize=all;-fno-omit-frame-pointer;-fno-builtin"
                      LINK_OPTIONS "-fno-sanitize=all")
