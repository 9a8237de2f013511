"""How long cells last: failure as time to event, with intervals and right-censored lives.

The distribution is Weibull or lognormal, whichever has the higher likelihood; both have two
parameters. If their log-likelihoods differ by less than χ²₁(0.95)/2, the interval of the cycles to
1 % failure covers both. If neither fits (χ² test over steps with 5 or more expected failures), or
if a second population fails early, that interval is read off the Kaplan-Meier bands instead.

Fewer than 3 failures, or failures in one step only, determine no distribution. Then only bounds are
given: with k of n cells failed, the share that fails has a Clopper-Pearson upper limit p, and if
the hazard does not fall with cycles, 1 % has not failed before N·min(1, ln 0.99/ln(1 − p)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.blocks.endurance import (
    EarlyFailureCard,
    FailureMode,
    HazardStep,
    LifeCard,
    LifeFamily,
    StateBeforeFailure,
)
from rramfit.card.quantity import Quantity
from rramfit.fitting.time.endurance.early_failures import EarlyFailures, find_early_failures
from rramfit.fitting.time.endurance.failure_times import FailureTimes
from rramfit.fitting.time.endurance.life_distribution import (
    FAMILIES,
    HALF_CHI2,
    LifeDistribution,
    Lives,
    fit_life_distribution,
)
from rramfit.fitting.time.endurance.product_limit import ProductLimit, product_limit

__all__ = ["LifeFit", "fit_life"]

Floats = NDArray[np.float64]

FEWEST_FAILURES = 3
MISFIT = 0.01  # p-value below which a distribution is rejected
_FEWEST_EXPECTED = 5.0  # failures in a step of the goodness-of-fit test
_FEWEST_SHIFTS = 5  # failing cells needed for their change before the failure
_SHARE = 0.01
_TWO_SIDED = 2 * 1.959963984540054


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeFit:
    """Lives of the cells of one array.

    Attributes
    ----------
    times : FailureTimes
    limit : ProductLimit
        Survival and incidence without a distribution.
    distributions : tuple of LifeDistribution
        The likelier first; empty if the failures determine none.
    p_values : dict of str to float
        Goodness of fit by family, where there are enough failures.
    early : EarlyFailures, optional
        A second population that fails early.
    one_percent : Quantity, optional
        [cycles] at which 1 % has failed.
    failed_bound, one_percent_bound : float, optional
        Without a distribution: see the card.
    hazard : tuple of (from, to, rate)
        By decade of cycles [1/cycle].
    shifts : tuple of (state, Quantity)
        Changes of the states before failure [S].
    """

    times: FailureTimes
    limit: ProductLimit
    distributions: tuple[LifeDistribution, ...] = ()
    p_values: dict[str, float] = field(default_factory=dict)
    early: EarlyFailures | None = None
    one_percent: Quantity | None = None
    failed_bound: float | None = None
    one_percent_bound: float | None = None
    hazard: tuple[tuple[int, int, Quantity], ...] = ()
    shifts: tuple[tuple[int, Quantity], ...] = ()

    @property
    def separated(self) -> bool:
        """Whether the likelihood separates the two families."""
        if len(self.distributions) < 2:
            return True
        first, second = self.distributions[:2]
        return first.log_likelihood - second.log_likelihood >= HALF_CHI2

    @property
    def fits(self) -> bool:
        """Whether the likelier family describes the lives."""
        if not self.distributions:
            return False
        return self.early is None and self.p_values.get(self.distributions[0].family, 1.0) >= MISFIT

    def to_card(self) -> LifeCard:
        """Return the part of the card on lives."""
        limit, bound, early = self.limit, self.failed_bound, self.early
        of_bound = self.one_percent_bound
        return LifeCard(
            cells=len(self.times),
            failures=int(self.times.failed.sum()),
            failed_at_start=self.times.failed_at_start,
            family="weibull"
            if self.distributions and self.distributions[0].family == "weibull"
            else ("lognormal" if self.distributions else None),
            families=[
                self._family(d)
                for d in sorted(self.distributions, key=lambda d: FAMILIES.index(d.family))
            ],
            cycles_to_1pct=self.one_percent,
            cycles_to_1pct_bound=None if of_bound is None else Quantity.given(of_bound, "cycles"),
            failed_bound=None if bound is None else Quantity.given(bound, "1"),
            surviving=Quantity.within(
                limit.survival[-1], limit.stderr[-1], "1", (limit.low[-1], limit.high[-1])
            ),
            modes=[
                FailureMode.model_validate(
                    {
                        "mode": m.mode,
                        "failures": m.failures,
                        "incidence": Quantity.within(
                            m.value[-1], m.stderr[-1], "1", (m.low[-1], m.high[-1])
                        ),
                    }
                )
                for m in (limit.incidence if self.times.failed.any() else ())
            ],
            hazard=[HazardStep(from_cycle=a, to_cycle=b, rate=q) for a, b, q in self.hazard],
            before_failure=[StateBeforeFailure(state=s, shift=q) for s, q in self.shifts],
            early=None
            if early is None
            else EarlyFailureCard(
                share=early.share,
                scale=Quantity.given(early.early_scale, "cycles"),
                wear_out_shape=Quantity.given(early.late_shape, "1"),
                wear_out_scale=Quantity.given(early.late_scale, "cycles"),
            ),
        )

    def _family(self, d: LifeDistribution) -> LifeFamily:
        if d.shape is not None:
            parameters = {"shape": d.shape, "scale": d.scale}
        else:
            parameters = {"median": d.scale} | ({"sigma": d.spread} if d.spread else {})
        return LifeFamily(
            family="weibull" if d.family == "weibull" else "lognormal",
            parameters=parameters,
            cycles_to_1pct=d.one_percent,
            log_likelihood=d.log_likelihood,
            p_value=self.p_values.get(d.family),
        )


def fit_life(times: FailureTimes, y: Floats) -> LifeFit:
    """Fit the lives of the cells that worked at the first point.

    Parameters
    ----------
    times : FailureTimes
    y : (point, state, cell) array
        The readings from which `times` was found [S].
    """
    limit = product_limit(times)
    lives = Lives.of(times.low, times.high, times.entry)
    hazard = _hazard(limit)
    shifts = _shifts(times, y)
    found: tuple[LifeDistribution, ...] = ()
    if lives.failures >= FEWEST_FAILURES and lives.failing_intervals > 1:
        fitted = (fit_life_distribution(family, lives) for family in FAMILIES)
        found = tuple(sorted((d for d in fitted if d is not None), key=lambda d: -d.log_likelihood))
    if not found:
        bound, of_cycles = _bounds(times)
        return LifeFit(
            times=times,
            limit=limit,
            failed_bound=bound,
            one_percent_bound=of_cycles,
            hazard=hazard,
            shifts=shifts,
        )
    p_values = {d.family: p for d in found if (p := _goodness(d, limit)) is not None}
    weibull = next((d for d in found if d.family == "weibull"), None)
    early = None
    if weibull is not None:
        early = find_early_failures(lives, weibull, longest=float(limit.cycle[-1]))
        if early is not None and found[0].log_likelihood > early.log_likelihood - 3 * HALF_CHI2:
            early = None  # the other family describes them as well, with fewer parameters
    fit = LifeFit(
        times=times,
        limit=limit,
        distributions=found,
        p_values=p_values,
        early=early,
        hazard=hazard,
        shifts=shifts,
    )
    return replace(fit, one_percent=_one_percent(fit))


def _one_percent(fit: LifeFit) -> Quantity | None:
    """Return the cycles to 1 % failure, by the families or by the bands."""
    if not fit.fits:
        return _one_percent_of_bands(fit.limit)
    best = fit.distributions[0].one_percent
    if fit.separated:
        return best
    ends = [d.one_percent.ci95 for d in fit.distributions if d.one_percent.ci95 is not None]
    low, high = min(e[0] for e in ends), max(e[1] for e in ends)
    stderr = best.value * math.log(high / low) / _TWO_SIDED
    return Quantity.within(best.value, stderr, "cycles", (low, high))


def _one_percent_of_bands(limit: ProductLimit) -> Quantity | None:
    """Return where the Kaplan-Meier curve and its bands pass 1 %; None if they do not."""
    failed, low, high = 1 - limit.survival, 1 - limit.high, 1 - limit.low
    if failed[-1] < _SHARE or low[-1] < _SHARE:
        return None
    at = int(np.argmax(failed >= _SHARE))
    upper = float(limit.cycle[int(np.argmax(low >= _SHARE))])
    sure = np.flatnonzero(high < _SHARE)
    lower = float(limit.cycle[sure[-1]]) if sure.size else max(float(limit.cycle[0]), 1.0)
    value = math.sqrt(max(float(limit.cycle[at - 1]), 1.0) * float(limit.cycle[at]))
    stderr = value * math.log(max(upper / lower, 1.0)) / _TWO_SIDED
    return Quantity.within(value, stderr, "cycles", (min(lower, value), max(upper, value)))


def _bounds(times: FailureTimes) -> tuple[float, float]:
    """Return upper limits of the share failed, and lower ones of the cycles to 1 %, at 95 %.

    The cycles are the larger of what the last point gives, and the last point without a failure.
    """
    last = _bound_at(times, float(times.points[-1]))
    good = times.points[times.points < times.high.min()]
    before = _bound_at(times, float(good[-1])) if good.size else (1.0, 0.0)
    return last[0], max(last[1], before[1])


def _bound_at(times: FailureTimes, cycles: float) -> tuple[float, float]:
    k = int((times.high <= cycles).sum())
    n = k + int((times.low >= cycles).sum())
    if n <= k:
        return 1.0, 0.0
    p = float(special.betaincinv(k + 1, n - k, 0.95))
    return p, cycles * min(1.0, math.log1p(-_SHARE) / math.log1p(-p))


def _goodness(d: LifeDistribution, limit: ProductLimit) -> float | None:
    """Return the p-value of Pearson's test over steps, joined to 5 or more expected failures."""
    s = d.survival(limit.cycle)
    with np.errstate(invalid="ignore", divide="ignore"):
        q = np.where(s[:-1] > 0, 1 - s[1:] / s[:-1], 1.0)
    n, seen = limit.at_risk[1:], limit.failures[1:]
    statistic, groups, e, v, o = 0.0, 0, 0.0, 0.0, 0.0
    for nj, qj, dj in zip(n, q, seen, strict=True):
        e, v, o = e + nj * qj, v + nj * qj * (1 - qj), o + dj
        if e >= _FEWEST_EXPECTED and v > 0:
            statistic, groups = statistic + (o - e) ** 2 / v, groups + 1
            e = v = o = 0.0
    return float(special.chdtrc(groups - 2, statistic)) if groups > 2 else None


def _hazard(limit: ProductLimit) -> tuple[tuple[int, int, Quantity], ...]:
    """Return failures per cell and cycle by decade, with Garwood's interval for Poisson counts.

    The exposure of a step is that of a constant hazard in it, which is d/−ln(1 − d/n) of its
    length for d failures among n cells; half of n where all fail.
    """
    if len(limit.cycle) < 2 or limit.failures.sum() < 1:
        return ()
    n, failed = limit.at_risk[1:], limit.failures[1:]
    some = (failed > 0) & (failed < n)
    share = np.where(some, failed / np.maximum(n, 1e-9), 0.5)
    exposure = np.where(some, failed / -np.log1p(-share), n - failed / 2) * np.diff(limit.cycle)
    decade = np.floor(np.log10(np.maximum(limit.cycle[:-1], 1.0)) + 1e-9)
    out = []
    for k in np.unique(decade):
        of = np.flatnonzero(decade == k)
        total, d = float(exposure[of].sum()), float(limit.failures[1:][of].sum())
        if total <= 0:
            continue
        low = float(special.gammaincinv(d, 0.025)) / total if d > 1e-9 else 0.0
        high = float(special.gammaincinv(d + 1, 0.975)) / total
        rate = Quantity.within(d / total, math.sqrt(d + 0.5) / total, "1/cycle", (low, high))
        out.append((int(limit.cycle[of[0]]), int(limit.cycle[of[-1] + 1]), rate))
    return tuple(out)


def _shifts(times: FailureTimes, y: Floats) -> tuple[tuple[int, Quantity], ...]:
    """Return the change of each state of failing cells before their failure.

    A cell's change from the first reading to its last good one is compared with the mean change of
    the cells that work at the next point as well.
    """
    own = y[:, :, times.cells]
    change = own - own[0]
    failed = times.failed & (times.last_good > 0)
    if failed.sum() < _FEWEST_SHIFTS:
        return ()
    out = []
    for s in range(y.shape[1]):
        excess = []
        for i in np.unique(times.last_good[failed]):
            here = failed & (times.last_good == i)
            others = change[i, s][times.last_good > i]
            others = others[np.isfinite(others)]
            if len(others) >= _FEWEST_SHIFTS:
                excess.append(change[i, s][here] - others.mean())
        x = np.concatenate(excess) if excess else np.empty(0)
        x = x[np.isfinite(x)]
        if len(x) >= _FEWEST_SHIFTS:
            stderr = float(x.std(ddof=1)) / math.sqrt(len(x))
            out.append((s, Quantity.estimated(float(x.mean()), stderr, "S", df=len(x) - 1)))
    return tuple(out)
