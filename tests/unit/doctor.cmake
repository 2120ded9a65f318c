unit_test(doctor_cookies LAYER doctor INSIDE)
unit_test(doctor_haproxy_fault LAYER doctor)
