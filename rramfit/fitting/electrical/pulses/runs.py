"""Runs of pulses of one polarity, from `/pulses`.

A run is what lies between two changes of polarity in one cycle of one device; reads without a pulse
are left out. Step n = 0 is the first reading after a pulse of the run: whether it follows the first
pulse, or was taken before it, differs between logs, and the course after it is the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rramfit.errors import FitError
from rramfit.measurement.file.record import Pulses

__all__ = ["FEWEST", "MOST_READINGS", "Runs", "find_runs", "signed_polarity"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

FEWEST = 5  # readings that a run needs
MOST_READINGS = 400_000  # of more, every n-th device is used


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Runs of one polarity.

    Attributes
    ----------
    conductance : (run, step) array
        [S]; NaN = not measured, or past the end.
    before : (run,) array
        Last reading of the same cycle before the run [S]; NaN = none.
    device, cycle : (run,) int array
        `cycle` counts the runs of one device.
    steps : int
        N, the median number of steps of a run.
    """

    conductance: Floats
    before: Floats
    device: Integers
    cycle: Integers
    steps: int

    def __len__(self) -> int:
        return len(self.device)

    @property
    def x(self) -> Floats:
        """Share of the N steps at each reading, (step,)."""
        return np.arange(self.conductance.shape[1]) / self.steps

    def of(self, which: Bools) -> Runs:
        """Return some of the runs, with the same N."""
        return replace(
            self,
            conductance=self.conductance[which],
            before=self.before[which],
            device=self.device[which],
            cycle=self.cycle[which],
        )

    def noise(self) -> Floats:
        """Return the variance of a reading of each run, from second differences, (run,)."""
        d = np.diff(self.conductance, n=2, axis=1)
        known = np.isfinite(d)
        count = known.sum(axis=1)
        total = np.where(known, d, 0.0) ** 2
        return np.asarray(
            np.where(count > 0, total.sum(axis=1) / (6 * np.maximum(count, 1)), np.nan)
        )

    def change(self) -> Floats:
        """Return the last quarter of each run less its first reading, (run,)."""
        first, last, count = self._ends()
        y = self.conductance
        late = (np.arange(y.shape[1]) > (last - (last - first) / 4)[:, None]) & np.isfinite(y)
        end = np.where(late, y, 0.0).sum(axis=1) / np.maximum(late.sum(axis=1), 1)
        return np.asarray(np.where(count > 1, end - y[np.arange(len(y)), first], np.nan))

    def lengths(self) -> Integers:
        """Return the number of steps of each run to its last reading, (run,)."""
        return self._ends()[1]

    def _ends(self) -> tuple[Integers, Integers, Integers]:
        known = np.isfinite(self.conductance)
        first = known.argmax(axis=1)
        last = known.shape[1] - 1 - known[:, ::-1].argmax(axis=1)
        return first, last, known.sum(axis=1)


def signed_polarity(pulses: Pulses) -> tuple[Integers, bool]:
    """Return the polarity of each pulse, (device, cycle, pulse), and if it is that of the voltage.

    Where all pulses have the same polarity and the voltage has both signs, its sign counts.
    """
    shape = pulses.conductance.shape
    polarity = np.broadcast_to(np.asarray(pulses.polarity, dtype=np.int64), shape)
    if pulses.voltage is None or len(np.unique(polarity[polarity != 0])) > 1:
        return polarity, False
    voltage = np.nan_to_num(np.broadcast_to(pulses.voltage, shape))
    if not ((voltage > 0).any() and (voltage < 0).any()):
        return polarity, False
    return np.where(polarity != 0, np.sign(voltage), 0).astype(np.int64), True


def find_runs(conductance: Floats, polarity: Integers) -> tuple[Runs | None, Runs | None, int]:
    """Return the runs of SET pulses, those of RESET pulses, and how many were too short.

    Parameters
    ----------
    conductance : (device, cycle, pulse) array
        [S]
    polarity : (device, cycle, pulse) int array

    Raises
    ------
    FitError
        If no run has enough readings.
    """
    found: dict[int, list[tuple[Floats, float, int]]] = {1: [], -1: []}
    every = max(-(-conductance.size // MOST_READINGS), 1)
    short = 0
    for device in range(0, len(conductance), every):
        for g, sign in zip(conductance[device], polarity[device], strict=True):
            pulse = np.flatnonzero(sign)
            starts = np.flatnonzero(np.diff(sign[pulse], prepend=0))
            for at in np.split(pulse, starts[1:]):
                if np.isfinite(g[at]).sum() < FEWEST:
                    short += bool(np.isfinite(g[at]).any())
                    continue
                earlier = g[: at[0]]
                earlier = earlier[np.isfinite(earlier)]
                before = float(earlier[-1]) if len(earlier) else np.nan
                found[int(sign[at[0]])].append((g[at], before, device // every))
    up, down = (_padded(found[s]) for s in (1, -1))
    if up is None and down is None:
        msg = (
            f"/pulses: none of {short} runs of pulses of one polarity has {FEWEST} readings; "
            "expected trains of many equal pulses"
        )
        raise FitError(msg)
    return up, down, short


def _padded(found: list[tuple[Floats, float, int]]) -> Runs | None:
    if not found:
        return None
    y = np.full((len(found), max(len(g) for g, _, _ in found)), np.nan)
    for i, (g, _, _) in enumerate(found):
        y[i, : len(g)] = g
    device = np.array([d for _, _, d in found], dtype=np.int64)
    first = np.searchsorted(device, device)  # devices rise
    runs = Runs(
        conductance=y,
        before=np.array([b for _, b, _ in found]),
        device=device,
        cycle=np.arange(len(device)) - first,
        steps=1,
    )
    return replace(runs, steps=max(int(np.median(runs.lengths())), 1))
