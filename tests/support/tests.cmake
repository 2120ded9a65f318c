# What several kinds of tests share: HAProxy's side of SPOP, guard pages, vectors as text, findings.
add_library(test_support STATIC support/finding.c support/fuzz_input.c support/guard.c
            support/spop_peer.c support/vector.c)
target_include_directories(test_support PUBLIC "${CMAKE_CURRENT_SOURCE_DIR}")
target_link_libraries(test_support PUBLIC spop PRIVATE project_flags)

# Tokens and their keys.
pkg_check_modules(MAKER_LIBCRYPTO REQUIRED IMPORTED_TARGET libcrypto)
add_library(jwt_maker STATIC support/jwt_maker.c)
target_link_libraries(jwt_maker PUBLIC core PkgConfig::MAKER_LIBCRYPTO PRIVATE project_flags)
target_include_directories(jwt_maker PUBLIC "${CMAKE_CURRENT_SOURCE_DIR}")

# What an agent decides by.
add_library(snapshot_maker STATIC support/snapshot_maker.c)
target_link_libraries(snapshot_maker PUBLIC agent conf test_support PRIVATE project_flags)
