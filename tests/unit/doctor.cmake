unit_test(doctor LAYER doctor)
