unit_test(http LAYER http)
unit_test(http_head LAYER http)
unit_test(http_server LAYER http)
unit_test(http_client LAYER http)
# libcurl is to find its getaddrinfo().
if(TARGET test_http_client)
    set_target_properties(test_http_client PROPERTIES ENABLE_EXPORTS ON)
endif()
