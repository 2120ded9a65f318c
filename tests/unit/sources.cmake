unit_test(sources LAYER sources)
unit_test(sources_watch LAYER sources)
