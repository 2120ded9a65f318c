unit_test(sources LAYER sources USES test_support)
unit_test(sources_watch LAYER sources)
