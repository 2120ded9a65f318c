unit_test(sources LAYER sources)
