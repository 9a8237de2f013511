"""Fits: from measured sweeps to estimates with honest uncertainties."""

__all__: list[str] = []
