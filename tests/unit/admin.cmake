unit_test(admin LAYER admin)
unit_test(admin_tokens LAYER admin)
unit_test(admin_metrics LAYER admin)
