"""General statistics that the fits share; nothing here is specific to RRAM.

In: plain arrays of numbers, grouped by cell or placed on a grid. Out: estimates with covariances.
Contents: likelihoods of distribution families and their selection by held-out score, goodness of
fit, variance components, a smooth Gaussian field on a grid, errors clustered by cell, medians, and
noise spectra.

Not here: levels, failures, faults and other device terms; those belong to the packages that use
this one.
"""

__all__: list[str] = []
