unit_test(cli_command_line LAYER cli)
unit_test(cli_host_file LAYER cli)
