unit_test(setup_certbot_copies LAYER setup INSIDE)
unit_test(setup_look LAYER setup INSIDE)
unit_test(setup_ports LAYER setup INSIDE)
unit_test(setup_files LAYER setup INSIDE)
