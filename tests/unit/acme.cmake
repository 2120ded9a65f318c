unit_test(acme_jws LAYER acme)
unit_test(acme_problem LAYER acme)
unit_test(acme_flow LAYER acme)
unit_test(acme_schedule LAYER acme)
unit_test(acme_store LAYER acme)
# Rows of canned answers leave out what a case does not need.
if(UNIT_TESTS)
    target_compile_options(test_acme_flow PRIVATE -Wno-missing-field-initializers)
endif()
