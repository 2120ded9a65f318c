unit_test(hap_runtime LAYER hap)
unit_test(hap_config LAYER hap)
