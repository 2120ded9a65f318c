# What the integration tests start besides the program itself.
add_executable(acme_host integration/acme_host.c)
target_link_libraries(acme_host PRIVATE sidecar acme net json core project_flags)

# Preloaded into agents, as clock_shift is.
add_library(slow_sync MODULE integration/slow_sync.c)
set_target_properties(slow_sync PROPERTIES PREFIX "" COMPILE_OPTIONS "-fno-sanitize=all"
                      LINK_OPTIONS "-fno-sanitize=all")
