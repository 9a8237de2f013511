"""Findings on pulse response."""

from __future__ import annotations

import numpy as np

from rramfit.card.blocks.pulses import PulseBranch, PulseCard
from rramfit.fitting.electrical.pulses.responding import Responses
from rramfit.fitting.electrical.pulses.runs import FEWEST
from rramfit.fitting.results.result import Finding
from rramfit.measurement.file.record import Pulses
from rramfit.units import counted, format_percent, format_quantity

__all__ = ["response_findings"]

_MANY = 0.1  # share of devices without response that is reported
_UNEQUAL = 1.1  # ratio of amplitudes or widths in one run
_FIRST = 0.5  # share of the change in the first step, above which levels are lost


def response_findings(pulses: Pulses, found: Responses, card: PulseCard) -> list[Finding]:
    """Report what the measurement cannot show, and devices that do not behave."""
    return [
        *_devices(found),
        *_polarity(found, card),
        *_measurement(pulses, found, card),
        *(finding for b in card.branches for finding in _course(b)),
    ]


def _devices(found: Responses) -> list[Finding]:
    out = []
    silent = found.measured - found.responding - found.at_once
    if found.at_once:
        share = found.at_once / found.measured
        out.append(
            Finding(
                f"{found.at_once} of {counted(found.measured, 'device')} move at the first pulse "
                "of a run and no further",
                "Use weaker or shorter pulses, or treat these devices as switches with two states",
                affected=share,
                code="pulses-saturate",
            )
        )
    if silent / found.measured > _MANY or (silent and found.measured <= FEWEST):
        out.append(
            Finding(
                f"{silent} of {counted(found.measured, 'device')} do not respond to pulses, and "
                "are left out",
                "Check their contact and forming, and the amplitude of the pulses",
                affected=silent / found.measured,
                code="pulses-no-response",
            )
        )
    return out


def _polarity(found: Responses, card: PulseCard) -> list[Finding]:
    out = []
    if found.by_voltage:
        out.append(
            Finding(
                "/pulses/polarity is the same for all pulses although their voltages have both "
                "signs: the sign of the voltage is used as polarity",
                "State the polarity of each pulse, +1 for SET and -1 for RESET",
                code="pulses-polarity-by-voltage",
            )
        )
    if found.reversed:
        out.append(
            Finding(
                "SET pulses lower the conductance of most devices, and RESET pulses raise it: the "
                "two are taken for one another",
                "Exchange the polarities in the layout",
                code="pulses-polarity-reversed",
            )
        )
    if len(card.branches) == 1:
        other = "RESET" if card.branches[0].direction == "potentiation" else "SET"
        out.append(
            Finding(
                f"Only {card.branches[0].direction} was found: asymmetry is not known",
                f"Measure trains of {other} pulses as well",
                code="pulses-one-polarity",
            )
        )
    return out


def _measurement(pulses: Pulses, found: Responses, card: PulseCard) -> list[Finding]:
    out = []
    if found.responding == 1:
        out.append(
            Finding(
                "Only 1 device responds: the variation between devices is not known",
                "Measure at least 10 devices",
                code="pulses-one-device",
            )
        )
    if all(b.n_branches == b.n_devices for b in card.branches):
        out.append(
            Finding(
                "Each device has 1 run of each polarity: the variation between cycles is not known",
                "Repeat the train of pulses at least 5 times",
                code="pulses-one-cycle",
            )
        )
    if found.short:
        out.append(
            Finding(
                f"{counted(found.short, 'run')} of pulses with fewer than {FEWEST} readings "
                f"{'is' if found.short == 1 else 'are'} left out",
                "Apply more pulses of one polarity before the other",
                code="pulses-short-runs",
            )
        )
    for values, what in ((pulses.voltage, "amplitudes"), (pulses.width, "widths")):
        if values is not None and _vary(values, pulses):
            out.append(
                Finding(
                    f"The {what} of pulses of one polarity differ by more than 10 % in a cycle: "
                    "the course is that of this train, not of equal pulses",
                    "Use pulses of one amplitude and width to describe a device for training",
                    code="pulses-not-equal",
                )
            )
    return out


def _vary(values: np.ndarray, pulses: Pulses) -> bool:
    """Return whether most cycles have pulses of one polarity of different size."""
    shape = pulses.conductance.shape
    size = np.abs(np.broadcast_to(values, shape))
    polarity = np.broadcast_to(pulses.polarity, shape)
    different = np.zeros(shape[:2], dtype=np.bool_)
    for sign in (1, -1):
        use = (polarity == sign) & (size > 0)
        low = np.where(use, size, np.inf).min(axis=2, initial=np.inf)
        high = np.where(use, size, 0.0).max(axis=2, initial=0.0)
        different |= high > _UNEQUAL * low
    return bool(different.mean() > 0.5)


def _course(b: PulseBranch) -> list[Finding]:
    out = []
    first = -np.expm1(-max(b.nonlinearity.value, 0.0) / b.pulses)
    if first > _FIRST:
        out.append(
            Finding(
                f"The first pulse does {format_percent(first, 0)} of the change of {b.direction}: "
                "few states lie between its ends",
                "Use weaker or shorter pulses",
                code="pulses-saturate",
            )
        )
    if b.scatter.value > b.step.value:
        out.append(
            Finding(
                f"Readings of {b.direction} scatter by {format_quantity(b.scatter.value, 'S')}, "
                f"more than a mean step of {format_quantity(b.step.value, 'S')}: single steps "
                "cannot be seen",
                "Average several reads after each pulse",
                code="pulses-noise",
            )
        )
    return out
