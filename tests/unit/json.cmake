unit_test(json LAYER json)
unit_test(json_edit LAYER json)
