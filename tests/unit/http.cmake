unit_test(http LAYER http)
