unit_test(hap_runtime LAYER hap)
unit_test(hap_config LAYER hap)
unit_test(hap_tutorial LAYER hap)
unit_test(hap_runtime_map LAYER hap)
