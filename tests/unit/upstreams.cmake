unit_test(upstreams_health LAYER upstreams)
