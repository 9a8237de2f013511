"""Findings on several bakes: what they determine about temperature, and where the law fails."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rramfit.card.quantity import Quantity
from rramfit.fitting.results.result import Finding
from rramfit.fitting.time.bakes.energies import REJECTED, Energies
from rramfit.fitting.time.bakes.law_choice import distinct
from rramfit.units import counted, format_estimate, format_p_value, format_quantity

__all__ = ["bake_findings"]

_LEAST_TEMPERATURE = 200.0  # [K] no bake is that cold; 85 or 125 are °C


def bake_findings(
    drift: Energies | None, *, temperatures: Sequence[float], testable: bool
) -> list[Finding]:
    """Return the findings on the drift of several bakes.

    Parameters
    ----------
    drift : Energies, optional
        None if there is only one temperature.
    temperatures : sequence of float
        [K]
    testable : bool
        Whether a bake has the readings that the exponent of time needs.
    """
    out = []
    if (coldest := min(temperatures)) < _LEAST_TEMPERATURE:
        out.append(
            Finding(
                f"A bake is stated at {coldest:.4g} K, far below any oven",
                "State the temperature of every bake in K (85 °C is 358.15 K)",
                severe=True,
                code="bake-temperature-implausible",
            )
        )
    listed = ", ".join(f"{t:.4g}" for t in sorted(set(temperatures)))
    if drift is None and distinct(np.array(temperatures)) > 1:
        out.append(
            Finding(
                "No reading changes in any bake, so nothing is known about the effect of "
                "temperature",
                "Read with a finer range, or bake longer or hotter",
                code="bake-no-change",
            )
        )
        return out
    if drift is None:
        out.append(
            Finding(
                f"The {len(temperatures)} bakes are all at {listed} K: one temperature gives no "
                "activation energy",
                "Bake at two more temperatures, at least 20 K apart",
                code="bake-one-temperature",
            )
        )
        return out
    if distinct(drift.fit.data.temperature) == 2:
        out.append(
            Finding(
                f"Bakes at two temperatures ({listed} K) give an activation energy, but no test of "
                "the Arrhenius law and no scatter between bakes",
                "Bake at a third temperature",
                code="bake-two-temperatures",
            )
        )
    if drift.energy is None:
        assumed = drift.assumed.value if drift.assumed else 0.0
        shown = f"the lower limit of {assumed:.2f} eV" if assumed > 0 else "0 eV"
        out.append(
            Finding(
                f"The bakes at {listed} K do not determine the activation energy of the drift, "
                "which is too small, or differs too little between them. For other temperatures "
                f"{shown} is assumed",
                "Bake longer, at more cells, or hotter, until the mean moves by ten standard "
                "errors",
                code="bake-energy-not-determined",
            )
        )
    out += _tests(drift)
    if drift.fit.kind.free_exponent:
        m = _shown(drift.exponent)
        out.append(
            Finding(
                f"The mean does not change with ln t but as a power of time, with exponent {m}",
                "For times and temperatures that were not measured use `levels_at`, not the drift "
                "per ln t of one bake",
                code="bake-power-of-time",
            )
        )
    elif drift.fit.kind.steps == "whole":
        out.append(
            Finding(
                "The bakes were read once after programming: what happens before and after that "
                "reading is not known, and nothing is assumed to change",
                "Read at three or more times after programming, evenly spaced in ln t",
                code="bake-single-reading",
            )
        )
    elif not testable:
        out.append(
            Finding(
                "With fewer than three readings after programming the law of time is not tested",
                "Read at three or more times after programming, evenly spaced in ln t",
                code="bake-law-not-tested",
            )
        )
    return out


def _tests(drift: Energies) -> list[Finding]:
    out = []
    if drift.energy is not None and drift.energy.ci95 and drift.energy.ci95[1] < 0:
        out.append(
            Finding(
                f"The hotter bake drifts less: activation energy {_shown(drift.energy)}",
                "Check the temperatures of the bakes, and that all cells were programmed alike",
                code="bake-hotter-drifts-less",
            )
        )
    if not drift.common:
        known = [(k, e) for k, e in enumerate(drift.of_level) if e is not None]
        low, high = (f(known, key=lambda x: x[1].value) for f in (min, max))
        out.append(
            Finding(
                f"The levels have different activation energies ("
                f"{format_p_value(drift.p_common or 0.0)}): {_shown(low[1])} at level {low[0]}, "
                f"{_shown(high[1])} at level {high[0]}",
                "Use the energy of each level; `levels_at` does",
                code="bake-levels-differ",
            )
        )
    if drift.p_arrhenius is not None and drift.p_arrhenius < REJECTED:
        spread = "" if not drift.between else f" by {100 * drift.between:.2g} %"
        out.append(
            Finding(
                f"The rates of the {counted(len(drift.factors), 'bake')} scatter about the "
                f"Arrhenius line{spread} ({format_p_value(drift.p_arrhenius)}); the interval "
                "of the energy contains it",
                "Check the temperatures of the bakes; add bakes if the energy is to be known "
                "better",
                code="bake-scatter",
            )
        )
    if drift.inflation > 1:
        out.append(
            Finding(
                "The mean changes do not follow the law of time ("
                f"{format_p_value(drift.p_time or 0.0)}); errors are inflated by "
                f"{drift.inflation**0.5:.1f}",
                "Look at the changes over time in the report; read more often where they bend",
                code="bake-law-of-time",
            )
        )
    return out


def _shown(q: Quantity) -> str:
    if q.ci95 is None:
        return format_quantity(q.value, q.unit)
    return format_estimate(q.value, q.ci95, q.unit)
