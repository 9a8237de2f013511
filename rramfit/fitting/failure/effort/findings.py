"""Findings on programming effort."""

from __future__ import annotations

from collections.abc import Sequence

from rramfit.card.blocks.programming import MISFIT, ProgrammingCard
from rramfit.fitting.failure.effort.attempts import WindowAttempts
from rramfit.fitting.failure.effort.pulse_fit import PulseFit
from rramfit.fitting.results.result import Finding
from rramfit.units import counted, format_number, format_p_value, format_percent

__all__ = ["effort_findings"]

MANY = 0.1  # share of attempts that fail
_FEWEST_LATE = 10  # failures on which advice about a budget rests


def effort_findings(
    g: WindowAttempts, fits: Sequence[PulseFit], card: ProgrammingCard
) -> list[Finding]:
    """Report failures, and pulse counts that no family describes."""
    out: list[Finding] = []
    failed = int((~g.accepted).sum())
    if not g.accepted.any():
        return [
            Finding(
                f"None of {counted(len(g), 'attempt')} to program {g.name} was accepted",
                "Check the window of this level, the pulse amplitudes and the contact of the cells",
                severe=True,
                affected=1.0,
                code="never-accepted",
            )
        ]
    share = card.failure
    if share.ci95 is not None and share.ci95[0] > MANY:
        need = card.budget_1pct
        larger = need is not None and card.budget is not None and failed >= _FEWEST_LATE
        out.append(
            Finding(
                f"{format_percent(share.value)} of the attempts to program {g.name} are not "
                f"accepted within {counted(int(g.pulses.max()), 'pulse')}",
                f"Allow about {format_number(need.value, 2)} pulses to have 1 % fail, or widen "
                "the window"
                if larger and need is not None
                else "Widen the window, or raise the pulse amplitude",
                affected=share.value,
                code="attempts-fail",
            )
        )
    if fits and (p := fits[0].p_value) is not None and p < MISFIT:
        out.append(
            Finding(
                f"No distribution describes the pulse counts of {g.name}: the best, "
                f"{fits[0].family}, is rejected ({format_p_value(p)})",
                "Use the measured failures against budget, and do not extrapolate the budget",
                code="pulses-misfit",
            )
        )
    return out
