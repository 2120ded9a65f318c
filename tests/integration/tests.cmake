# What the integration tests start besides the program itself.
add_executable(acme_host integration/acme_host.c)
target_link_libraries(acme_host PRIVATE sidecar acme net json core project_flags)
