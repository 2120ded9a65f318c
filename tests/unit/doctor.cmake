unit_test(doctor LAYER doctor)
unit_test(doctor_cookies LAYER doctor)
