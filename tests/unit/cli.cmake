unit_test(cli_command_line LAYER cli)
unit_test(cli_host_file LAYER cli)
unit_test(cli_person LAYER cli)
unit_test(cli_program LAYER cli)
