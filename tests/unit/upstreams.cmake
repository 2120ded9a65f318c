unit_test(upstreams_health LAYER upstreams)
unit_test(upstreams_instances LAYER upstreams SOURCES unit/conf_fixture.c USES conf)
unit_test(upstreams_label_desk LAYER upstreams)
