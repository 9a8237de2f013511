"""Tails of all levels, and what follows from them: error rates, codes, tolerance, capability.

In: the fitted levels and the kept programming sweeps. Every number applies to readings at the end
of programming. Error rates at a later time, at a temperature or after reads:
`rramfit.fitting.tails.rates_at`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from rramfit.card.blocks.tails import (
    CapabilityCard,
    CodeCard,
    ErrorRateCard,
    TailsCard,
    ToleranceCard,
)
from rramfit.card.quantity import Quantity, quantities, quantities_frame, result_html
from rramfit.errors import FitError
from rramfit.fitting.levels.level_fit import LevelFit
from rramfit.fitting.levels.levels import LevelsFit
from rramfit.fitting.results.result import Verdict
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.tails.capability import Capability, fit_capability
from rramfit.fitting.tails.codes import TARGET, required_code
from rramfit.fitting.tails.error_rates import ErrorRate, bit_error_rate, fit_error_rate
from rramfit.fitting.tails.findings import judge
from rramfit.fitting.tails.level_tail import COMPARED, LevelTail, fit_level_tail
from rramfit.fitting.tails.level_tolerance import level_tolerance
from rramfit.fitting.tails.tolerance import CONFIDENCE, COVERAGE, Tolerance
from rramfit.units import counted, format_estimate, format_quantity, format_rate

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DATA_BITS", "TailsFit", "codes_for", "fit_tails"]

Bools = NDArray[np.bool_]
Source = Literal["extreme", "fitted", "counted"]

DATA_BITS = (64, 4096)
"""Data bits of the words for which codes are chosen: a memory word, and a sector of 512 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TailsFit:
    """Tails of the levels of one array.

    Attributes
    ----------
    error_rates : tuple of ErrorRate
        Of neighbouring levels.
    bit_error_rate : Quantity, optional
        None unless every threshold has a rate.
    by : {"extreme", "fitted", "counted"}, optional
        What the bit error rate comes from.
    codes : tuple of CodeCard
    tails : tuple of LevelTail
        Lower and upper tail of each level.
    tolerance : dict of int to Tolerance
        By level.
    capability : dict of int to Capability
        By level, of those with a verify window.
    verdict : Verdict
    """

    error_rates: tuple[ErrorRate, ...]
    bit_error_rate: Quantity | None
    by: Source | None
    codes: tuple[CodeCard, ...]
    tails: tuple[LevelTail, ...]
    tolerance: dict[int, Tolerance]
    capability: dict[int, Capability]
    verdict: Verdict

    def to_card(self) -> TailsCard:
        """Return the `tails` of a card."""
        return TailsCard(
            error_rates={f"{r.lower}_{r.upper}": _rate_card(r) for r in self.error_rates},
            bit_error_rate=self.bit_error_rate,
            bit_error_rate_by=self.by,
            codes=list(self.codes),
            levels={
                f"{t.level}_{t.side}": card for t in self.tails if (card := t.to_card()) is not None
            },
            tolerance={
                f"{k}": ToleranceCard(
                    level=k,
                    coverage=COVERAGE,
                    confidence=CONFIDENCE,
                    method=t.method,
                    lower=None if t.lower is None else Quantity.given(t.lower, "S"),
                    upper=None if t.upper is None else Quantity.given(t.upper, "S"),
                    cells=t.cells,
                    cells_needed=t.cells_needed,
                )
                for k, t in self.tolerance.items()
            },
            capability={
                f"{k}": CapabilityCard(level=k, pp=c.pp, ppk=c.ppk, beyond=c.beyond)
                for k, c in self.capability.items()
            },
        )

    def to_frame(self) -> pd.DataFrame:
        """Return one row per quantity: value, stderr, low, high, unit."""
        return quantities_frame(dict(quantities(self.to_card())))

    def summary(self) -> str:
        """Return error rates, codes and tails as readable text."""
        lines = [f"tails: {self.verdict.word}"]
        for r in self.error_rates:
            best = r.extreme or r.fitted or r.counted
            lines.append(
                f"  levels {r.lower} and {r.upper} at {format_quantity(r.threshold, 'S')}: "
                f"{counted(r.errors, 'error')} in {r.n_lower + r.n_upper} readings, "
                f"rate {format_rate(best.value, best.ci95)}"
            )
        for code in self.codes:
            word = code.kind or "no code of rate 1/2 or above"
            lines.append(f"  {code.data_bits} data bits, {code.target:g}: {word}")
        for t in self.tails:
            q = dict(t.quantiles).get(COMPARED)
            if q is not None and t.fit is not None:
                beyond = format_estimate(q.value, q.ci95, "S")
                lines.append(
                    f"  {t.name} {t.side} tail: one reading in a million beyond {beyond}, shape "
                    f"{t.fit.pareto.shape:.2f}, family: {t.agreement}"
                )
        lines += [f"  ! {f}" for f in self.verdict.findings]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = {name: q.shown() for name, q in quantities(self.to_card())}
        findings = [str(f) for f in self.verdict.findings]
        return result_html(f"Tails ({self.verdict.word})", rows, findings)


def fit_tails(
    statistics: ProgramStatistics,
    healthy: Bools,
    levels: LevelsFit,
    *,
    thresholds: Mapping[int, float] | None = None,
) -> TailsFit:
    """Fit the tails of all levels and the error rates between them.

    Parameters
    ----------
    statistics : ProgramStatistics
    healthy : (row, col) bool array
    levels : LevelsFit
    thresholds : mapping of int to float, optional
        Read threshold [S] between a level, the key, and the next one; the best one otherwise.

    Returns
    -------
    TailsFit

    Raises
    ------
    FitError
        If a threshold is not a number, or belongs to no pair of levels.
    """
    given: dict[int, float | None] = dict(thresholds or {})
    for k, t in (thresholds or {}).items():
        if not (0 <= k < len(levels) - 1 and np.isfinite(t)):
            msg = (
                f"threshold {t!r} above level {k} was given, but thresholds are conductances [S] "
                f"above one of levels 0 to {len(levels) - 2}; correct it"
            )
            raise FitError(msg)
    tails = {
        (level.index, side): fit_level_tail(level, side)
        for level in levels.levels
        for side in ("lower", "upper")
    }
    rates = []
    for below, above in itertools.pairwise(levels.levels):
        best = below.threshold.value if below.threshold else None
        threshold = given.get(below.index, best)
        if threshold is None:
            continue
        rate = fit_error_rate(
            statistics,
            healthy,
            below,
            above,
            threshold,
            tails=(tails[below.index, "upper"].fit, tails[above.index, "lower"].fit),
            given=below.index in given,
        )
        if rate is not None:
            rates.append(rate)
    total, by = _bit_error_rate(rates, len(levels))
    return TailsFit(
        error_rates=tuple(rates),
        bit_error_rate=total,
        by=by,
        codes=codes_for(total) if total is not None else (),
        tails=tuple(tails.values()),
        tolerance={
            level.index: found
            for level in levels.levels
            if (found := level_tolerance(statistics, healthy, level)) is not None
        },
        capability={
            level.index: capability
            for level in levels.levels
            if (capability := _capability(level)) is not None
        },
        verdict=judge(tuple(tails.values())),
    )


def _capability(level: LevelFit) -> Capability | None:
    if level.distribution is None:
        return None
    return fit_capability(level.distribution, level.driver, lower=level.lower, upper=level.upper)


def _bit_error_rate(
    rates: Sequence[ErrorRate], levels: int
) -> tuple[Quantity | None, Source | None]:
    """Return the bit error rate and what it comes from."""
    if levels < 2 or len(rates) != levels - 1:
        return None, None
    sources: tuple[Source, ...] = ("extreme", "fitted", "counted")
    for source in sources:
        found = [q for r in rates if (q := getattr(r, source)) is not None]
        if len(found) == len(rates):
            return bit_error_rate(found, levels), source
    return None, None


def codes_for(
    rate: Quantity, data_bits: Sequence[int] = DATA_BITS, *, target: float = TARGET
) -> tuple[CodeCard, ...]:
    """Return the codes that a bit error rate needs, at its value and at its upper limit.

    Parameters
    ----------
    rate : Quantity
    data_bits : sequence of int
        Data bits of a word.
    target : float
        Wanted uncorrectable bit error rate.
    """
    limit = rate.ci95[1] if rate.ci95 else rate.value
    out = []
    for bits in data_bits:
        code = required_code(min(rate.value, 1.0), bits, target=target)
        safe = required_code(min(limit, 1.0), bits, target=target)
        out.append(
            CodeCard(
                data_bits=bits,
                target=target,
                kind=code.kind if code else None,
                corrects=code.corrects if code else None,
                check_bits=code.check_bits if code else None,
                corrects_at_limit=safe.corrects if safe else None,
                check_bits_at_limit=safe.check_bits if safe else None,
            )
        )
    return tuple(out)


def _rate_card(rate: ErrorRate) -> ErrorRateCard:
    return ErrorRateCard(
        lower=rate.lower,
        upper=rate.upper,
        threshold=Quantity.given(rate.threshold, "S"),
        given=rate.given,
        readings=rate.n_lower + rate.n_upper,
        errors=rate.errors,
        counted=rate.counted,
        with_failures=rate.with_failures,
        fitted=rate.fitted,
        extreme=rate.extreme,
    )
