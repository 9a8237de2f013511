"""Findings on the lives of cells."""

from __future__ import annotations

import math

from rramfit.fitting.results.result import Finding
from rramfit.fitting.time.endurance.life import MISFIT, LifeFit
from rramfit.units import counted, format_number, format_p_value, format_percent

__all__ = ["life_findings"]

_STRONG = 0.01  # share that fails at most, below which too few failures are no finding
_APART = 2.0  # ratio of the cycles to 1 % failure from which the choice of a family matters


def life_findings(fit: LifeFit) -> list[Finding]:
    """Report what the lives show, and what they do not determine."""
    times, n, k = fit.times, len(fit.times), int(fit.times.failed.sum())
    longest = f"{int(times.points[-1])} cycles"
    out: list[Finding] = []
    if times.failed_at_start:
        every = n + times.failed_at_start
        out.append(
            Finding(
                f"/endurance: {times.failed_at_start} of {every} cells have no window at the first "
                "point, and are not counted among the failures with cycles",
                "Count these cells as stuck",
                affected=times.failed_at_start / every,
                code="failed-at-start",
            )
        )
    if times.recovered > 0.01 * n:
        out.append(
            Finding(
                f"{times.recovered} of {n} cells lose half of their window and recover it at a "
                "later reading",
                "Read each state more than once at every cycle count",
                affected=times.recovered / n,
                code="windows-recover",
            )
        )
    if not fit.distributions:
        weak = fit.failed_bound is None or fit.failed_bound > _STRONG
        return out + ([_bound(fit, n, k, longest)] if weak else [])
    out += _misfit(fit) + _unsettled(fit)
    return out


def _bound(fit: LifeFit, n: int, k: int, longest: str) -> Finding:
    bound = "" if fit.failed_bound is None else format_percent(fit.failed_bound)
    cycles = format_number(fit.one_percent_bound or 0.0, 2)
    share = f"at most {bound} fail by then, and " if k < n else ""
    least = f"{share}1 % has not failed before {cycles} cycles (95 % confidence)"
    if k == 0:
        return Finding(
            f"None of {counted(n, 'cell')} failed by {longest}: {least}",
            "Use this bound, or cycle until at least 5 % of the cells have failed",
            code="no-failures",
        )
    return Finding(
        f"{counted(k, 'failure')} among {counted(n, 'cell')} by {longest} determine"
        f"{'s' if k == 1 else ''} no distribution of lives: {least}",
        "Cycle further, and read at more cycle counts between which cells fail",
        code="few-failures",
    )


def _misfit(fit: LifeFit) -> list[Finding]:
    best, early = fit.distributions[0], fit.early
    if early is not None:
        share = format_percent(early.share.value)
        return [
            Finding(
                f"{share} of the cells fail early, about {format_number(early.early_scale, 2)} "
                f"cycles, and the others wear out about {format_number(early.late_scale, 2)} "
                f"cycles with Weibull shape {format_number(early.late_shape, 2)}; one Weibull "
                "distribution does not describe both",
                f"Cycle every array {format_number(early.burn_in, 1)} times before use and replace "
                "the cells that fail, or find what makes them fail early",
                affected=early.share.value,
                code="early-failures",
            )
        ]
    p = fit.p_values.get(best.family)
    if p is not None and p < MISFIT:
        return [
            Finding(
                f"Neither a Weibull nor a lognormal distribution describes the lives of the cells "
                f"({format_p_value(p)})",
                "Use the Kaplan-Meier curve inside the measured range, and do not extrapolate",
                code="life-misfit",
            )
        ]
    return []


def _unsettled(fit: LifeFit) -> list[Finding]:
    if fit.separated or not fit.fits or len(fit.distributions) < 2:
        return []
    first, second = fit.distributions
    a, b = first.one_percent.value, second.one_percent.value
    if abs(math.log(a / b)) < math.log(_APART):
        return []
    return [
        Finding(
            f"Weibull and lognormal lives are equally likely, and reach 1 % failure at "
            f"{format_number(a, 2)} ({first.family}) and {format_number(b, 2)} "
            f"({second.family}) cycles",
            "Measure more cells at the cycle counts where the first of them fail",
            code="life-family-open",
        )
    ]
