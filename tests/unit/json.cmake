unit_test(json LAYER json)
