unit_test(spop_frame LAYER spop USES test_support)
unit_test(spop_session LAYER spop USES test_support)
