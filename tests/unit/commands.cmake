unit_test(commands_top LAYER commands INSIDE)
