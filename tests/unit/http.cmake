unit_test(http LAYER http)
unit_test(http_head LAYER http)
unit_test(http_server LAYER http)
unit_test(http_client LAYER http INSIDE)
# libcurl is to find its getaddrinfo(), and it libcurl's header.
if(TARGET test_http_client)
    set_target_properties(test_http_client PROPERTIES ENABLE_EXPORTS ON)
    target_include_directories(test_http_client
                               PRIVATE "$<TARGET_PROPERTY:http,INCLUDE_DIRECTORIES>")
endif()
