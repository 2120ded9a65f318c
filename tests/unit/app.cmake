unit_test(app_certbot_copies LAYER app)
unit_test(app_command_line LAYER app)
unit_test(app_count_places LAYER app)
unit_test(app_doctor LAYER app)
unit_test(app_haproxy_files LAYER app)
unit_test(app_key_schedule LAYER app)
unit_test(app_restart_keys LAYER app)
unit_test(app_seal_file LAYER app)
unit_test(app_setup_ports LAYER app)
unit_test(app_sources LAYER app)
unit_test(app_top LAYER app)
# What the program is made of has no public headers.
if(UNIT_TESTS)
    foreach(name IN ITEMS app_certbot_copies app_command_line app_count_places app_doctor
            app_haproxy_files app_key_schedule app_restart_keys app_seal_file app_setup_ports
            app_sources app_top)
        target_include_directories(test_${name} PRIVATE "${PROJECT_SOURCE_DIR}/src/app")
    endforeach()
endif()
