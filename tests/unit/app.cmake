unit_test(app_count_places LAYER app)
# What the program is made of has no public headers.
if(UNIT_TESTS)
    target_include_directories(test_app_count_places PRIVATE "${PROJECT_SOURCE_DIR}/src/app")
endif()
