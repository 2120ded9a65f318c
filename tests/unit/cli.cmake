unit_test(cli_command_line LAYER cli)
