unit_test(upstreams_health LAYER upstreams)
unit_test(upstreams_label_desk LAYER upstreams)
