unit_test(http LAYER http)
unit_test(http_head LAYER http)
unit_test(http_server LAYER http)
unit_test(http_client LAYER http)
