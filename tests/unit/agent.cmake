unit_test(agent_screen LAYER agent)
unit_test(agent_limits LAYER agent SOURCES unit/allocations.c)
unit_test(agent_answer LAYER agent SOURCES unit/allocations.c USES test_support)
unit_test(agent_ahead LAYER agent USES test_support)
