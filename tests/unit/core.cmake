unit_test(core LAYER core)
