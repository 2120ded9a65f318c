unit_test(sidecar_caa LAYER sidecar)
unit_test(sidecar_challenges LAYER sidecar)
unit_test(sidecar_deploy LAYER sidecar)
unit_test(sidecar_loopback LAYER sidecar)
