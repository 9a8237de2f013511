"""Fits: estimates with uncertainties from measured sweeps."""

__all__: list[str] = []
