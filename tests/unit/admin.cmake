unit_test(admin LAYER admin)
