"""Statistics that know nothing of RRAM: the arithmetic that the fits share.

In: plain arrays of numbers, grouped by cell or placed on a grid. Out: estimates with covariances.
Likelihoods of distribution families, their selection by held-out score, goodness of fit, variance
components, a smooth Gaussian field on a grid, errors clustered by cell, medians, noise spectra.

Not here: levels, failures, faults or any other term of the device; those belong to the rooms above.
"""

__all__: list[str] = []
