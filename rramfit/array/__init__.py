"""The array in torch: crossbar solvers and the device sampler."""
