# What tests/chaos and tests/integration preload into agents, so that their clock can be set. Without sanitizers, which
# want to be loaded first.
if(NOT FUZZ)
    add_library(clock_shift MODULE chaos/clock_shift.c)
    set_target_properties(clock_shift PROPERTIES PREFIX "" COMPILE_OPTIONS "-fno-sanitize=all"
                          LINK_OPTIONS "-fno-sanitize=all")
endif()
