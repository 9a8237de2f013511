"""The card's part on pulse response: conductance against the number of equal pulses.

A branch is a run of pulses of one polarity. With n = 0 … N steps from first to last reading,

    exponential   G(n) = start + (end − start)·(1 − e^(−a·n/N))/(1 − e^(−a))

NeuroSim writes the same course with A = N/a, and names it by a label, a hundredth of the largest
distance from a straight line, in units of 0.0990 of the range (the table `getParamA` of NeuroSim's
formula.cpp follows from it to its six digits):

    NL = (1000/99)·max_x |(1 − e^(−a·x))/(1 − e^(−a)) − x|

Soft bounds, a step r·(bound − G), are the same course with r = 1 − e^(−a/N) and a bound that all
cycles of a device have in common.

aihwkit scales conductance to w = 2·(G − lowest)/(highest − lowest) − 1, and a pulse up or down
changes w by `dw_min`·(1 − w/w_max) or `dw_min`·(1 − w/w_min) (`SoftBoundsDevice`), or by `dw_min`
times an interpolated table (`PiecewiseStepDevice`). `up_down` > 0 makes steps down smaller by
1 − up_down, `up_down` < 0 steps up by 1 + up_down.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from rramfit.card.part import Count, Part
from rramfit.card.quantity import Finite, Quantity
from rramfit.errors import CardError

__all__ = ["PulseBranch", "PulseCard", "PulseForm", "course", "nonlinearity_label"]

Floats = NDArray[np.float64]
FormName = Literal["linear", "exponential", "soft bounds", "piecewise"]

_FLAT = 1e-6  # of the coefficient, below which a course is linear


def course(x: Floats, a: float) -> Floats:
    """Return (1 − e^(−a·x))/(1 − e^(−a)), the share of the change at the share x of the pulses."""
    if abs(a) < _FLAT:
        return np.asarray(x, dtype=np.float64)
    if a < 0:  # the mirror image, which does not overflow
        return 1 - course(1 - x, -a)
    return np.asarray(np.expm1(-a * x) / math.expm1(-a))


def nonlinearity_label(a: float) -> float:
    """Return NeuroSim's label of the coefficient a; it has the sign of a.

    Examples
    --------
    >>> round(nonlinearity_label(1 / 1.251653), 3)  # the hundredth entry of NeuroSim's table
    1.0
    """
    size = abs(a)
    if size < _FLAT:
        return 0.0
    x = math.log(size / -math.expm1(-size)) / size  # where the slope is that of the straight line
    return math.copysign(1000 / 99 * (float(course(np.array(x), size)) - x), a)


class PulseForm(Part):
    """One form of the course, as it predicts readings that it was not fitted to."""

    form: FormName = Field(description="form of the course")
    heldout_error: Finite = Field(
        description="root mean square error of held-out readings, relative to the range"
    )


class PulseBranch(Part):
    """Response to pulses of one polarity."""

    direction: Literal["potentiation", "depression"] = Field(description="SET or RESET pulses")
    n_devices: Count = Field(description="devices that respond")
    n_branches: Count = Field(description="runs of pulses of these devices")
    pulses: Count = Field(description="N, steps from the first reading of a run to the last")
    form: FormName = Field(description="form with the best prediction of held-out readings")
    forms: list[PulseForm] = Field([], description="all forms that could be fitted")
    start: Quantity = Field(description="conductance at the first reading, mean of devices [S]")
    end: Quantity = Field(description="conductance after N steps, mean of devices [S]")
    step: Quantity = Field(description="mean size of a step [S]")
    nonlinearity: Quantity = Field(
        description="coefficient a of the exponential form over N steps, mean of devices; 0 is "
        "linear"
    )
    bound: Quantity | None = Field(
        None, description="conductance at which steps vanish, by soft bounds [S]"
    )
    rate: Quantity | None = Field(
        None, description="step relative to the distance from the bound, by soft bounds"
    )
    start_d2d: Quantity | None = Field(None, description="device to device, of start [S]")
    start_c2c: Quantity | None = Field(None, description="cycle to cycle, of start [S]")
    end_d2d: Quantity | None = Field(None, description="device to device, of end [S]")
    end_c2c: Quantity | None = Field(None, description="cycle to cycle, of end [S]")
    step_d2d: Quantity | None = Field(None, description="device to device, of the mean step [S]")
    step_c2c: Quantity | None = Field(None, description="cycle to cycle, of the mean step [S]")
    nonlinearity_d2d: Quantity | None = Field(
        None, description="device to device, of the coefficient"
    )
    nonlinearity_c2c: Quantity | None = Field(
        None, description="cycle to cycle, of the coefficient"
    )
    scatter: Quantity = Field(description="of readings about the course of their own run [S]")
    step_noise: Quantity | None = Field(
        None, description="random part of one step, which stays; without the noise of reads [S]"
    )
    knots: list[Finite] = Field(
        [], description="mean of devices at equal distances from n = 0 to N [S]"
    )


class PulseCard(Part):
    """Potentiation and depression by equal pulses."""

    n_devices: Count = Field(description="devices measured")
    responding: Quantity = Field(description="share of devices that respond to pulses")
    lowest: Quantity = Field(description="lower end of the courses, mean of devices [S]")
    highest: Quantity = Field(description="upper end of the courses, mean of devices [S]")
    dynamic_range: Quantity | None = Field(None, description="highest relative to lowest")
    levels: Quantity = Field(
        description="levels 6 standard deviations of a reading apart: 1 + range/(6·scatter), at "
        "most one per step (NIST/SEMATECH 6.1.6)"
    )
    asymmetry: Quantity | None = Field(
        None,
        description="step up minus step down in the middle of the range, relative to their sum",
    )
    branches: list[PulseBranch] = Field([], description="potentiation and depression")

    def branch(self, direction: Literal["potentiation", "depression"]) -> PulseBranch:
        """Return the response to pulses of one polarity.

        Raises
        ------
        CardError
            If it was not measured.
        """
        for b in self.branches:
            if b.direction == direction:
                return b
        raise _refused(
            at="pulses.branches",
            found=f"no {direction}",
            expected="both polarities",
            remedy=f"Measure {direction}, or choose a target that needs one polarity",
        )

    def neurosim(self) -> dict[str, float]:
        """Return what NeuroSim's RealDevice is given.

        Names are those of its Cell.cpp. The label of depression that saturates is negative there.
        `sigmaDtoD` is the standard deviation of the label between devices, `sigmaCtoC` that of one
        step [S].

        Raises
        ------
        CardError
            If one polarity was not measured.
        """
        up, down = self.branch("potentiation"), self.branch("depression")
        label = [nonlinearity_label(b.nonlinearity.value) for b in (up, down)]
        spread = [_label_spread(b) for b in (up, down)]
        noise = [b.step_noise.value for b in (up, down) if b.step_noise is not None]
        return {
            "maxConductance": self.highest.value,
            "minConductance": self.lowest.value,
            "maxNumLevelLTP": up.pulses,
            "maxNumLevelLTD": down.pulses,
            "NL_LTP": label[0],
            "NL_LTD": -label[1],
            "paramALTP": _scale(up),
            "paramALTD": -_scale(down),
            "sigmaDtoD": math.sqrt(sum(s * s for s in spread) / 2),
            "sigmaCtoC": math.sqrt(sum(s * s for s in noise) / len(noise)) if noise else 0.0,
        }

    def soft_bounds(self) -> dict[str, float]:
        """Return the fields of aihwkit's `SoftBoundsDevice`.

        A course that is linear or accelerates has no bound; its bound is set far outside, at 50
        times the range.

        Raises
        ------
        CardError
            If one polarity was not measured.
        """
        up, down = self.branch("potentiation"), self.branch("depression")
        ends: list[float] = []
        sizes: list[float] = []
        for b, sign in ((up, 1.0), (down, -1.0)):
            a = max(b.nonlinearity.value, 0.02)
            start, end = self._weight(b.start.value), self._weight(b.end.value)
            bound = max(sign * (start + (end - start) / -math.expm1(-a)), 1e-3)
            ends.append(bound)
            sizes.append(-math.expm1(-a / b.pulses) * bound)
        return {"w_max": ends[0], "w_min": -ends[1], **self._steps(sizes[0], sizes[1])}

    def piecewise_steps(self, nodes: int = 10) -> dict[str, float | list[float]]:
        """Return the fields of aihwkit's `PiecewiseStepDevice`, from the measured mean courses.

        Parameters
        ----------
        nodes : int
            Number of nodes from `w_min` to `w_max`, at equal distances.

        Raises
        ------
        CardError
            If one polarity was not measured, or if there are fewer than 2 nodes.
        """
        if nodes < 2:
            raise _refused(
                at="pulses.piecewise_steps",
                found=f"{nodes} nodes",
                expected="2 or more",
                remedy="Choose a larger number of nodes",
            )
        w = np.linspace(-1.0, 1.0, nodes)
        up, down = (self._step_at(self.branch(d), w) for d in ("potentiation", "depression"))
        steps = self._steps(float(up.mean()), float(down.mean()))
        return {
            "w_max": 1.0,
            "w_min": -1.0,
            "piecewise_up": [float(v) for v in up / up.mean()],
            "piecewise_down": [float(v) for v in down / down.mean()],
            **steps,
        }

    def _weight(self, g: float) -> float:
        return 2 * (g - self.lowest.value) / (self.highest.value - self.lowest.value) - 1

    def _steps(self, up: float, down: float) -> dict[str, float]:
        """Return the fields of aihwkit on the size of steps and their spread."""
        span = (self.highest.value - self.lowest.value) / 2
        largest = max(up, down)
        noise, spread, ends = [], [], []
        for b in self.branches:
            mean = b.step.value
            noise.append(b.step_noise.value / (largest * span) if b.step_noise else 0.0)
            spread.append(b.step_d2d.value / mean if b.step_d2d and mean > 0 else 0.0)
            ends.append(b.end_d2d.value / span if b.end_d2d else 0.0)
        return {
            "dw_min": largest,
            "up_down": (up - down) / largest,
            "dw_min_std": math.sqrt(sum(v * v for v in noise) / len(noise)),
            "dw_min_dtod": math.sqrt(sum(v * v for v in spread) / len(spread)),
            "w_max_dtod": ends[0],
            "w_min_dtod": ends[1],
        }

    def _step_at(self, b: PulseBranch, w: Floats) -> Floats:
        """Return the size of a step at each weight, from the knots of the mean course."""
        g = np.array([self._weight(v) for v in b.knots])
        g = np.maximum.accumulate(g if b.direction == "potentiation" else -g)
        at = (g[1:] + g[:-1]) / 2
        size = np.diff(g) * (len(g) - 1) / b.pulses
        x = w if b.direction == "potentiation" else -w
        floor = 1e-3 * (g[-1] - g[0]) / b.pulses  # aihwkit needs steps above 0
        keep = np.concatenate([[True], np.diff(at) > 0])
        return np.asarray(np.maximum(np.interp(x, at[keep], size[keep]), floor))


def _refused(*, at: str, found: str, expected: str, remedy: str) -> CardError:
    return CardError("", at, found=found, expected=expected, remedy=remedy)


def _scale(b: PulseBranch) -> float:
    """Return NeuroSim's A, in pulses; of a linear course that of its smallest label, 0.01."""
    a = b.nonlinearity.value
    return b.pulses / (a if abs(a) > 0.00792 else math.copysign(0.00792, a))


def _label_spread(b: PulseBranch) -> float:
    """Return the standard deviation of NeuroSim's label between devices, by its slope."""
    if b.nonlinearity_d2d is None:
        return 0.0
    a, half = b.nonlinearity.value, b.nonlinearity_d2d.value
    return abs(nonlinearity_label(a + half) - nonlinearity_label(a - half)) / 2
