# What several kinds of tests share: HAProxy's side of SPOP, guard pages, vectors as text, findings.
add_library(test_support STATIC support/finding.c support/guard.c support/spop_peer.c
            support/vector.c)
target_include_directories(test_support PUBLIC "${CMAKE_CURRENT_SOURCE_DIR}")
target_link_libraries(test_support PUBLIC spop PRIVATE project_flags)
