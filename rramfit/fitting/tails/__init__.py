"""Tails of the levels: raw error rates, extreme values, codes, tolerance intervals, capability.

In: fitted levels with their readings, and the kept programming sweeps; or a card, for error rates
at a later time, at a temperature and after reads. Out: `TailsFit`, and rates with intervals.

Not here: the distribution of a whole level (`rramfit.fitting.levels`).
"""

from rramfit.fitting.tails.codes import Code, required_code
from rramfit.fitting.tails.rates_at import ErrorRatesAt, error_rates_at
from rramfit.fitting.tails.tails import TailsFit, codes_for, fit_tails

__all__ = [
    "Code",
    "ErrorRatesAt",
    "TailsFit",
    "codes_for",
    "error_rates_at",
    "fit_tails",
    "required_code",
]
