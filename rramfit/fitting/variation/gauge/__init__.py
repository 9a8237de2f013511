"""Gauge study: what of a reading's spread is due to sessions, testers or days.

Input: `/reads` or `/program` with sessions, or several files of one array, each of one session.
Output: repeatability, reproducibility, their share of the total, and the stated accuracy joined in.
`readings` collects, `components` separates, `gauge` puts together.

Not here: the variation of cells and of programming (`rramfit.fitting.variation`).
"""

from rramfit.fitting.variation.gauge.gauge import GaugeFit, fit_gauge, has_sessions

__all__ = ["GaugeFit", "fit_gauge", "has_sessions"]
